import pytest

from tests.oracles import oracle


def test_tests_are_skipped_where_an_oracle_has_no_wheel(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no wheel for this Python"):
        oracle("no_such_oracle")


def test_a_missing_oracle_is_a_failure_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(ModuleNotFoundError):
        oracle("no_such_oracle")

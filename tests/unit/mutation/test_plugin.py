"""The lines of a fixture that several tests share count for each of these tests."""

from __future__ import annotations

from tests.mutation.plugin import _every_test_below

FILES = {
    "tests/unit/test_a.py": ["one", "two"],
    "tests/unit/bus/test_b.py": ["one"],
    "tests/e2e/test_c.py": ["one"] * 3,
}


def test_a_fixture_of_a_file_counts_for_the_tests_of_the_file():
    assert _every_test_below("tests/unit/test_a.py", FILES) == [("tests/unit/test_a.py", 0b11)]


def test_a_fixture_of_a_folder_counts_for_the_tests_below_it():
    assert _every_test_below("tests/unit", FILES) == [("tests/unit/test_a.py", 0b11), ("tests/unit/bus/test_b.py", 0b1)]


def test_a_fixture_of_the_session_counts_for_all_tests():
    assert [bits for _, bits in _every_test_below("", FILES)] == [0b11, 0b1, 0b111]

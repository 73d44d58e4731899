"""When Redis counts as unfit to hold a chain, and how long a service waits for it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.chain import store
from shared.chain.store import SOCKET_TIMEOUT, check_server, connect, wait_for_server
from shared.errors import StoreUnavailable, UnsafeStore
from shared.process.shutdown import ExitFlag


def test_a_command_fails_within_seconds() -> None:
    options = connect("redis://127.0.0.1:1/0").connection_pool.connection_kwargs
    assert options["socket_timeout"] == options["socket_connect_timeout"] == SOCKET_TIMEOUT == 10.0
    assert options["retry"].get_retries() == 1
    assert options["health_check_interval"] == 30


class Server:
    """Answers `INFO` with a given policy or error."""

    def __init__(self, *answers: str | Exception, stop: ExitFlag | None = None) -> None:
        self._answers = list(answers)
        self._stop = stop

    def info(self) -> dict[str, Any]:
        answer = self._answers.pop(0)
        if self._stop is not None and not self._answers:
            self._stop.set()
        if isinstance(answer, Exception):
            raise answer
        return {"maxmemory_policy": answer, "redis_version": "7.0.0"}


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "volatile-ttl", "NOEVICTION", ""])
def test_a_server_that_may_evict_holds_no_chain(policy: str) -> None:
    with pytest.raises(UnsafeStore, match="must be noeviction"):
        check_server(Server(policy))  # type: ignore[arg-type]


def test_a_service_waits_until_its_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[int] = []
    monkeypatch.setattr(store, "backoff", lambda failures: pauses.append(failures) or 0.0)
    away = StoreUnavailable("Redis is away")
    server = Server(away, away, away, "noeviction", UnsafeStore("asked once too often"))
    wait_for_server(server, ExitFlag())  # type: ignore[arg-type]
    assert pauses == [0, 1, 2]


def test_a_service_does_not_wait_for_a_server_that_is_unfit() -> None:
    with pytest.raises(UnsafeStore):
        wait_for_server(Server("allkeys-lru", "noeviction"), ExitFlag())  # type: ignore[arg-type]


def test_a_service_that_is_told_to_stop_waits_no_more() -> None:
    stop = ExitFlag()
    wait_for_server(Server(StoreUnavailable("Redis is away"), stop=stop), stop)  # type: ignore[arg-type]
    assert stop.is_set()

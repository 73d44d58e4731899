"""The threads that run scrypt: whose call comes next, and what a flood of guesses cannot do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import count

import pytest

from services.wallet.errors import Busy, WrongPassword
from services.wallet.keys import keystore as keystore_module
from services.wallet.keys import password_pool
from services.wallet.keys.attempts import FREE, LONGEST_DELAY, WINDOW, Attempts
from services.wallet.keys.keystore import Keystore, Sealed, seal
from services.wallet.keys.password_pool import PasswordPool, Rank
from shared.consensus.params import REGTEST
from shared.durations import MINUTE
from shared.process import waiting
from shared.process.waiting import WaitFor
from tests.clock import Clock

PATIENCE = 20.0
SECRET = bytes(range(64))


class Gate:
    """Calls that hold their thread until they are let go."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._changed = threading.Condition()
        self._passes = 0
        self._is_open = False

    def call(self, name: str) -> Callable[[], str]:
        def run() -> str:
            with self._changed:
                self.begun.append(name)
                self._changed.notify_all()
                assert self._changed.wait_for(lambda: self._passes > 0 or self._is_open, PATIENCE)
                self._passes -= 1
            return name

        return run

    def pass_one(self) -> None:
        """Let one call end, and wait until the next one has begun."""
        with self._changed:
            already = len(self.begun)
            self._passes += 1
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: len(self.begun) > already, PATIENCE)

    def wait_for(self, number: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.begun) == number, PATIENCE)

    def open(self) -> None:
        with self._changed:
            self._is_open = True
            self._changed.notify_all()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


def test_calls_of_higher_rank_come_first_and_clients_take_turns(gate: Gate) -> None:
    pool = PasswordPool(threads=1)
    pool.submit(gate.call("first"), "a", Rank.GUESSER)
    gate.wait_for(1)
    for name, client, rank in (
        ("a1", "a", Rank.ORDINARY),
        ("a2", "a", Rank.ORDINARY),
        ("a3", "a", Rank.ORDINARY),
        ("b1", "b", Rank.ORDINARY),
        ("g1", "g", Rank.GUESSER),
        ("b2", "b", Rank.ORDINARY),
        ("own", "g", Rank.TRUSTED),
    ):
        pool.submit(gate.call(name), client, rank)
    for _ in range(7):
        gate.pass_one()
    assert gate.begun == ["first", "own", "a1", "b1", "a2", "b2", "a3", "g1"]


def test_guesses_have_one_thread_at_most(gate: Gate) -> None:
    pool = PasswordPool(threads=2)
    for number in range(5):
        pool.submit(gate.call(f"g{number}"), f"client {number}", Rank.GUESSER)
    gate.wait_for(1)
    for rank in (Rank.ORDINARY, Rank.TRUSTED):
        gate.wait_for(1)  # the guesses wait, and leave the other thread to this call
        owner = pool.submit(lambda: "open", "owner", rank)
        assert owner.result(PATIENCE) == "open"
    assert gate.begun == ["g0"]


def test_a_call_that_was_given_up_is_not_run(gate: Gate) -> None:
    pool = PasswordPool(threads=1)
    pool.submit(gate.call("first"), "a", Rank.ORDINARY)
    gate.wait_for(1)
    given_up = pool.submit(gate.call("given up"), "a", Rank.ORDINARY)
    last = pool.submit(gate.call("last"), "a", Rank.ORDINARY)
    assert given_up.cancel()
    gate.open()
    assert last.result(PATIENCE) == "last"
    assert gate.begun == ["first", "last"]


def test_an_error_is_the_callers() -> None:
    def fail() -> None:
        raise WrongPassword

    with pytest.raises(WrongPassword):
        PasswordPool().submit(fail, "a", Rank.ORDINARY).result(PATIENCE)


def test_calls_that_wait_are_bounded_at_the_cost_of_whoever_has_most(gate: Gate) -> None:
    pool = PasswordPool(threads=1, most_waiting=4)
    pool.submit(gate.call("first"), "a", Rank.ORDINARY)
    gate.wait_for(1)
    calls = {
        name: pool.submit(gate.call(name), name[0], rank)
        for name, rank in (
            ("a1", Rank.GUESSER),
            ("a2", Rank.GUESSER),
            ("a3", Rank.GUESSER),
            ("b1", Rank.ORDINARY),
            ("a4", Rank.GUESSER),
            ("c1", Rank.ORDINARY),
            ("own", Rank.TRUSTED),
        )
    }
    assert [name for name, call in calls.items() if call.cancelled()] == ["a3", "a4"]
    gate.open()
    for name, call in calls.items():
        assert call.cancelled() or call.result(PATIENCE) == name


def test_an_idle_thread_ends_and_another_one_takes_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password_pool, "_IDLE_SECONDS", 0.01)
    pool = PasswordPool(threads=1)
    threads = [pool.submit(threading.current_thread, "a", Rank.ORDINARY).result(PATIENCE)]
    threads[0].join(PATIENCE)
    assert not threads[0].is_alive()
    threads.append(pool.submit(threading.current_thread, "a", Rank.ORDINARY).result(PATIENCE))
    assert threads[0] is not threads[1]


# ── who is slowed down ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_more_wrong_passwords_the_later_the_answer() -> None:
    attempts = Attempts(Clock())
    delays = [attempts.failed("guesser", f"w{number % 3}") for number in range(9)]
    assert delays == [0, 0, 1, 2, 4, 8, 10, 10, 10]
    assert (FREE, LONGEST_DELAY) == (2, 10.0)
    assert attempts.is_guessing("guesser")
    assert attempts.failed("owner", "w1") == 0
    assert not attempts.is_guessing("owner")
    assert not attempts.is_guessing("nobody")


def test_wrong_passwords_are_forgotten_after_a_minute() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(4):
        attempts.failed("a", "w")
        clock.now += 1
    clock.now += WINDOW - 4
    assert attempts.failed("a", "w") == 2.0  # the first one is too old
    clock.now += WINDOW
    assert not attempts.is_guessing("a")
    assert attempts.failed("a", "w") == 0


def test_a_right_password_forgives_the_wrong_ones_for_its_wallet_alone() -> None:
    attempts = Attempts(Clock())
    for wallet_id in ("own", "own", "other", "other", "other"):
        attempts.failed("a", wallet_id)
    attempts.succeeded("a", "own")
    assert attempts.is_guessing("a")
    assert attempts.failed("a", "own") == 2.0
    attempts.succeeded("b", "own")
    attempts.succeeded("a", "other")
    assert not attempts.is_guessing("a")


def test_purging_keeps_what_still_counts() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(3):
        attempts.failed("old", "w")
    clock.now += WINDOW - 1
    for _ in range(3):
        attempts.failed("new", "w")
    clock.now += 1
    attempts.purge()
    assert list(attempts._failures) == ["new"]
    assert attempts.is_guessing("new")


# ── the keystore with both ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def sealed() -> Sealed:
    return seal(SECRET, "pw", "w", 16)


def guess(keystore: Keystore, sealed: Sealed, client: str = "guesser") -> Future[float]:
    """Try a wrong password on a thread of its own; the result is the time that it took."""
    done: Future[float] = Future()

    def run() -> None:
        started = time.monotonic()
        try:
            waiting.run(keystore.open("w", sealed, "wrong", client))
        except WrongPassword:
            done.set_result(time.monotonic() - started)
        except Exception as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits of a keystore beyond its scrypt calls, which take no time here."""
    found: list[float] = []

    class Noted(WaitFor):
        def __await__(self):  # type: ignore[no-untyped-def]
            if self.seconds not in (PATIENCE, MINUTE):
                found.append(self.seconds)
                self.future.set_result(None)
            return (yield from super().__await__())

    monkeypatch.setattr(keystore_module, "WaitFor", Noted)
    return found


def test_answers_to_a_guesser_are_held_back_and_to_nobody_else(sealed: Sealed, pauses: list[float]) -> None:
    keystore = Keystore(REGTEST, Attempts(Clock()), n=16, patience=PATIENCE)
    for _ in range(5):
        guess(keystore, sealed).result(PATIENCE)
    assert pauses == [1, 2, 4]
    for client in ("guesser", "owner"):
        waiting.run(keystore.open("w", sealed, "pw", client))
    guess(keystore, sealed, "owner").result(PATIENCE)
    assert pauses == [1, 2, 4]
    guess(keystore, sealed).result(PATIENCE)  # its own success forgave the guesses before
    assert pauses == [1, 2, 4]


def test_the_services_own_password_is_never_held_back(sealed: Sealed, pauses: list[float]) -> None:
    keystore = Keystore(REGTEST, Attempts(Clock()), n=16, patience=PATIENCE)
    for _ in range(5):
        with pytest.raises(WrongPassword):
            waiting.run(keystore.open("w", sealed, "wrong"))
    assert pauses == []


def test_impossible_passwords_count_as_guesses(sealed: Sealed, pauses: list[float]) -> None:
    keystore = Keystore(REGTEST, Attempts(Clock()), n=16, patience=PATIENCE)
    for password in (None, 7, "\ud800", "x" * 2_000):
        with pytest.raises(WrongPassword):
            waiting.run(keystore.open("w", sealed, password, "guesser"))
    assert pauses == [1, 2]


def test_of_too_many_answers_held_back_the_oldest_goes(sealed: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystore_module, "_MOST_HELD", 2)
    attempts = Attempts(Clock())
    monkeypatch.setattr(attempts, "failed", lambda client, wallet_id: 60.0)
    keystore = Keystore(REGTEST, attempts, n=16)
    answers = []
    for number in range(3):
        answers.append(guess(keystore, sealed))
        until(lambda number=number: len(keystore._held) >= min(number + 1, 2))
    assert answers[0].result(PATIENCE) < 30
    assert [answer.done() for answer in answers] == [True, False, False]
    for held in list(keystore._held):
        held.set_result(None)
    for answer in answers:
        answer.result(PATIENCE)
    assert not keystore._held


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_password_that_opened_the_wallet_before_never_waits_behind_guesses(
    sealed: Sealed, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the guesses come from the owner's own address, and though there is one thread alone."""
    pool = PasswordPool(threads=1, most_waiting=50)
    keystore = Keystore(REGTEST, Attempts(Clock()), n=16, pool=pool, patience=PATIENCE)
    waiting.run(keystore.open("w", sealed, "pw", "127.0.0.1"))
    unseal = keystore_module.unseal
    numbers = count()

    def slow(sealed: Sealed, password: str, wallet_id: str) -> bytes:
        if password == "wrong":
            gate.call(f"guess {next(numbers)}")()
            raise WrongPassword
        return unseal(sealed, password, wallet_id)

    monkeypatch.setattr(keystore_module, "unseal", slow)
    for _ in range(20):
        guess(keystore, sealed, "127.0.0.1")
    gate.wait_for(1)
    until(lambda: pool._count() == 19)
    opened: Future[object] = Future()
    owner = threading.Thread(
        target=lambda: opened.set_result(waiting.run(keystore.open("w", sealed, "pw", "127.0.0.1"))), daemon=True
    )
    owner.start()
    until(lambda: bool(pool._waiting[Rank.TRUSTED]))
    gate.pass_one()
    assert opened.result(PATIENCE)
    assert len(gate.begun) == 2


def test_a_wallet_opens_at_once_after_it_was_created(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    keystore = Keystore(REGTEST, Attempts(Clock()), n=16)
    new = waiting.run(keystore.create("w", "pw", "owner"))
    ranks: list[Rank] = []
    submit = PasswordPool.submit

    def noting(pool: PasswordPool, call: Callable[[], object], client: str, rank: Rank) -> Future[object]:
        ranks.append(rank)
        return submit(pool, call, client, rank)

    monkeypatch.setattr(PasswordPool, "submit", noting)
    waiting.run(keystore.open("w", new.sealed, "pw", "owner"))
    with pytest.raises(WrongPassword):
        waiting.run(keystore.open("w", new.sealed, "other", "owner"))
    assert ranks == [Rank.TRUSTED, Rank.ORDINARY]


def test_passwords_are_remembered_as_keyed_hashes_of_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystore_module, "_MOST_REMEMBERED", 2)
    keystore, other = (Keystore(REGTEST, Attempts(Clock()), n=16) for _ in range(2))
    records = {name: seal(SECRET, "pw", name, 16) for name in ("a", "b", "c")}
    for store in (keystore, other):
        for name, sealed in records.items():
            waiting.run(store.open(name, sealed, "pw", "owner"))
    assert list(keystore._right) == ["b", "c"]
    assert keystore._right["c"] != other._right["c"]
    assert keystore._right["b"] != keystore._right["c"]
    assert b"pw" not in b"".join(keystore._right.values())


def test_a_caller_whose_turn_does_not_come_is_told(gate: Gate, sealed: Sealed) -> None:
    pool = PasswordPool(threads=1)
    pool.submit(gate.call("first"), "a", Rank.ORDINARY)
    gate.wait_for(1)
    keystore = Keystore(REGTEST, Attempts(Clock()), n=16, pool=pool, patience=0.01)
    with pytest.raises(Busy):
        waiting.run(keystore.open("w", sealed, "pw", "owner"))
    with pytest.raises(Busy):
        waiting.run(keystore.create("v", "pw", "owner"))
    gate.open()
    until(lambda: pool._count() == 0)
    assert waiting.run(Keystore(REGTEST, Attempts(), n=16, pool=pool).open("w", sealed, "pw", "owner"))


def test_a_caller_that_loses_its_place_is_told(gate: Gate, sealed: Sealed) -> None:
    pool = PasswordPool(threads=1, most_waiting=2)
    pool.submit(gate.call("first"), "owner", Rank.ORDINARY)
    gate.wait_for(1)
    keystore = Keystore(REGTEST, Attempts(Clock()), n=16, pool=pool, patience=PATIENCE)
    flood = [guess(keystore, sealed) for _ in range(3)]
    until(lambda: pool._count() == 2 and any(answer.done() for answer in flood))
    owner: Future[object] = Future()
    threading.Thread(
        target=lambda: owner.set_result(waiting.run(keystore.open("w", sealed, "pw", "owner"))), daemon=True
    ).start()
    until(lambda: sum(answer.done() for answer in flood) == 2)
    gate.open()
    assert owner.result(PATIENCE)
    assert sorted(type(answer.exception(PATIENCE)).__name__ for answer in flood) == ["Busy", "Busy", "NoneType"]

"""The wallet's records when several instances write them, and the expiry of request ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis as redis_py
from redis.client import Pipeline

from services.wallet.errors import UnknownWallet, WalletExists
from services.wallet.keys.keystore import Sealed
from services.wallet.store import Begun, PaymentRequest, Record, Send, SendStatus, WalletStore
from shared.chain.redis_keys import Keys

A, B, C = (bytes([number]) * 32 for number in (1, 2, 3))
KEYS = Keys("regtest")
RECORD = Record(Sealed(n=16, r=8, p=1, salt=b"s", nonce=b"n", ciphertext=b"c"), "xpub", 7)
DAY = 24 * 60 * 60


@pytest.fixture
def store(redis: redis_py.Redis) -> WalletStore:
    """Records with a wallet `w`."""
    store = WalletStore(redis, KEYS)
    store.create("w", RECORD)
    return store


def send(time: int = 1, change: int = 5, **fields) -> Send:
    return Send("payee", 3, 1, change, time, **fields)


def change_count(store: WalletStore) -> int:
    return store.load("w").change_count


def test_a_refused_payment_gives_its_change_key_back(store: WalletStore) -> None:
    store.begin_send("w", A, send(), 1)
    assert change_count(store) == 1
    store.forget_send("w", A)
    assert change_count(store) == 0
    assert store.open_sends() == store.sends("w", [A]) == store.unmined_sends("w", 9) == store.sends_by_txid([A]) == {}


def test_the_key_that_another_instance_took_after_it_stays_in_use(store: WalletStore) -> None:
    store.begin_send("w", A, send(), 1)
    store.begin_send("w", B, send(), 2)
    store.forget_send("w", A)
    assert change_count(store) == 2
    store.forget_send("w", B)
    assert change_count(store) == 1


@pytest.mark.parametrize("refused", [A, B], ids=["first", "second"])
def test_a_key_that_two_instances_took_at_once_stays_in_use_when_one_is_refused(
    store: WalletStore, refused: bytes
) -> None:
    store.begin_send("w", A, send(), 1)
    store.begin_send("w", B, send(), 1)
    store.forget_send("w", refused)
    assert change_count(store) == 1
    assert list(store.open_sends()) == [A if refused == B else B]


def test_a_payment_without_change_takes_no_key_and_gives_none_back(store: WalletStore) -> None:
    store.begin_send("w", A, send(), 1)
    store.begin_send("w", B, send(change=0), 1)
    store.forget_send("w", B)
    assert change_count(store) == 1
    store.forget_send("w", A)
    assert change_count(store) == 0


def test_a_payment_that_was_planned_before_another_one_takes_no_key_back(store: WalletStore) -> None:
    store.begin_send("w", A, send(), 1)
    store.begin_send("w", B, send(), 2)
    store.begin_send("w", C, send(), 1)
    assert change_count(store) == 2
    store.forget_send("w", B)
    assert change_count(store) == 1


def test_forgetting_twice_gives_one_key_back(store: WalletStore) -> None:
    store.begin_send("w", A, send(), 1)
    store.begin_send("w", B, send(), 2)
    for _ in range(2):
        store.forget_send("w", B)
    assert change_count(store) == 1


def test_of_two_instances_with_one_request_the_second_writes_nothing(store: WalletStore) -> None:
    assert store.begin_send("w", A, send(), 1, PaymentRequest("r", b"raw A")) is Begun.NEW
    assert store.begin_send("w", B, send(), 2, PaymentRequest("r", b"raw B")) is Begun.SAME_REQUEST
    assert store.requested("w", "r") == b"raw A"
    assert list(store.open_sends()) == [A]
    assert change_count(store) == 1


def test_a_request_id_is_of_one_wallet(store: WalletStore) -> None:
    store.create("v", RECORD)
    store.begin_send("w", A, send(), 1, PaymentRequest("r", b"raw A"))
    assert store.requested("v", "r") is None
    assert store.begin_send("v", B, send(), 1, PaymentRequest("r", b"raw B")) is Begun.NEW


def test_a_request_id_is_remembered_for_a_day_and_no_longer(store: WalletStore, redis: redis_py.Redis) -> None:
    store.begin_send("w", A, send(), 1, PaymentRequest("r", b"raw A"))
    assert DAY - 60 < redis.ttl(f"{KEYS.wallet}request:w:r") <= DAY
    redis.delete(f"{KEYS.wallet}request:w:r")
    assert store.requested("w", "r") is None


def test_a_refused_payments_request_may_be_made_again_and_no_other_is_forgotten(store: WalletStore) -> None:
    store.begin_send("w", A, send(), 1, PaymentRequest("a", b"raw A"))
    store.begin_send("w", B, send(), 2, PaymentRequest("b", b"raw B"))
    store.forget_send("w", A)
    assert store.requested("w", "a") == b"raw A"
    store.forget_send("w", A, PaymentRequest("a", b"raw A"))
    assert store.requested("w", "a") is None
    assert store.requested("w", "b") == b"raw B"


@pytest.mark.parametrize("status", list(SendStatus))
def test_no_payment_takes_the_record_of_another_with_the_same_transaction(
    store: WalletStore, status: SendStatus
) -> None:
    store.begin_send("w", A, send(), 1)
    store.update_sends({A: ("w", send(status=status))})
    begun = store.begin_send("w", A, send(time=9), 2)
    assert begun is (Begun.DROPPED_TX if status is SendStatus.DROPPED else Begun.SAME_TX)
    assert store.sends("w", [A])[A].time == 1
    assert change_count(store) == 1


def test_the_newest_sends_that_are_in_no_block_are_listed_up_to_a_limit(store: WalletStore) -> None:
    for time, txid in ((2, A), (3, B), (1, C)):
        store.begin_send("w", txid, send(time), 0)
    assert set(store.unmined_sends("w", 2)) == {A, B}
    store.update_sends({B: ("w", send(3, status=SendStatus.CONFIRMED, height=1))})
    assert set(store.unmined_sends("w", 2)) == {A, C}
    store.update_sends({B: ("w", send(3))})  # its block is gone
    assert set(store.unmined_sends("w", 2)) == {A, B}


def test_sends_of_all_wallets_are_open_until_they_are_closed(store: WalletStore) -> None:
    store.create("v", RECORD)
    store.begin_send("w", A, send(), 0)
    store.begin_send("v", B, send(), 0)
    assert {txid: wallet for txid, (wallet, _) in store.open_sends().items()} == {A: "w", B: "v"}
    assert store.sends_by_txid([C, B]) == {B: ("v", send())}
    store.update_sends({A: ("w", send(status=SendStatus.CONFIRMED))}, closed=[A])
    assert list(store.open_sends()) == [B]
    assert store.sends_by_txid([A])[A][1].status is SendStatus.CONFIRMED


def between(monkeypatch: pytest.MonkeyPatch, command: str, other: Callable[[], object]) -> None:
    """Let another instance write after the next read by this command and before the write that follows from it."""
    read = getattr(Pipeline, command)

    def reading(pipe: Pipeline, *args: Any) -> Any:
        found = read(pipe, *args)
        monkeypatch.setattr(Pipeline, command, read)
        other()
        return found

    monkeypatch.setattr(Pipeline, command, reading)


def test_the_key_that_another_instance_takes_while_one_is_forgotten_stays_in_use(
    store: WalletStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.begin_send("w", A, send(), 1)
    between(monkeypatch, "hget", lambda: store.begin_send("w", B, send(), 2))
    store.forget_send("w", A)
    assert change_count(store) == 2
    assert list(store.open_sends()) == [B]


def test_a_wallet_that_another_instance_creates_at_once_stays_as_that_one_made_it(
    store: WalletStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    between(monkeypatch, "exists", lambda: store.create("v", RECORD))
    with pytest.raises(WalletExists):
        store.create("v", Record(RECORD.sealed, "another", 8))
    assert store.load("v").record == RECORD


def test_a_wallet_that_exists_stays_as_it_is(store: WalletStore, redis: redis_py.Redis) -> None:
    store.add_receive_key("w")
    with pytest.raises(WalletExists):
        store.create("w", Record(RECORD.sealed, "another", 8))
    wallet = store.load("w")
    assert (wallet.record, wallet.receive_count, wallet.change_count) == (RECORD, 2, 0)
    assert redis.zrange(f"{KEYS.wallet}ids", 0, -1, withscores=True) == [(b"w", 7.0)]
    assert store.exists("w")
    assert not store.exists("v")
    with pytest.raises(UnknownWallet):
        store.load("v")


def test_wallets_are_listed_the_oldest_first(store: WalletStore) -> None:
    store.create("a", Record(RECORD.sealed, "xpub", 9))
    store.create("b", Record(RECORD.sealed, "xpub", 3))
    assert store.ids() == ["b", "w", "a"]


def test_each_new_receive_key_is_given_once(store: WalletStore) -> None:
    assert [store.add_receive_key("w") for _ in range(2)] == [1, 2]


def test_one_instance_at_a_time_mines_the_first_coins(store: WalletStore, redis: redis_py.Redis) -> None:
    lease = f"{KEYS.wallet}bootstrap:lease"
    assert store.hold_bootstrap("one", 10)
    assert not store.hold_bootstrap("two", 10)
    assert 9_000 < redis.pttl(lease) <= 10_000
    assert store.hold_bootstrap("one", 20)
    assert 19_000 < redis.pttl(lease) <= 20_000
    store.release_bootstrap("two")
    assert not store.hold_bootstrap("two", 10)
    store.release_bootstrap("one")
    assert store.hold_bootstrap("two", 10)


def test_the_first_coins_are_mined_once(store: WalletStore) -> None:
    assert not store.is_bootstrapped()
    store.set_bootstrapped()
    assert store.is_bootstrapped()

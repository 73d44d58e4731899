"""Net changes over committed coins: any sequence of blocks applied and undone leaves the final difference."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec import structs

from shared.chain.codec import ScriptStats, Spend, TxLocation, history_score
from shared.chain.overlay import Overlay, StatsDelta
from shared.consensus.params import REGTEST
from shared.primitives.coin import Coin
from shared.primitives.transaction import NULL_OUTPOINT, OutPoint, Transaction, TxIn, TxOut
from tests.builders import key, make_block, p2wpkh

ALICE, BOB = p2wpkh(key("alice")), p2wpkh(key("bob"))
OLD = OutPoint(b"\x01" * 32, 3)
OLD_COIN = Coin(TxOut(5_000, ALICE), 7, False)


class Committed:
    """Coins by outpoint, and the outpoints that were read."""

    def __init__(self, *coins: tuple[OutPoint, Coin]) -> None:
        self._coins = dict(coins)
        self.reads: list[list[OutPoint]] = []

    def coins(self, outpoints: Sequence[OutPoint]) -> list[Coin | None]:
        self.reads.append(list(outpoints))
        return [self._coins.get(outpoint) for outpoint in outpoints]


def tx(*outputs: TxOut, spends: Sequence[OutPoint] = (OLD,)) -> Transaction:
    return Transaction(2, tuple(TxIn(prevout, b"", 0) for prevout in spends), outputs, 0)


PAYMENT = tx(TxOut(3_000, BOB), TxOut(0, b"\x6a\x01x"), TxOut(1_000, ALICE))


def test_a_payment_spends_and_creates() -> None:
    overlay = Overlay(Committed((OLD, OLD_COIN)))
    assert overlay.apply(PAYMENT, 9, 2) == [OLD_COIN]
    first, third = OutPoint(PAYMENT.txid, 0), OutPoint(PAYMENT.txid, 2)
    assert overlay.coin(OLD) is None
    changes = overlay.coin_changes()
    assert changes == {
        OLD: None,
        first: Coin(TxOut(3_000, BOB), 9, False),
        third: Coin(TxOut(1_000, ALICE), 9, False),
    }
    assert overlay.spends == {OLD: Spend(PAYMENT.txid, 0)}
    scripts = overlay.script_changes(changes)
    assert scripts.keys() == {ALICE, BOB}
    assert scripts[ALICE].stats == StatsDelta(1, 1, 1_000, 1, 5_000)
    assert scripts[BOB].stats == StatsDelta(1, 1, 3_000, 0, 0)
    assert scripts[ALICE].history == scripts[BOB].history == {PAYMENT.txid: history_score(9, 2)}
    assert (scripts[ALICE].coins_removed, scripts[ALICE].coins_added) == ([OLD.serialize()], [(9, third.serialize())])
    assert (scripts[BOB].coins_removed, scripts[BOB].coins_added) == ([], [(9, first.serialize())])


def test_to_ask_for_the_changes_of_scripts_twice_changes_nothing() -> None:
    overlay = Overlay(Committed((OLD, OLD_COIN)))
    overlay.apply(PAYMENT, 9, 2)
    changes = overlay.coin_changes()
    overlay.script_changes(changes)
    scripts = overlay.script_changes(changes)
    assert len(scripts[ALICE].coins_removed) == len(scripts[ALICE].coins_added) == 1


def test_a_payment_that_is_taken_back_leaves_no_change_of_coins() -> None:
    overlay = Overlay(Committed((OLD, OLD_COIN)))
    overlay.apply(PAYMENT, 9, 2)
    overlay.revert(PAYMENT, [structs.replace(OLD_COIN)])  # read from the undo data
    assert overlay.coin_changes() == {}
    assert overlay.coin(OLD) == OLD_COIN
    assert overlay.spends == {OLD: None}
    assert overlay.txs == {PAYMENT.txid: None}
    scripts = overlay.script_changes({})
    for delta in scripts.values():
        assert delta.stats == StatsDelta()
        assert delta.history == {PAYMENT.txid: None}


def test_a_committed_payment_is_taken_back() -> None:
    first, third = OutPoint(PAYMENT.txid, 0), OutPoint(PAYMENT.txid, 2)
    committed = Committed((first, Coin(TxOut(3_000, BOB), 9, False)), (third, Coin(TxOut(1_000, ALICE), 9, False)))
    overlay = Overlay(committed)
    overlay.revert(PAYMENT, [OLD_COIN])
    changes = overlay.coin_changes()
    assert changes == {first: None, third: None, OLD: OLD_COIN}
    scripts = overlay.script_changes(changes)
    assert scripts[ALICE].stats == StatsDelta(-1, -1, -1_000, -1, -5_000)
    assert scripts[BOB].stats == StatsDelta(-1, -1, -3_000, 0, 0)
    assert scripts[ALICE].coins_removed == [third.serialize()]
    assert scripts[ALICE].coins_added == [(7, OLD.serialize())]
    assert scripts[BOB].coins_removed == [first.serialize()]


def test_a_coin_that_comes_and_goes_in_between_is_no_change() -> None:
    overlay = Overlay(Committed((OLD, OLD_COIN)))
    overlay.apply(PAYMENT, 9, 2)
    second = tx(TxOut(2_000, BOB), spends=[OutPoint(PAYMENT.txid, 0)])
    overlay.apply(second, 9, 3)
    changes = overlay.coin_changes()
    assert changes.keys() == {OLD, OutPoint(PAYMENT.txid, 2), OutPoint(second.txid, 0)}
    scripts = overlay.script_changes(changes)
    assert scripts[BOB].stats == StatsDelta(2, 2, 5_000, 1, 3_000)
    assert (scripts[BOB].coins_removed, len(scripts[BOB].coins_added)) == ([], 1)


def test_a_coin_may_take_the_place_of_another() -> None:
    """As two coinbases of Bitcoin's early days did (BIP30)."""
    reward = tx(TxOut(50, ALICE), spends=[NULL_OUTPOINT])
    outpoint = OutPoint(reward.txid, 0)
    overlay = Overlay(Committed((outpoint, Coin(TxOut(50, ALICE), 1, True))))
    overlay.prefetch([outpoint])
    overlay.apply(reward, 9, 0)
    changes = overlay.coin_changes()
    assert changes == {outpoint: Coin(TxOut(50, ALICE), 9, True)}
    scripts = overlay.script_changes(changes)
    assert scripts[ALICE].coins_removed == [outpoint.serialize()]
    assert scripts[ALICE].coins_added == [(9, outpoint.serialize())]


def test_a_transaction_counts_once_for_a_script_that_it_spends_from_and_pays_twice() -> None:
    other = OutPoint(b"\x02" * 32, 0)
    overlay = Overlay(Committed((OLD, OLD_COIN), (other, OLD_COIN)))
    both = tx(TxOut(1, ALICE), TxOut(2, ALICE), spends=[OLD, other])
    overlay.apply(both, 9, 1)
    scripts = overlay.script_changes(overlay.coin_changes())
    assert scripts[ALICE].stats == StatsDelta(1, 2, 3, 2, 10_000)
    assert overlay.spends == {OLD: Spend(both.txid, 0), other: Spend(both.txid, 1)}


@pytest.mark.parametrize(("height", "matures"), [(0, False), (1, True)])
def test_coins_of_a_coinbase_mature_but_not_those_of_the_genesis_block(height: int, matures: bool) -> None:
    reward = tx(TxOut(50, ALICE), spends=[NULL_OUTPOINT])
    overlay = Overlay(Committed())
    assert overlay.apply(reward, height, 0) == []
    assert overlay.coin(OutPoint(reward.txid, 0)) == Coin(TxOut(50, ALICE), height, matures)
    assert overlay.spends == {}


def test_an_input_without_a_coin_cannot_be_applied() -> None:
    with pytest.raises(KeyError, match="no coin"):
        Overlay(Committed()).apply(PAYMENT, 9, 2)


def test_coins_that_do_not_fit_the_inputs_cannot_be_given_back() -> None:
    with pytest.raises(ValueError, match="zip"):
        Overlay(Committed()).revert(PAYMENT, [OLD_COIN, OLD_COIN])


def test_coins_are_read_once_and_together() -> None:
    source = Committed((OLD, OLD_COIN))
    overlay = Overlay(source)
    other = OutPoint(b"\x02" * 32, 0)
    overlay.prefetch([OLD, other])
    overlay.prefetch([OLD])
    assert overlay.coins([OLD, other]) == [OLD_COIN, None]
    overlay.apply(PAYMENT, 9, 2)
    assert overlay.coins([OLD, OutPoint(PAYMENT.txid, 0)])[0] is None
    assert source.reads == [[OLD, other]]
    assert Overlay(source).coins([OLD, other]) == [OLD_COIN, None]
    assert source.reads == [[OLD, other]] * 2


def test_what_is_known_of_a_script_is_added_to() -> None:
    assert StatsDelta(1, 2, 3, -4, -5).added_to(ScriptStats(10, 20, 30, 40, 50)) == ScriptStats(11, 22, 33, 36, 45)


def test_where_a_transaction_is_is_remembered_until_it_is_taken_back() -> None:
    block = make_block(REGTEST.genesis.header, 1, ALICE)
    overlay = Overlay(Committed())
    place = TxLocation(block.hash, 81, 100, 1, 0)
    overlay.locate(block, [place])
    assert overlay.txs == {block.transactions[0].txid: place}
    overlay.revert(block.transactions[0], [])
    assert overlay.txs == {block.transactions[0].txid: None}

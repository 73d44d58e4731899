"""Each fault and each limit of a block, at its edge: Core's engine and we give the same verdict and the same reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.chain.store import connect
from shared.consensus.limits import MAX_BLOCK_WEIGHT
from shared.consensus.params import REGTEST
from shared.primitives.transaction import OutPoint, TxOut
from tests.conformance.duel import Draft, Duel
from tests.conformance.faults import BLOCK_FAULTS, TX_FAULTS, with_first_input
from tests.conformance.payments import KINDS, Coin, spend


@pytest.fixture(scope="module")
def duel(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Duel]:
    with connect(redis_url) as client:
        yield Duel(client, tmp_path_factory.mktemp("kernel"))


@pytest.mark.parametrize("fault", sorted(BLOCK_FAULTS))
def test_both_agree_on_each_fault_of_a_block(duel: Duel, fault: str) -> None:
    for number in range(7):
        coins = [coin for coin in duel.mature() if coin.kind is KINDS["p2wpkh"]][:2]
        first = spend(coins[:1], [KINDS["p2wpkh"].script_pubkey])
        second = spend(
            [Coin(OutPoint(first.txid, 0), first.outputs[0], KINDS["p2wpkh"], 0)], [KINDS["p2wpkh"].script_pubkey]
        )
        draft = duel.draft([first, second], fees=2_000)
        BLOCK_FAULTS[fault](draft, number)
        duel.judge(draft.build())


@pytest.mark.parametrize("fault", sorted(TX_FAULTS))
def test_both_agree_on_each_fault_of_a_transaction(duel: Duel, fault: str) -> None:
    for number, kind in enumerate(KINDS.values()):
        coin = next(coin for coin in duel.mature() if coin.kind is kind)
        tx = TX_FAULTS[fault](spend([coin], [b"\x51", b"\x6a"]), number)
        duel.judge(duel.draft([tx]).build())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_coin_can_be_spent(duel: Duel, kind: str) -> None:
    coins = [coin for coin in duel.mature() if coin.kind is KINDS[kind]][:2]
    tx = spend(coins, [coins[0].output.script_pubkey])
    duel.must_accept(duel.draft([tx], fees=1_000).build())


def test_both_agree_on_the_limit_of_weight(duel: Duel) -> None:
    def padded(weight: int) -> Draft:
        draft = duel.draft()
        draft.outputs.append(TxOut(0, b"\x6a" + bytes(900_000)))
        lacking = (weight - draft.build().weight) // 4
        draft.outputs[-1] = TxOut(0, b"\x6a" + bytes(900_000 + lacking))
        assert draft.build().weight == weight
        return draft

    assert duel.judge(padded(MAX_BLOCK_WEIGHT + 4).build()) == "bad-blk-weight"
    assert duel.judge(padded(MAX_BLOCK_WEIGHT).build()) == ""


@pytest.mark.parametrize(("excess", "reason"), [(0, ""), (1, "bad-blk-sigops")])
def test_both_agree_on_the_limit_of_legacy_sigops(duel: Duel, excess: int, reason: str) -> None:
    draft = duel.draft()
    draft.outputs.append(TxOut(0, b"\xac" * (20_000 + excess)))
    assert duel.judge(draft.build()) == reason


@pytest.mark.parametrize(("excess", "reason"), [(0, ""), (1, "bad-blk-sigops")])
@pytest.mark.parametrize(("kind", "cost"), [("p2wpkh", 1), ("p2sh multisig", 12), ("p2wsh multisig", 3), ("p2tr", 0)])
def test_both_agree_on_the_limit_of_sigops_with_inputs(
    duel: Duel, kind: str, cost: int, excess: int, reason: str
) -> None:
    coins = [coin for coin in duel.mature() if coin.kind is KINDS[kind]][:4]
    tx = spend(coins, [KINDS["p2wpkh"].script_pubkey])
    draft = duel.draft([tx], fees=1_000)
    left = 80_000 - cost * len(coins)
    draft.outputs.append(TxOut(0, b"\xac" * (left // 4 + excess)))
    assert duel.judge(draft.build()) == reason


@pytest.mark.parametrize("place", ["p2sh", "p2wsh", "tapscript", "bare"])
def test_a_coin_cannot_be_spent_twice_in_a_block_nor_before_it_is_made(duel: Duel, place: str) -> None:
    coin = next(coin for coin in duel.mature() if coin.kind is KINDS[f"{place} key"])
    first = spend([coin], [coin.output.script_pubkey])
    again = spend([coin], [coin.output.script_pubkey], fee=2_000)
    child = spend([Coin(OutPoint(first.txid, 0), first.outputs[0], coin.kind, 0)], [coin.output.script_pubkey])
    missing = "bad-txns-inputs-missingorspent"
    assert duel.judge(duel.draft([first, again]).build()) == missing
    assert duel.judge(duel.draft([child, first]).build()) == missing
    assert duel.judge(duel.draft([first, child], fees=2_000).build()) == ""


@pytest.mark.parametrize("age", [0, 1, 2])
def test_both_agree_on_relative_heights(duel: Duel, age: int) -> None:
    coin = next(coin for coin in duel.mature() if coin.kind is KINDS["p2wpkh"])
    parent = spend([coin], [coin.output.script_pubkey])
    duel.must_accept(duel.draft([parent], fees=1_000).build())
    young = Coin(OutPoint(parent.txid, 0), parent.outputs[0], coin.kind, duel.height)
    for sequence in (age, age | 1 << 22, age | 1 << 31):
        tx = spend([young], [coin.output.script_pubkey], sequence=sequence)
        verdict = duel.judge(duel.draft([tx], fees=1_000).build())
        if not verdict:
            young = Coin(OutPoint(tx.txid, 0), tx.outputs[0], coin.kind, duel.height)
        assert verdict in ("", "bad-txns-nonfinal")
        assert sequence != 2 or verdict, "two blocks of age are not there yet"


@pytest.mark.parametrize("depth", [99, 100])
def test_both_agree_on_maturity(duel: Duel, depth: int) -> None:
    immature = [coin for coin in duel.coins if coin.mature_at == duel.height + 100 - depth]
    tx = spend(immature, [KINDS["p2wpkh"].script_pubkey])
    expected = "" if depth == REGTEST.coinbase_maturity else "bad-txns-premature-spend-of-coinbase"
    assert duel.judge(duel.draft([tx], fees=1_000).build()) == expected


def test_both_agree_on_transactions_that_a_block_repeats(duel: Duel) -> None:
    script = KINDS["p2wpkh"].script_pubkey
    coins = [coin for coin in duel.mature() if coin.kind is KINDS["p2wpkh"]][:2]
    parent = spend(coins[:1], [script, script])
    first, second = (Coin(OutPoint(parent.txid, vout), parent.outputs[vout], KINDS["p2wpkh"], 0) for vout in (0, 1))
    child, sibling = spend([first], [b"\x51"]), spend([second], [b"\x51"])
    other = spend(coins[1:], [script])
    duel.must_accept(duel.draft([parent], fees=1_000).build())
    for txs in ([parent], [parent, child], [other, parent], [child, parent]):
        assert duel.judge(duel.draft(txs).build()) == "bad-txns-BIP30"
    duel.must_accept(duel.draft([child], fees=1_000).build())
    for txs in ([parent], [child], [parent, child], [other, child]):
        assert duel.judge(duel.draft(txs).build()) == "bad-txns-BIP30"
    duel.must_accept(duel.draft([sibling], fees=1_000).build())
    assert duel.judge(duel.draft([parent]).build()) == "bad-txns-inputs-missingorspent"
    assert duel.judge(duel.draft([other, parent, sibling]).build()) == "bad-txns-BIP30"


def test_an_invalid_block_does_not_poison_the_honest_one_of_the_same_hash(duel: Duel) -> None:
    coins = [coin for coin in duel.mature() if coin.kind is KINDS["p2wpkh"]][:2]
    txs = [spend([coin], [coin.output.script_pubkey]) for coin in coins]
    honest = duel.draft(txs, fees=2_000).build()
    twice = replace(honest, transactions=(*honest.transactions, honest.transactions[-1]))
    stripped = replace(honest, transactions=(honest.transactions[0], *(with_first_input(tx, witness=()) for tx in txs)))
    assert duel.judge(twice) == "bad-txns-duplicate"
    assert duel.judge(stripped) == "bad-witness-merkle-match"
    assert duel.judge(honest) == ""


def test_both_agree_when_a_branch_overtakes(duel: Duel) -> None:
    fork = duel.draft()
    old = [duel.draft().build()]
    duel.must_accept(old[0])
    first = fork.build()
    assert duel.judge(first) == ""
    assert duel.kernel.tip == old[0].hash, "the block that came first stays"
    second = duel.draft()
    second.prev_hash = first.hash
    assert duel.judge(second.build()) == ""
    assert duel.kernel.tip == second.build().hash

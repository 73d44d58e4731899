"""LDK's way to follow the chain, by its own calls: confirmations, reorganisations, and spends of watched outputs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from bitcoin.core import CTransaction

from shared.primitives.transaction import Transaction
from tests.builders import key, output_of, p2wpkh, pay
from tests.e2e.conftest import COIN, Stack
from tests.e2e.lightning_sync import Confirmable, Esplora, EsploraSync

RECEIVED = COIN // 10
NODE, PEER = key("node of lightning"), key("peer of lightning")
_numbers = count(1)


@pytest.fixture(params=["", "/api"], ids=["root", "api"])
def sync(stack: Stack, request: pytest.FixtureRequest) -> EsploraSync:
    return EsploraSync(Esplora(stack.state.explorer_url.rstrip("/") + request.param))


def fund(stack: Stack, satoshis: int = RECEIVED) -> tuple[str, int]:
    """An output of `NODE` that is in the pool."""
    amount = satoshis + next(_numbers)  # tells this payment's output from the others
    script = p2wpkh(NODE).hex()
    txid = str(stack.explorer.post(f"/1/r/faucetScript?script={script}&value={amount}", None))
    [output] = [coin for coin in stack.explorer.get(f"/1/a/{script}/unspents") if coin["txId"] == txid]
    return txid, output["vout"]


def spend(stack: Stack, outpoint: tuple[str, int]) -> str:
    """Broadcast a payment of an output of `NODE` to `PEER`; return its txid."""
    funding = Transaction.parse(bytes.fromhex(stack.rpc("getrawtransaction", outpoint[0])))
    tx = pay(output_of(funding, outpoint[1], NODE), PEER, RECEIVED // 2)
    return str(stack.rpc("sendrawtransaction", tx.serialize().hex()))


def mine(stack: Stack, blocks: int = 1) -> list[str]:
    return list(stack.explorer.post(f"/1/r/generate?count={blocks}", None))


def reorganise(stack: Stack, block_hash: str) -> None:
    """Replace a block and all above it by more blocks with only a coinbase."""
    depth = stack.height() - stack.explorer.get(f"/api/block/{block_hash}")["height"] + 1
    stack.rpc("invalidateblock", block_hash)
    address = stack.balance("creator")["address"]
    for _ in range(depth + 1):
        stack.rpc("generateblock", address, [])


def place(stack: Stack, txid: str) -> tuple[int, str]:
    status = stack.explorer.get(f"/api/tx/{txid}/status")
    return status["block_height"], status["block_hash"]


def test_a_registered_transaction_is_confirmed_reorganised_out_and_confirmed_again(
    stack: Stack, sync: EsploraSync
) -> None:
    ours = Confirmable()
    txid, _ = fund(stack)
    sync.register_tx(txid)
    sync.sync([ours])
    assert (ours.confirmed, ours.best) == ({}, (stack.height(), stack.explorer.get("/api/blocks/tip/hash")))

    [first] = mine(stack)
    sync.sync([ours])
    assert ours.confirmed[txid][:2] == (stack.height(), first)
    assert sync.watched_txs == set()

    reorganise(stack, first)
    sync.sync([ours])
    assert ours.confirmed == {}
    assert ours.best[0] == stack.height()

    [second] = mine(stack)
    sync.sync([ours])
    assert ours.confirmed[txid][:2] == place(stack, txid) == (stack.height(), second)
    assert ours.calls == [("confirmed", txid), ("unconfirmed", txid), ("confirmed", txid)]


def test_a_transaction_that_a_reorganisation_moves_to_another_block_is_confirmed_there(
    stack: Stack, sync: EsploraSync
) -> None:
    ours = Confirmable()
    txid, _ = fund(stack)
    sync.register_tx(txid)
    [first] = mine(stack)
    sync.sync([ours])
    stack.rpc("invalidateblock", first)
    mine(stack, 2)
    sync.sync([ours])
    assert ours.confirmed[txid][:2] == place(stack, txid)
    assert ours.confirmed[txid][1] != first
    assert ours.calls == [("confirmed", txid), ("unconfirmed", txid), ("confirmed", txid)]


def test_the_spend_of_a_watched_output_is_found_lost_and_found_again(stack: Stack, sync: EsploraSync) -> None:
    ours = Confirmable()
    outpoint = fund(stack)
    mine(stack)
    sync.register_output(outpoint)
    sync.sync([ours])
    spender = spend(stack, outpoint)
    assert sync.client.output_status(outpoint)["status"] == {"confirmed": False}
    sync.sync([ours])
    assert ours.confirmed == {}

    [block_hash] = mine(stack)
    sync.sync([ours])
    assert ours.confirmed[spender][:2] == (stack.height(), block_hash)
    assert sync.watched_outputs == set()

    reorganise(stack, block_hash)
    sync.sync([ours])
    assert ours.confirmed == {}
    assert sync.watched_outputs == {outpoint}
    mine(stack)
    sync.sync([ours])
    assert ours.confirmed[spender][:2] == place(stack, spender)


def test_transactions_are_told_in_the_order_of_the_chain_with_their_positions(stack: Stack, sync: EsploraSync) -> None:
    ours = Confirmable()
    txids = [fund(stack)[0] for _ in range(7)]
    [block_hash] = mine(stack)
    for txid in reversed(txids):
        sync.register_tx(txid)
    sync.sync([ours])
    in_block = stack.explorer.get(f"/api/block/{block_hash}/txids")
    assert {txid: in_block[position] for txid, (_, _, position) in ours.confirmed.items()} == {t: t for t in txids}
    assert [txid for _, txid in ours.calls] == sorted(txids, key=in_block.index)


def test_a_tip_that_moves_during_a_sync_makes_it_begin_again(stack: Stack, sync: EsploraSync) -> None:
    """The client's reads fit together although the chain moved, or it notices the move by the tip's hash."""
    ours = Confirmable()
    outpoint = fund(stack)
    sync.register_tx(outpoint[0])
    [first] = mine(stack)
    moves: list[Callable[[], object]] = [lambda: reorganise(stack, first), lambda: mine(stack)]
    client = sync.client
    read_tx = client.tx

    def while_the_chain_moves(txid: str) -> CTransaction | None:
        if moves:
            moves.pop(0)()
        return read_tx(txid)

    client.tx = while_the_chain_moves  # type: ignore[method-assign]
    sync.sync([ours])
    assert sync.restarts >= 1
    sync.sync([ours])
    mine(stack)
    sync.sync([ours])
    assert ours.confirmed[outpoint[0]][:2] == place(stack, outpoint[0])
    assert ours.calls == [("confirmed", outpoint[0])]

"""Which transactions a block gets, and in which order."""

from __future__ import annotations

import pytest

from services.mempool.mining import template
from shared.bus.events import BlockTemplate
from shared.errors import DecodeError
from shared.primitives.block import Block
from shared.primitives.merkle import block_merkle_root, root_from_branch
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut


def transaction(number: int, size: int = 100) -> Transaction:
    return Transaction(2, (TxIn(OutPoint(bytes([number + 1]) * 32, 0), bytes(size)),), (TxOut(1, b""),), 0)


def filled(message: BlockTemplate, extranonce: bytes) -> bytes:
    return bytes.fromhex(message.coinbase_prefix) + extranonce + bytes.fromhex(message.coinbase_suffix)


def build(txs: list[Transaction]) -> template.Template:
    return template.build(
        job_id="j",
        txs=txs,
        reward=5_000,
        script_pubkey=b"\x51",
        height=300,
        previous_hash=bytes(32),
        bits=0x207FFFFF,
        time=2_000,
        min_time=1_000,
    )


def test_a_solution_becomes_the_block_that_the_merkle_branch_promised() -> None:
    txs = [transaction(n) for n in range(5)]
    made = build(txs)
    message = made.message
    coinbase = (
        bytes.fromhex(message.coinbase_prefix) + b"x" * message.extranonce_size + bytes.fromhex(message.coinbase_suffix)
    )
    block = made.complete(bytes(80), coinbase)
    assert isinstance(block, Block)
    assert list(block.transactions[1:]) == txs
    assert block.transactions[0].serialize(include_witness=False) == coinbase
    branch = [bytes.fromhex(node) for node in message.merkle_branch]
    assert root_from_branch(block.transactions[0].txid, branch, 0) == block_merkle_root(block)[0]
    assert block.transactions[0].inputs[0].script_sig.startswith(b"\x02\x2c\x01")
    assert block.transactions[0].outputs[0] == TxOut(5_000, b"\x51")


@pytest.mark.parametrize(
    ("header", "coinbase"), [(b"", None), (bytes(79), None), (bytes(80), b""), (bytes(80), b"\x00" * 10)]
)
def test_a_solution_that_does_not_decode_is_named(header: bytes, coinbase: bytes | None) -> None:
    made = build([])
    good = filled(made.message, bytes(made.message.extranonce_size))
    with pytest.raises(DecodeError):
        made.complete(header, good if coinbase is None else coinbase)

"""Small valid blocks and chains of headers on regtest, for the consensus tests."""

from dataclasses import replace

from shared.consensus.block_check import (
    WITNESS_RESERVED_VALUE,
    BlockContext,
    bip34_height_push,
    commitment_script,
)
from shared.consensus.params import REGTEST
from shared.consensus.pow import bits_to_target
from shared.consensus.subsidy import block_subsidy
from shared.primitives.block import Block, BlockHeader
from shared.primitives.merkle import block_merkle_root, witness_merkle_root
from shared.primitives.transaction import NULL_OUTPOINT, SEQUENCE_FINAL, OutPoint, Transaction, TxIn, TxOut

CONTEXT = BlockContext(
    height=120,
    prev_hash=b"\x11" * 32,
    prev_time=1_700_000_000,
    median_time_past=1_699_999_000,
    expected_bits=0x207FFFFF,
)
NOW = 1_700_000_100


class Headers:
    """A branch in memory: a HeaderSource."""

    def __init__(self, headers):
        self._headers = headers

    def header_at(self, height):
        return self._headers[height]


def header(time=0, bits=0x207FFFFF):
    return BlockHeader(4, bytes(32), bytes(32), time, bits, 0)


def payment(number=1, *, lock_time=0, sequence=SEQUENCE_FINAL, witness=(), value=1000, version=2):
    tx_in = TxIn(OutPoint(number.to_bytes(32, "little"), 0), b"", sequence, tuple(witness))
    return Transaction(version, (tx_in,), (TxOut(value, b"\x51"),), lock_time)


def coinbase(height, *, script_sig=None, witness=(), outputs=None):
    script_sig = bip34_height_push(height) + b"\x00" if script_sig is None else script_sig
    outputs = (TxOut(block_subsidy(height, REGTEST), b"\x51"),) if outputs is None else outputs
    return Transaction(2, (TxIn(NULL_OUTPOINT, script_sig, SEQUENCE_FINAL, tuple(witness)),), outputs)


def committed(height, transactions):
    """Return coinbase and transactions with a witness commitment."""
    bare = coinbase(height, witness=(WITNESS_RESERVED_VALUE,))
    root = witness_merkle_root(Block(header(), (bare, *transactions)))
    outputs = (*bare.outputs, TxOut(0, commitment_script(root)))
    return (coinbase(height, witness=(WITNESS_RESERVED_VALUE,), outputs=outputs), *transactions)


def mined(transactions, *, params=REGTEST, merkle_root=None, **changes):
    """Return a block on CONTEXT with enough proof of work."""
    block = Block(header(), tuple(transactions))
    root = block_merkle_root(block)[0] if merkle_root is None else merkle_root
    fields = {"version": 4, "prev_hash": CONTEXT.prev_hash, "time": NOW, "bits": CONTEXT.expected_bits} | changes
    candidate = BlockHeader(merkle_root=root, nonce=0, **fields)
    target = min(bits_to_target(candidate.bits), params.pow_limit) or params.pow_limit
    while int.from_bytes(candidate.hash, "little") > target:
        candidate = replace(candidate, nonce=candidate.nonce + 1)
    return Block(candidate, block.transactions)

"""Builds block templates: a block's transactions with the coinbase around a miner's extranonce."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from shared.bus.events import BlockTemplate, NextBlock
from shared.consensus.block_check import WITNESS_RESERVED_VALUE, bip34_height_push, commitment_script
from shared.crypto.hashes import sha256d
from shared.errors import DecodeError
from shared.primitives.block import Block, BlockHeader
from shared.primitives.hex import display_hash
from shared.primitives.merkle import merkle_branch, merkle_root, root_from_branch
from shared.primitives.transaction import NULL_OUTPOINT, Transaction, TxIn, TxOut

EXTRANONCE_SIZE = 24
BLOCK_VERSION = 0x20000000
"""Signals no deployment (BIP9)."""


@dataclass(frozen=True, slots=True)
class Template:
    """A block without its proof of work; `message` is the part that miners receive."""

    message: BlockTemplate
    txs: tuple[Transaction, ...]
    """All transactions except the coinbase."""
    job_id: str
    """Id of the mining request that the template is for."""
    previous_hash: bytes

    def complete(self, header: bytes, coinbase: bytes) -> Block:
        """Return the block of a miner's solution; `DecodeError` if header or coinbase do not decode."""
        return complete(header, coinbase, self.txs)

    def unsolved(self) -> Block:
        """Return the complete block without its proof of work."""
        message = self.message
        coinbase = bytes.fromhex(message.coinbase_prefix + "00" * message.extranonce_size + message.coinbase_suffix)
        root = root_from_branch(sha256d(coinbase), [bytes.fromhex(node) for node in message.merkle_branch], 0)
        header = BlockHeader(message.version, self.previous_hash, root, message.time, message.bits, 0)
        return self.complete(header.serialize(), coinbase)


def complete(header: bytes, coinbase: bytes, txs: Sequence[Transaction] = ()) -> Block:
    """Return the block of a miner's solution; `DecodeError` if header or coinbase do not decode.

    The coinbase comes without its witness, which is the reserved value of BIP141. Nothing is checked: the block goes
    through full validation like any other.
    """
    tx = Transaction.parse(coinbase)
    if len(tx.inputs) != 1:
        raise DecodeError("a coinbase has one input")
    txin = tx.inputs[0]
    witnessed = TxIn(txin.prevout, txin.script_sig, txin.sequence, (WITNESS_RESERVED_VALUE,))
    full = Transaction(tx.version, (witnessed,), tx.outputs, tx.lock_time)
    return Block(BlockHeader.parse(header), (full, *txs))


def build(
    *,
    job_id: str,
    txs: Sequence[Transaction],
    reward: int,
    script_pubkey: bytes,
    height: int,
    previous_hash: bytes,
    bits: int,
    time: int,
    min_time: int,
    next_blocks: tuple[NextBlock, ...] = (),
) -> Template:
    """Return the template of a block with these transactions that pays `reward` satoshis to `script_pubkey`."""
    prefix, suffix = coinbase_parts(height, reward, script_pubkey, [tx.wtxid for tx in txs])
    branch = merkle_branch([bytes(32), *(tx.txid for tx in txs)], 0)  # the coinbase's own txid is in none
    message = BlockTemplate(
        id=secrets.token_hex(8),
        height=height,
        version=BLOCK_VERSION,
        previous_hash=display_hash(previous_hash),
        bits=bits,
        time=time,
        min_time=min_time,
        coinbase_prefix=prefix.hex(),
        coinbase_suffix=suffix.hex(),
        extranonce_size=EXTRANONCE_SIZE,
        merkle_branch=tuple(node.hex() for node in branch),
        next_blocks=next_blocks,
    )
    return Template(message, tuple(txs), job_id, previous_hash)


def coinbase_parts(height: int, reward: int, script_pubkey: bytes, wtxids: Sequence[bytes] = ()) -> tuple[bytes, bytes]:
    """Return a coinbase without witness up to a miner's extranonce, and the rest of it.

    `wtxids` are those of the block's other transactions.
    """
    witness_root, _ = merkle_root([bytes(32), *wtxids])
    marker = secrets.token_bytes(EXTRANONCE_SIZE)
    script_sig = bip34_height_push(height) + bytes([EXTRANONCE_SIZE]) + marker
    commitment = TxOut(0, commitment_script(witness_root))
    coinbase = Transaction(2, (TxIn(NULL_OUTPOINT, script_sig),), (TxOut(reward, script_pubkey), commitment), 0)
    prefix, suffix = coinbase.serialize(include_witness=False).split(marker)
    return prefix, suffix

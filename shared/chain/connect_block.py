"""Connects a block to an overlay, checking every rule that needs coins, and disconnects it again.

The block has passed `check_block`, `check_header_context` and `check_block_context`. Source: Core's ConnectBlock and
DisconnectBlock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.chain.overlay import Overlay
from shared.consensus.limits import MAX_BLOCK_SIGOPS_COST, is_money
from shared.consensus.params import ChainParams
from shared.consensus.script_flags import block_flags
from shared.consensus.subsidy import block_subsidy
from shared.consensus.tx_verify import check_tx_inputs, sequence_locks, sigop_cost
from shared.errors import ValidationError
from shared.primitives.block import Block
from shared.primitives.coin import Coin
from shared.primitives.transaction import OutPoint, Transaction, TxOut
from shared.reasons import Reason
from shared.script.flags import Flags
from shared.script.standard import is_unspendable


class ScriptVerifier(Protocol):
    """Runs the scripts of all inputs of a transaction."""

    def verify(self, tx: Transaction, spent: list[TxOut], flags: Flags, reason: Reason) -> None:
        """Raise `ValidationError` with this reason if a script fails."""


@dataclass(slots=True)
class ConnectedBlock:
    """The coins spent and the fees paid by a block's transactions other than the coinbase, in the block's order."""

    spent: list[list[Coin]] = field(default_factory=list)
    fees: list[int] = field(default_factory=list)
    """Satoshis."""


def connect_block(
    overlay: Overlay,
    block: Block,
    height: int,
    params: ChainParams,
    *,
    median_time_past: int,
    mtp_at: Callable[[int], int],
    verifier: ScriptVerifier,
) -> ConnectedBlock:
    """Apply a block to the overlay and return its payments.

    `median_time_past` is the parent's, in seconds; `mtp_at` returns the median time past of this branch's block at a
    height.
    Raises `ValidationError`; the overlay is then of no further use.
    """
    from_outside = _spent_from_outside(block)
    overlay.prefetch([*_created_where_checked(block, params), *from_outside])
    if block.hash not in params.bip30_exceptions:
        _check_no_overwrite(overlay, block, from_outside, params)
    flags = block_flags(height, params, block.hash)
    has_sequence_locks = height >= params.csv_height
    payments = ConnectedBlock()
    fees = sigops = 0
    for position, tx in enumerate(block.transactions):
        spent_outputs: list[TxOut] = []
        if position:
            coins = [overlay.coin(txin.prevout) for txin in tx.inputs]
            fee = check_tx_inputs(tx, coins, height, params)
            payments.fees.append(fee)
            fees += fee
            if not is_money(fees):
                raise ValidationError(Reason.BAD_TXNS_ACCUMULATED_FEE_OUTOFRANGE)
            spent_outputs = [coin.output for coin in coins if coin is not None]
            if has_sequence_locks:
                heights = [coin.height for coin in coins if coin is not None]
                if not sequence_locks(tx, heights, mtp_at).are_met(height, median_time_past):
                    raise ValidationError(Reason.BAD_TXNS_NONFINAL, f"sequence locks of {tx.txid_hex} are not met")
        sigops += sigop_cost(tx, spent_outputs, flags)
        if sigops > MAX_BLOCK_SIGOPS_COST:
            raise ValidationError(Reason.BAD_BLK_SIGOPS, "too many sigops")
        if position:
            verifier.verify(tx, spent_outputs, flags, Reason.BLOCK_SCRIPT_VERIFY_FLAG_FAILED)
        spent = overlay.apply(tx, height, position)
        if position:
            payments.spent.append(spent)
    reward = fees + block_subsidy(height, params)
    claimed = sum(output.value for output in block.transactions[0].outputs)
    if claimed > reward:
        raise ValidationError(Reason.BAD_CB_AMOUNT, f"coinbase pays too much ({claimed} vs {reward} satoshis)")
    return payments


def disconnect_block(overlay: Overlay, block: Block, undo: list[list[Coin]]) -> None:
    """Take a block off the overlay, last transaction first."""
    if len(undo) != len(block.transactions) - 1:
        raise ValueError(f"undo data of {len(undo)} transactions for a block of {len(block.transactions)}")
    overlay.prefetch(touched_by_disconnect(block))
    for tx, spent in zip(block.transactions[:0:-1], undo[::-1], strict=True):
        overlay.revert(tx, spent)
    overlay.revert(block.transactions[0], [])


def touched_by_connect(block: Block, params: ChainParams) -> Iterator[OutPoint]:
    """Yield the coins that `connect_block` looks up, so that the coins of several blocks can be prefetched at once."""
    yield from _created_where_checked(block, params)
    yield from _spent_from_outside(block)


def touched_by_disconnect(block: Block) -> Iterator[OutPoint]:
    """Yield the coins that `disconnect_block` looks up."""
    for tx in block.transactions:
        for vout, output in enumerate(tx.outputs):
            if not is_unspendable(output.script_pubkey):
                yield OutPoint(tx.txid, vout)
    for tx in block.transactions[1:]:
        for txin in tx.inputs:
            yield txin.prevout


def _created(txs: Sequence[Transaction]) -> list[OutPoint]:
    return [OutPoint(tx.txid, vout) for tx in txs for vout in range(len(tx.outputs))]


def _created_where_checked(block: Block, params: ChainParams) -> list[OutPoint]:
    """Return the outputs that are looked up for BIP30 before it is known whether a coin is missing."""
    return _created(block.transactions if _may_repeat(params) else block.transactions[:1])


def _spent_from_outside(block: Block) -> list[OutPoint]:
    """Return the outpoints that a block spends, except those of its own transactions."""
    own = {tx.txid for tx in block.transactions}
    return [txin.prevout for tx in block.transactions[1:] for txin in tx.inputs if txin.prevout.txid not in own]


def _check_no_overwrite(overlay: Overlay, block: Block, from_outside: Sequence[OutPoint], params: ChainParams) -> None:
    """Raise `ValidationError` for a transaction whose txid still has unspent outputs (BIP30).

    Looking up every output would double the coins that a block reads. Where no transaction can be valid twice, a block
    that repeats one spends a coin that is gone, so only a block with a missing coin has all its outputs looked up.
    """
    txs = block.transactions
    if not _may_repeat(params) and all(overlay.coin(prevout) is not None for prevout in from_outside):
        txs = txs[:1]
    outpoints = _created(txs)
    for outpoint, coin in zip(outpoints, overlay.coins(outpoints), strict=True):
        if coin is not None:
            raise ValidationError(Reason.BAD_TXNS_BIP30, f"tried to overwrite transaction {outpoint}")


def _may_repeat(params: ChainParams) -> bool:
    """Tell whether a chain can have a txid twice.

    It can if two of its coinbases may be equal: then the transactions that spend them may be, and so on. From BIP34 on
    each coinbase has its own height; the genesis block's has none, but no one can spend it on most chains.
    """
    return params.bip34_height > 1 or params.genesis_spendable

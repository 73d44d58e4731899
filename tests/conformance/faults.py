"""What may be wrong with a transaction or a block, one fault at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from msgspec import structs

from shared.consensus.limits import MAX_MONEY
from shared.primitives.transaction import NULL_OUTPOINT, OutPoint, Transaction, TxIn, TxOut
from shared.script.script import push_number
from tests.conformance.duel import Draft, far_future
from tests.conformance.payments import ODD_OUTPUTS

FRESH = OutPoint(b"\x77" * 32, 0)


def with_first_input(tx: Transaction, **changes: Any) -> Transaction:
    return replace(tx, inputs=(structs.replace(tx.inputs[0], **changes), *tx.inputs[1:]))


def with_first_output(tx: Transaction, **changes: Any) -> Transaction:
    return replace(tx, outputs=(structs.replace(tx.outputs[0], **changes), *tx.outputs[1:]))


def flipped(data: bytes, at: int) -> bytes:
    return data[: at % len(data)] + bytes([data[at % len(data)] ^ 1]) + data[at % len(data) + 1 :] if data else b"\x01"


def flip_unlocking(tx: Transaction, number: int) -> Transaction:
    tx_in = tx.inputs[0]
    if not tx_in.witness:
        return with_first_input(tx, script_sig=flipped(tx_in.script_sig, number))
    items = list(tx_in.witness)
    items[number % len(items)] = flipped(items[number % len(items)], number // 7)
    return with_first_input(tx, witness=tuple(items))


# What may be wrong with a transaction once it is signed; a number says how.
TX_FAULTS: dict[str, Callable[[Transaction, int], Transaction]] = {
    "unlocking changed": flip_unlocking,
    "output changed after signing": lambda tx, n: with_first_output(tx, value=max(tx.outputs[0].value - 1, 0)),
    "creates coins": lambda tx, n: with_first_output(tx, value=MAX_MONEY),
    "negative output": lambda tx, n: with_first_output(tx, value=-1),
    "output too large": lambda tx, n: with_first_output(tx, value=MAX_MONEY + 1),
    "outputs too large together": lambda tx, n: replace(tx, outputs=(TxOut(MAX_MONEY, b""), TxOut(1, b""))),
    "no outputs": lambda tx, n: replace(tx, outputs=()),
    "no inputs": lambda tx, n: replace(tx, inputs=()),
    "an input twice": lambda tx, n: replace(tx, inputs=(*tx.inputs, tx.inputs[0])),
    "a coin of nobody": lambda tx, n: with_first_input(tx, prevout=FRESH),
    "null input": lambda tx, n: replace(tx, inputs=(*tx.inputs, TxIn(NULL_OUTPOINT, b"ab"))),
    "null input alone": lambda tx, n: replace(tx, inputs=(TxIn(NULL_OUTPOINT, b"ab"),)),
    "one witness item more": lambda tx, n: with_first_input(tx, witness=(b"", *tx.inputs[0].witness)),
    "an annex": lambda tx, n: with_first_input(tx, witness=(*tx.inputs[0].witness, b"\x50annex")),
    "no witness": lambda tx, n: with_first_input(tx, witness=()),
    "scriptSig longer": lambda tx, n: with_first_input(tx, script_sig=b"\x51" + tx.inputs[0].script_sig),
    "scriptSig that does more": lambda tx, n: with_first_input(tx, script_sig=tx.inputs[0].script_sig + b"\x61"),
    "another version": lambda tx, n: replace(tx, version=(0, 1, 3, 0xFFFFFFFF)[n % 4]),
    "another lock time": lambda tx, n: replace(tx, lock_time=tx.lock_time + 1),
    "another sequence": lambda tx, n: with_first_input(tx, sequence=(0, 1, 2, 1 << 22, 1 << 31, 0xFFFFFFFF)[n % 6]),
}


def set_draft(**changes: Any) -> Callable[[Draft, int], None]:
    """A fault that gives fields of the draft values made from the draft and a number."""

    def change(draft: Draft, number: int) -> None:
        for name, make in changes.items():
            setattr(draft, name, make(draft, number))

    return change


def pay_more(amount: int) -> Callable[[Draft, int], list[TxOut]]:
    return lambda draft, n: [
        structs.replace(draft.outputs[0], value=draft.outputs[0].value + amount),
        *draft.outputs[1:],
    ]


def also(*outputs: TxOut) -> Callable[[Draft, int], list[TxOut]]:
    return lambda draft, n: [*draft.outputs, *outputs]


def one_of(*values: Any) -> Callable[[Draft, int], Any]:
    return lambda draft, n: values[n % len(values)]


def always(value: Any) -> Callable[[Draft, int], Any]:
    return lambda draft, n: value


# What may be wrong with a block, or merely unusual.
BLOCK_FAULTS: dict[str, Callable[[Draft, int], None]] = {
    "version": set_draft(version=one_of(0, 1, 2, 3, 4, -1, 0x7FFFFFFF)),
    "time": set_draft(time=lambda d, n: (d.mtp, d.mtp + 1, 0, far_future(), 0xFFFFFFFF)[n % 5]),
    "bits": set_draft(bits=one_of(0x207FFFFE, 0x1D00FFFF, 0x2100FFFF, 0, 0xFF123456, 0x04923456)),
    "unknown parent": set_draft(prev_hash=always(b"\x09" * 32)),
    "height": set_draft(script_sig=lambda d, n: push_number(d.height + 1 - 2 * (n % 2)) + b"\x00"),
    "long height": set_draft(script_sig=lambda d, n: b"\x03" + d.height.to_bytes(3, "little")),
    "size of the coinbase's script": set_draft(
        script_sig=lambda d, n: (d.script_sig + bytes(200))[: (2, 3, 99, 100, 101)[n % 5]]
    ),
    "coinbase pays a satoshi too much": set_draft(outputs=pay_more(1)),
    "coinbase leaves a satoshi": set_draft(outputs=pay_more(-1)),
    "coinbase with odd outputs": set_draft(outputs=also(*(TxOut(0, script) for script in ODD_OUTPUTS.values()))),
    "coinbase with a negative output": set_draft(outputs=also(TxOut(-1, b""))),
    "coinbase with lock time": set_draft(
        lock_time=lambda d, n: (d.height - 1, d.height, d.mtp - 1, d.mtp)[n % 4],
        sequence=one_of(0, 0, 0, 0, 0xFFFFFFFF),
    ),
    "no commitment": set_draft(commitments=always([])),
    "wrong commitment": set_draft(commitments=always([lambda script: flipped(script, 20)])),
    "wrong commitment last": set_draft(commitments=always([lambda script: script, lambda script: flipped(script, 7)])),
    "right commitment last": set_draft(commitments=always([lambda script: flipped(script, 7), lambda script: script])),
    "short commitment": set_draft(commitments=always([lambda script: script[:-1]])),
    "long commitment": set_draft(commitments=always([lambda script: script + b"more"])),
    "reserved value": set_draft(
        witness=one_of((), (b"",), (bytes(31),), (bytes(33),), (bytes(32), b""), (b"\x07" * 32,))
    ),
    "merkle root": set_draft(replace_root=always(bytes(32))),
    "last transaction twice": set_draft(mutate=always(lambda txs: [*txs, txs[-1]])),
    "last transaction twice in the root": set_draft(arrange=always(lambda txs: [*txs, txs[-1]])),
    "no transactions": set_draft(mutate=always(lambda txs: []), replace_root=always(bytes(32))),
    "backwards": set_draft(arrange=always(lambda txs: [txs[0], *txs[:0:-1]])),
    "coinbase last": set_draft(arrange=always(lambda txs: [*txs[1:], txs[0]])),
    "two coinbases": set_draft(arrange=always(lambda txs: [txs[0], replace(txs[0], lock_time=1), *txs[1:]])),
    "witness changed later": set_draft(
        mutate=always(lambda txs: [*txs[:-1], with_first_input(txs[-1], witness=(b"x" * 32,))])
    ),
}

"""Computes the new parts of the transactions that a commit adds, removes, or spends from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.chain.codec import (
    PART_OUTPUTS,
    StoredOutput,
    TxPart,
    encode_coin,
    encode_location,
    encode_tx_part,
    part_field,
)
from shared.chain.overlay import Overlay

_NOTHING = TxPart(None, ())


def change_txs(
    overlay: Overlay, read_parts: Callable[[Sequence[bytes]], Sequence[TxPart | None]]
) -> list[tuple[bytes, bytes | None]]:
    """Return the fields of all changed parts with their new values, None for a part that goes.

    `read_parts` returns committed parts by their fields: those of transactions that stay, and whose outputs are spent
    or restored.
    """
    locations = {txid: encode_location(where) for txid, where in overlay.txs.items() if where is not None}
    gone = overlay.txs.keys() - locations.keys()
    fields: dict[bytes, bytes | None] = dict.fromkeys(gone)
    parts: dict[bytes, dict[int, StoredOutput]] = {txid: {} for txid in locations}
    committed: list[bytes] = []
    for outpoint, coin in overlay.touched():
        field = part_field(outpoint)
        if outpoint.txid in gone:
            fields[field] = None
            continue
        part = parts.get(field)
        if part is None:
            part = parts[field] = {}
            if outpoint.txid not in locations:
                committed.append(field)
        place = outpoint.vout % PART_OUTPUTS
        if coin is not None:
            part[place] = encode_coin(coin)
        else:
            spend = overlay.spends.get(outpoint)
            part[place] = None if spend is None else (spend.txid, spend.vin)
    before = dict(zip(committed, read_parts(committed), strict=True))
    for field, changed in parts.items():
        stored = before.get(field) or _NOTHING
        outputs = list(stored.outputs)
        outputs += [None] * (max(changed, default=-1) + 1 - len(outputs))
        for place, output in changed.items():
            outputs[place] = output
        fields[field] = encode_tx_part(locations.get(field, stored.location), outputs)
    return list(fields.items())

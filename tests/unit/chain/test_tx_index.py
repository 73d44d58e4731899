"""The parts of transactions that a commit writes: all of those it adds, and what changes of those it spends from."""

from __future__ import annotations

from collections.abc import Sequence

from shared.chain.codec import (
    PART_OUTPUTS,
    StoredOutput,
    TxLocation,
    TxPart,
    decode_tx_part,
    encode_coin,
    encode_location,
    encode_tx_part,
    part_field,
)
from shared.chain.overlay import Overlay
from shared.chain.tx_index import change_txs
from shared.primitives.coin import Coin
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from tests.builders import key, p2wpkh

ALICE = p2wpkh(key("alice"))
PLACE = TxLocation(b"\x07" * 32, 1, 2, 3, 4)


class Stored:
    """Committed parts, by field: the store of a chain, without Redis."""

    def __init__(self) -> None:
        self.fields: dict[bytes, bytes] = {}
        self.reads: list[list[bytes]] = []

    def coins(self, outpoints: Sequence[OutPoint]) -> list[Coin | None]:
        found = []
        for outpoint in outpoints:
            part = self.part(part_field(outpoint))
            output = None if part is None else part.coin(outpoint.vout)
            found.append(None if output is None else _coin(outpoint.vout))
        return found

    def part(self, field: bytes) -> TxPart | None:
        return decode_tx_part(self.fields[field]) if field in self.fields else None

    def parts(self, fields: Sequence[bytes]) -> list[TxPart | None]:
        self.reads.append(list(fields))
        return [self.part(field) for field in fields]

    def commit(self, overlay: Overlay) -> None:
        for field, value in change_txs(overlay, self.parts):
            if value is None:
                self.fields.pop(field, None)
            else:
                self.fields[field] = value


def _coin(vout: int, height: int = 9) -> Coin:
    return Coin(TxOut(1_000 + vout, ALICE), height, False)


def _tx(number: int, outputs: int, *spends: OutPoint) -> Transaction:
    return Transaction(
        2, tuple(TxIn(each, b"", number) for each in spends), tuple(_coin(n).output for n in range(outputs))
    )


def _apply(overlay: Overlay, *txs: Transaction) -> list[list[Coin]]:
    spent = [overlay.apply(tx, 9, position) for position, tx in enumerate(txs, 1)]
    overlay.txs.update((tx.txid, PLACE) for tx in txs)
    return spent


OLD = OutPoint(b"\x01" * 32, 2)
MANY = _tx(1, 2 * PART_OUTPUTS + 1, OLD)


def _base() -> Stored:
    stored = Stored()
    stored.fields[OLD.txid] = encode_tx_part(encode_location(PLACE), [encode_coin(_coin(n)) for n in range(3)])
    return stored


def _outputs(*changed: tuple[int, StoredOutput], count: int = PART_OUTPUTS, first: int = 0) -> list[StoredOutput]:
    outputs: list[StoredOutput] = [encode_coin(_coin(first + n)) for n in range(count)]
    for place, output in changed:
        outputs[place] = output
    return outputs


def test_a_new_transaction_has_its_location_once_and_each_output_in_its_part() -> None:
    stored = _base()
    overlay = Overlay(stored)
    _apply(overlay, MANY)
    stored.commit(overlay)
    parts = [stored.part(part_field(OutPoint(MANY.txid, vout))) for vout in (0, 8, 16)]
    assert [part and part.decoded_location() for part in parts] == [PLACE, None, None]
    assert [part and list(part.outputs) for part in parts] == [
        _outputs(),
        _outputs(first=8),
        _outputs(count=1, first=16),
    ]
    assert stored.fields[OLD.txid] == encode_tx_part(encode_location(PLACE), _outputs((2, (MANY.txid, 0)), count=3)), (
        "the output is spent, the others and the location stay"
    )
    assert stored.reads == [[OLD.txid]], "what is new is not looked for"


def test_an_output_that_is_spent_in_its_own_block_is_stored_with_its_spender_alone() -> None:
    stored = _base()
    overlay = Overlay(stored)
    child = _tx(2, 1, OutPoint(MANY.txid, 9))
    _apply(overlay, MANY, child)
    stored.commit(overlay)
    part = stored.part(part_field(OutPoint(MANY.txid, 9)))
    assert part is not None
    assert list(part.outputs) == _outputs((1, (child.txid, 0)), first=8)


def test_whatever_is_taken_back_leaves_the_bytes_that_were_there() -> None:
    stored = _base()
    child = _tx(2, 1, OutPoint(MANY.txid, 9), OutPoint(OLD.txid, 0))
    before = dict(stored.fields)
    overlay = Overlay(stored)
    spent = _apply(overlay, MANY)
    stored.commit(overlay)
    between = dict(stored.fields)
    overlay = Overlay(stored)
    child_spent = _apply(overlay, child)
    stored.commit(overlay)
    overlay = Overlay(stored)
    overlay.revert(child, child_spent[0])
    stored.commit(overlay)
    assert stored.fields == between
    overlay = Overlay(stored)
    overlay.revert(MANY, spent[0])
    stored.commit(overlay)
    assert stored.fields == before


def test_a_transaction_that_leaves_and_comes_back_in_one_change_is_written_whole() -> None:
    """A reorganisation may mine it at the same height again, so that its coins are no change."""
    stored = _base()
    overlay = Overlay(stored)
    child = _tx(2, 1, OutPoint(MANY.txid, 3))
    spent = _apply(overlay, MANY, child)
    stored.commit(overlay)
    overlay = Overlay(stored)
    overlay.revert(child, spent[1])
    overlay.revert(MANY, spent[0])
    other = _tx(3, 1, OutPoint(MANY.txid, 3))
    _apply(overlay, MANY, other)
    stored.commit(overlay)
    part = stored.part(MANY.txid)
    assert part is not None
    assert list(part.outputs) == _outputs((3, (other.txid, 0)))
    later = [stored.part(part_field(OutPoint(MANY.txid, vout))) for vout in (8, 16)]
    assert [part and list(part.outputs) for part in later] == [_outputs(first=8), _outputs(count=1, first=16)]
    assert child.txid not in stored.fields
    assert stored.reads[-1] == [OLD.txid]


def test_outputs_that_nobody_can_spend_take_no_place_at_the_end() -> None:
    stored = _base()
    data = TxOut(0, b"\x6a\x01x")
    tx = Transaction(2, (TxIn(OLD, b"", 0),), (data, _coin(1).output, *[data] * PART_OUTPUTS))
    overlay = Overlay(stored)
    _apply(overlay, tx)
    stored.commit(overlay)
    assert stored.fields.keys() == {OLD.txid, tx.txid}
    assert stored.fields[tx.txid] == encode_tx_part(encode_location(PLACE), [None, encode_coin(_coin(1))])

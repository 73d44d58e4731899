"""Values of the history of replacements, byte by byte."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.chain.codec import (
    PoolEntry,
    Replaced,
    decode_replaced,
    decode_replaces,
    encode_pool_entry,
    encode_replaced,
    encode_replaces,
)
from shared.primitives.transaction import OutPoint, TxOut
from tests.builders import Spendable, key, p2wpkh, pay

ALICE = key("alice")
TX = pay(Spendable(OutPoint(b"\x01" * 32, 0), TxOut(100_000, p2wpkh(ALICE)), ALICE), ALICE, 50_000)
ENTRY = PoolEntry(TX.wtxid, 1_000, TX.vsize, TX.weight, 1, 1_700_000_000, 7)
hashes = st.binary(min_size=32, max_size=32)


@given(hashes, st.integers(0, 2**64 - 1))
def test_a_replaced_transaction_is_its_replacement_time_entry_and_bytes(replaced_by: bytes, time: int) -> None:
    record = Replaced(TX, ENTRY, replaced_by, time)
    data = encode_replaced(record)
    assert data == replaced_by + time.to_bytes(8, "little") + encode_pool_entry(ENTRY) + TX.serialize()
    assert decode_replaced(data) == record


@given(st.lists(hashes), st.lists(hashes))
def test_what_was_replaced_directly_comes_first(direct: list[bytes], descendants: list[bytes]) -> None:
    data = encode_replaces(direct, descendants)
    assert data == len(direct).to_bytes(4, "little") + b"".join(direct + descendants)
    assert decode_replaces(data) == (direct, descendants)

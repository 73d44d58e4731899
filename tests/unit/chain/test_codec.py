"""Values in Redis, byte by byte: replacements, counters of scripts, and the scripts of the pool."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.chain.codec import (
    PoolEntry,
    Replaced,
    decode_pool_script,
    decode_replaced,
    decode_replaces,
    encode_pool_entry,
    encode_pool_script,
    encode_replaced,
    encode_replaces,
    pool_script_range,
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


counts = st.integers(0, 2**63 - 1)


@given(hashes, hashes, counts, counts, hashes)
def test_a_script_of_the_pool_sorts_by_script_then_by_entry(
    script: bytes, other: bytes, first: int, second: int, txid: bytes
) -> None:
    members = [encode_pool_script(script, sequence, txid) for sequence in (first, second)]
    assert [decode_pool_script(member) for member in members] == [(first, txid), (second, txid)]
    assert sorted(members) == [encode_pool_script(script, sequence, txid) for sequence in sorted((first, second))]
    low, high = (bound[1:] for bound in pool_script_range(script))
    assert all(low <= member < high for member in members)
    if other != script:
        assert not low <= encode_pool_script(other, first, txid) < high

"""The bytes of the chain's values, written out: data of another version must be read as it was written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus import events
from shared.bus.events import BlockConnected, TxAccepted, TxRejected
from shared.chain import codec
from shared.chain.codec import (
    BlockEntry,
    BlockFees,
    BlockStatus,
    LayoutEntry,
    PoolEntry,
    PoolSample,
    ScriptStats,
    Spend,
    TxLocation,
)
from shared.errors import DecodeError
from shared.primitives.block import Block, BlockHeader
from shared.primitives.coin import Coin
from shared.primitives.transaction import NULL_OUTPOINT, OutPoint, Transaction, TxIn, TxOut

HEADER = BlockHeader(2, b"\x01" * 32, b"\x02" * 32, 3, 0x207FFFFF, 5)


def little(*numbers: tuple[int, int]) -> bytes:
    """Return the bytes of (number, size in bytes) pairs, little-endian."""
    return b"".join(number.to_bytes(size, "little") for number, size in numbers)


def test_the_numbers_that_are_stored_stay_what_they_are() -> None:
    assert codec.FORMAT == 3
    assert {status.name: int(status) for status in BlockStatus} == {
        "HAVE_DATA": 1,
        "CONNECTED": 2,
        "FAILED": 4,
        "FAILED_PARENT": 8,
    }


def test_a_script_without_history_counts_nothing_and_a_balance_is_what_is_left() -> None:
    assert ScriptStats() == ScriptStats(0, 0, 0, 0, 0)
    assert ScriptStats(3, 2, 1_000, 1, 400).balance == 600


@pytest.mark.parametrize(("height", "coinbase", "code"), [(0, False, 0), (0, True, 1), (7, False, 14), (7, True, 15)])
def test_a_coin_is_its_height_with_a_flag_its_value_and_its_script(height: int, coinbase: bool, code: int) -> None:
    coin = Coin(TxOut(21_000_000 * 10**8, b"\x51\x52"), height, coinbase)
    data = little((code, 4), (21_000_000 * 10**8, 8)) + b"\x51\x52"
    assert codec.encode_coin(coin) == data
    assert codec.decode_coin(data) == coin


@given(st.integers(0, 2**31 - 1), st.booleans(), st.integers(0, 2**62), st.binary(max_size=40))
def test_any_coin_comes_back(height: int, coinbase: bool, value: int, script: bytes) -> None:
    coin = Coin(TxOut(value, script), height, coinbase)
    assert codec.decode_coin(codec.encode_coin(coin)) == coin


@pytest.mark.parametrize(
    ("vout", "field"),
    [
        (0, b""),
        (7, b""),
        (8, little((1, 4))),
        (15, little((1, 4))),
        (16, little((2, 4))),
        (2**32 - 1, little((2**29 - 1, 4))),
    ],
)
def test_a_part_has_eight_outputs_and_the_first_is_found_by_the_txid(vout: int, field: bytes) -> None:
    assert codec.PART_OUTPUTS == 8
    txid = b"\x07" * 32
    assert codec.part_field(OutPoint(txid, vout)) == txid + field
    part = codec.TxPart(None, [b"coin"] * 8)
    outpoints = codec.part_outpoints(txid + field, part)
    assert outpoints[vout % 8] == OutPoint(txid, vout)
    assert [outpoint.vout % 8 for outpoint in outpoints] == list(range(8))


def test_a_part_of_a_transaction_is_its_location_and_its_outputs() -> None:
    place, txid = codec.encode_location(TxLocation(b"\x07" * 32, 1, 2, 3, 4)), b"\x09" * 32
    data = codec.encode_tx_part(place, [b"coin", None, (txid, 300), None, None])
    spend = b"\x92\xc4\x20" + txid + b"\xcd\x01\x2c"
    assert data == b"\x94\xc4\x30" + place + b"\xc4\x04coin" + b"\xc0" + spend
    part = codec.decode_tx_part(data)
    assert part.decoded_location() == TxLocation(b"\x07" * 32, 1, 2, 3, 4)
    assert [part.coin(vout) for vout in range(8)] == [b"coin", *[None] * 7]
    assert [part.spend(vout) for vout in range(8)] == [None, None, Spend(txid, 300), *[None] * 5]
    assert part.coin(8) == b"coin", "of a later part the first output is number 8"
    later = codec.encode_tx_part(None, [None, b"coin"])
    assert later == b"\x93\xc0\xc0\xc4\x04coin"
    assert codec.decode_tx_part(later).decoded_location() is None
    assert codec.encode_tx_part(place, []) == b"\x91\xc4\x30" + place


@pytest.mark.parametrize(
    ("head", "tail", "size"),
    [(b"\0\x14", b"", 4), (b"\x51\x20", b"", 4), (b"\xa9\x14", b"\x87", 4), (b"\x76\xa9\x14", b"\x88\xac", 5)],
)
def test_scripts_that_begin_alike_are_a_group(head: bytes, tail: bytes, size: int) -> None:
    one, two = head + b"\x01\x02\x04" + tail, head + b"\x01\x02\x03" + tail
    group = codec.script_group(one)
    assert group == codec.script_group(two) == head + b"\x01\x02"
    assert len(group) == size
    rest = bytes([0xC4, 1 + len(tail)])
    data = b"\x92" + rest + b"\x03" + tail + rest + b"\x04" + tail
    assert codec.encode_script_group([one, two]) == data
    assert codec.decode_script_group(group, data) == [two, one]


def test_a_script_record_is_its_counters_its_history_and_its_coins() -> None:
    old, new = b"\x09" * 32, b"\x01" * 32
    coins = [new + little((0, 4)), old + little((513, 4)), old + little((258, 4))]
    data = codec.encode_script_record(ScriptStats(2, 3, 70_000, 0, 5), ({new: (8 << 20) + 1, old: 7 << 20}, coins))
    head = b"\x97\x02\x03\xce" + (70_000).to_bytes(4, "big") + b"\0\x05"
    history = bytes.fromhex("000000700000") + old + bytes.fromhex("000000800001") + new
    places = b"\0" + little((513, 4)) + b"\0" + little((258, 4)) + b"\1" + little((0, 4))
    assert data == head + b"\xc4\x4c" + history + b"\xc4\x0f" + places
    record = codec.decode_script_record(data)
    assert record.stats == ScriptStats(2, 3, 70_000, 0, 5)
    assert record.history() == [(7 << 20, old), ((8 << 20) + 1, new)]
    assert record.coins() == [(7, coins[1]), (7, coins[2]), (8, coins[0])]


def test_a_script_of_many_has_its_counters_alone() -> None:
    stats = ScriptStats(33, 33, 2**53, 0, 0)
    data = codec.encode_script_record(stats, None)
    assert data == b"\x97\x21\x21\xcf" + (2**53).to_bytes(8, "big") + b"\0\0\xc0\xc0"
    record = codec.decode_script_record(data)
    assert (record.stats, record.packed) == (stats, None)
    for read in (record.history, record.coins):
        with pytest.raises(ValueError, match="sorted sets"):
            read()


@pytest.mark.parametrize(
    ("stats", "is_packed"),
    [
        (ScriptStats(), True),
        (ScriptStats(32, 40, 0, 8, 0), True),
        (ScriptStats(33, 33, 0, 33, 0), False),
        (ScriptStats(1, 33, 0, 0, 0), False),
        (ScriptStats(2, 34, 0, 2, 0), True),
    ],
)
def test_more_than_32_transactions_or_coins_are_many(stats: ScriptStats, is_packed: bool) -> None:
    assert codec.MOST_PACKED == 32
    assert stats.is_packed == is_packed


def test_a_place_is_its_block_and_four_numbers() -> None:
    place = TxLocation(b"\x07" * 32, 1, 2, 3, 4)
    data = b"\x07" * 32 + little((1, 4), (2, 4), (3, 4), (4, 4))
    assert codec.encode_location(place) == data
    assert codec.decode_location(data) == place


def test_a_spend_is_its_transaction_and_input() -> None:
    data = b"\x07" * 32 + little((258, 4))
    assert codec.encode_spend(Spend(b"\x07" * 32, 258)) == data
    assert codec.decode_spend(data) == Spend(b"\x07" * 32, 258)


def test_a_block_of_the_index() -> None:
    status = BlockStatus.HAVE_DATA | BlockStatus.FAILED_PARENT
    entry = BlockEntry(HEADER, 1, 2**200 + 1, status, 3, 4, 5, 6, 7)
    work = (2**200 + 1).to_bytes(32, "big")
    data = HEADER.serialize() + little((1, 4)) + work + bytes([9]) + little((3, 4), (4, 4), (5, 4), (6, 8), (7, 8))
    assert codec.encode_block_entry(entry) == data
    assert codec.decode_block_entry(data) == entry
    assert (entry.hash, entry.failed) == (HEADER.hash, True)


@pytest.mark.parametrize(("status", "failed"), [(0, False), (3, False), (4, True), (8, True), (7, True)])
def test_a_block_failed_if_it_or_one_below_it_breaks_a_rule(status: int, failed: bool) -> None:
    assert BlockEntry(HEADER, 1, 1, BlockStatus(status), 1, 1, 1, 1, 1).failed is failed


def test_an_entry_of_the_pool() -> None:
    entry = PoolEntry(b"\x07" * 32, 1, 2, 3, 4, 5, 6)
    data = b"\x07" * 32 + little((1, 8), (2, 4), (3, 4), (4, 4), (5, 8), (6, 8))
    assert codec.encode_pool_entry(entry) == data
    assert codec.decode_pool_entry(data) == entry


def test_what_a_block_paid_and_a_sample_of_the_pool() -> None:
    fees = BlockFees(1_000, (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 1e6))
    data = codec.encode_block_fees(fees)
    assert data[:8] == little((1_000, 8))
    assert len(data) == 64
    assert codec.decode_block_fees(data) == fees
    assert codec.decode_pool_sample(little((60, 8), (2, 8), (3, 8), (4, 8))) == PoolSample(60, 2, 3, 4)


def test_a_place_in_a_history_is_a_height_and_a_position_in_the_block() -> None:
    last = 2**20 - 1
    assert codec.history_score(3, 5) == 3 * 2**20 + 5
    assert codec.history_score(0, last) < codec.history_score(1, 0)
    assert codec.split_history_score(float(codec.history_score(2**31 - 1, last))) == (2**31 - 1, last)
    assert codec.split_history_score(float(codec.history_score(3, 0))) == (3, 0)
    with pytest.raises(DecodeError, match="position 1048576"):
        codec.history_score(1, last + 1)


def block(count: int) -> tuple[Block, list[list[Coin]]]:
    """Return a block with `count` transactions, and the coins that they spend: the nth spends n coins."""
    coin = Coin(TxOut(5, b"\x51"), 1, False)
    txs = [Transaction(2, (TxIn(NULL_OUTPOINT, b"\x01\x01", 0),), (TxOut(1, b""),), 0)]
    for number in range(1, count):
        inputs = tuple(TxIn(OutPoint(bytes([number]) * 32, vin), b"", 0) for vin in range(number))
        txs.append(Transaction(2, inputs, (TxOut(number, b"\x51" * number),), 0))
    return Block(HEADER, tuple(txs)), [[coin] * number for number in range(1, count)]


@pytest.mark.parametrize("count", [1, 2, 5, 253, 254])
def test_any_part_of_a_block_and_of_what_it_spent_is_read_alone(count: int) -> None:
    """Counts above 252 take 3 bytes: the count of 253 transactions does, the count of their 252 payments does not."""
    one, spent = block(count)
    stored = codec.store_block(one, spent)
    raw = one.serialize()
    assert codec.decode_undo(stored.undo) == spent
    assert codec.block_head(count) == (83 if count > 252 else 81, 3 if count - 1 > 252 else 1)
    layout = codec.decode_layout(stored.layout)
    assert [entry.txid for entry in layout] == [tx.txid for tx in one.transactions]
    assert codec.decode_layout_txids(stored.layout) == [tx.txid for tx in one.transactions]
    assert layout[-1] == LayoutEntry(one.transactions[-1].txid, len(raw), len(stored.undo))
    assert codec.LAYOUT_ENTRY_SIZE == len(stored.layout) // count == 40
    for place, tx, coins in zip(stored.locations, one.transactions, [[], *spent], strict=True):
        assert place.block_hash == one.hash
        assert raw[place.offset : place.offset + place.length] == tx.serialize()
        part = stored.undo[place.spent_offset : place.spent_offset + place.spent_length]
        assert codec.decode_spent(part) == ([coins] if coins else [])
    assert stored.locations[0].spent_length == 0


def test_undo_data_that_are_cut_short_or_go_on_are_refused() -> None:
    stored = codec.store_block(*block(3))
    for data in (stored.undo[:-1], stored.undo + b"\x00"):
        with pytest.raises(DecodeError, match="undo"):
            codec.decode_undo(data)
    with pytest.raises(ValueError, match="zip"):
        codec.store_block(block(3)[0], [])


def test_an_event_has_the_number_of_its_entry_and_is_a_fact() -> None:
    fact = BlockConnected(hash="00" * 32, height=1, time=2, tx_count=3)
    fields = {b"topic": b"block.connected", b"body": events.encode(fact)}
    found = codec.decode_event(7, fields)
    assert (found.seq, type(found)) == (7, BlockConnected)
    assert isinstance(codec.decode_event(8, {b"topic": b"tx.accepted", b"body": _accepted()}), TxAccepted)
    rejected = {b"topic": b"tx.rejected", b"body": events.encode(TxRejected(txid="aa", reason="x"))}
    with pytest.raises(DecodeError, match="event 9 is no fact"):
        codec.decode_event(9, rejected)


def _accepted() -> bytes:
    return events.encode(TxAccepted(txid="aa", wtxid="bb", fee=1, vsize=1))


def test_an_outpoint_is_36_bytes() -> None:
    outpoint = OutPoint(b"\x07" * 32, 258)
    assert codec.decode_outpoint(b"\x07" * 32 + little((258, 4))) == outpoint

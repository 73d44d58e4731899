"""Where reading stops: the least that an item takes, the longest form of a size, the edges of a target."""

import pytest

from shared.errors import DecodeError
from shared.primitives.block import Block
from shared.primitives.serialize import MAX_SIZE, Reader, compact_size_length, pack_compact_size
from shared.primitives.target import bits_to_target, target_to_bits
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut

VERSION, LOCK = b"\x02\x00\x00\x00", bytes(4)
INPUT = bytes(36) + b"\x00" + b"\xff" * 4
OUTPUT = bytes(8) + b"\x00"


@pytest.mark.parametrize(
    ("size", "length"),
    [(0, 1), (252, 1), (253, 3), (0xFFFF, 3), (0x10000, 5), (0xFFFFFFFF, 5), (0x100000000, 9), (2**64 - 1, 9)],
)
def test_a_compact_size_takes_one_three_five_or_nine_bytes(size, length):
    packed = pack_compact_size(size)
    assert compact_size_length(size) == len(packed) == length
    assert Reader(packed).compact_size("size", limit=2**64) == size
    with pytest.raises(DecodeError, match=f"size {size} is larger than {size - 1}"):
        Reader(packed).compact_size("size", limit=size - 1)


@pytest.mark.parametrize("packed", ["fdfc00", "feffff0000", "ffffffffff00000000"], ids=["252", "65535", "4294967295"])
def test_a_size_is_not_written_longer_than_it_need_be(packed):
    with pytest.raises(DecodeError, match="non-canonical"):
        Reader(bytes.fromhex(packed)).compact_size("size", limit=2**64)


def test_no_size_is_larger_than_32_mib():
    assert MAX_SIZE == 33_554_432
    assert Reader(pack_compact_size(MAX_SIZE)).compact_size("size") == MAX_SIZE
    with pytest.raises(DecodeError):
        Reader(pack_compact_size(MAX_SIZE + 1)).compact_size("size")


@pytest.mark.parametrize("size", [0, 1, 252, 253, 300])
def test_a_byte_string_of_any_length_ends_where_it_says(size):
    data = pack_compact_size(size) + b"x" * size
    reader = Reader(data + b"rest")
    assert reader.var_bytes("data") == b"x" * size
    assert (reader.remaining, reader.position) == (4, len(data))
    assert Reader(data).var_bytes("data", limit=size) == b"x" * size
    with pytest.raises(DecodeError, match="larger than"):
        Reader(pack_compact_size(size + 1) + b"x" * (size + 1)).var_bytes("data", limit=size)
    if size:
        with pytest.raises(DecodeError, match=f"data: {size} bytes needed, {size - 1} left"):
            Reader(data[:-1]).var_bytes("data")


def test_a_count_is_believed_if_what_is_left_can_hold_it():
    for spare, fits in ((0, True), (-1, False)):
        reader = Reader(pack_compact_size(3) + bytes(3 * 41 + spare))
        if fits:
            assert reader.count("inputs", 41) == 3
        else:
            with pytest.raises(DecodeError, match="3 of them do not fit into the 122 bytes left"):
                reader.count("inputs", 41)


def test_the_smallest_transactions_and_blocks_are_read():
    raw = VERSION + b"\x01" + INPUT + b"\x01" + OUTPUT + LOCK
    tx = Transaction.parse(raw)
    assert (tx.inputs, tx.outputs) == ((TxIn(OutPoint(bytes(32), 0), b"", 0xFFFFFFFF),), (TxOut(0, b""),))
    assert (tx.size, tx.weight, tx.vsize) == (60, 240, 60)
    many = VERSION + b"\x03" + INPUT * 3 + b"\x04" + OUTPUT * 4 + LOCK
    assert Transaction.parse(many).serialize() == many
    empty = VERSION + b"\x00\x00" + LOCK
    block = bytes(80) + b"\x02" + empty * 2
    assert Block.parse(block).serialize() == block
    assert Block.parse(block).size == len(block)


@pytest.mark.parametrize(("extra", "vsize"), [(0, 61), (1, 62), (2, 62), (3, 62), (4, 62), (5, 63)])
def test_a_virtual_size_is_rounded_up(extra, vsize):
    tx = Transaction(2, (TxIn(OutPoint(bytes(32), 0), b"", 0, (bytes(extra),)),), (TxOut(0, b""),))
    assert tx.weight == 4 * 60 + 4 + extra
    assert tx.vsize == vsize


def test_only_the_first_flag_bit_announces_witnesses():
    inputs = b"\x01" + INPUT + b"\x01" + OUTPUT
    assert Transaction.parse(VERSION + b"\x00\x01" + inputs + b"\x01\x01x" + LOCK).inputs[0].witness == (b"x",)
    for flag in (2, 3, 0x81):
        with pytest.raises(DecodeError, match="unknown optional data"):
            Transaction.parse(VERSION + bytes([0, flag]) + inputs + b"\x01\x01x" + LOCK)


@pytest.mark.parametrize(
    ("bits", "target"),
    [
        (0x00FFFFFF, 0),
        (0x01003456, 0),
        (0x01123456, 0x12),
        (0x02008000, 0x80),
        (0x02123456, 0x1234),
        (0x03123456, 0x123456),
        (0x04123456, 0x12345600),
        (0x04923456, 0),
        (0x2000FFFF, 0xFFFF << 232),
        (0x207FFFFF, 0x7FFFFF << 232),
        (0x2100FFFF, 0xFFFF << 240),
        (0x210100FF, 0),
        (0x220000FF, 0xFF << 248),
        (0x22000100, 0),
        (0x230000FF, 0),
        (0xFF123456, 0),
    ],
)
def test_compact_targets_at_their_edges(bits, target):
    assert bits_to_target(bits) == target


@pytest.mark.parametrize(
    ("target", "bits"),
    [
        (0, 0),
        (0x12, 0x01120000),
        (0x7F, 0x017F0000),
        (0x80, 0x02008000),
        (0x7FFF, 0x027FFF00),
        (0x8000, 0x03008000),
        (0x7FFFFF, 0x037FFFFF),
        (0x800000, 0x04008000),
        (0x12345678, 0x04123456),
        ((1 << 256) - 1, 0x2100FFFF),
    ],
)
def test_targets_in_compact_form_at_their_edges(target, bits):
    assert target_to_bits(target) == bits

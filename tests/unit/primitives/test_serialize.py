import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import DecodeError
from shared.primitives import serialize
from shared.primitives.hex import display_hash, parse_display_hash, parse_hex
from shared.primitives.serialize import (
    MAX_SIZE,
    Reader,
    compact_size_length,
    pack_compact_size,
    pack_var_bytes,
)

sizes = st.integers(0, (1 << 64) - 1)


@given(sizes)
def test_compact_sizes_round_trip(size):
    packed = pack_compact_size(size)
    assert len(packed) == compact_size_length(size)
    reader = Reader(packed)
    assert reader.compact_size("size", limit=(1 << 64) - 1) == size
    reader.finish("size")


@pytest.mark.parametrize(
    ("size", "packed"),
    [
        (0, "00"),
        (252, "fc"),
        (253, "fdfd00"),
        (0xFFFF, "fdffff"),
        (0x10000, "fe00000100"),
        (0xFFFFFFFF, "feffffffff"),
        (0x100000000, "ff0000000001000000"),
    ],
)
def test_compact_sizes_have_their_shortest_form(size, packed):
    assert pack_compact_size(size).hex() == packed


@pytest.mark.parametrize("packed", ["fd0000", "fdfc00", "fe00000000", "feffff0000", "ff" + "ff" * 4 + "00" * 4])
def test_longer_forms_of_a_compact_size_are_refused(packed):
    with pytest.raises(DecodeError, match="field: non-canonical"):
        Reader(bytes.fromhex(packed)).compact_size("field", limit=1 << 64)


def test_a_compact_size_over_the_limit_is_refused():
    assert MAX_SIZE == 0x02000000
    assert Reader(pack_compact_size(MAX_SIZE)).compact_size("field") == MAX_SIZE
    with pytest.raises(DecodeError, match="field: size 33554433 is larger"):
        Reader(pack_compact_size(MAX_SIZE + 1)).compact_size("field")


@pytest.mark.parametrize(
    ("name", "size", "lowest", "highest"),
    [
        ("u16", 2, 0, (1 << 16) - 1),
        ("u32", 4, 0, (1 << 32) - 1),
        ("u64", 8, 0, (1 << 64) - 1),
        ("i32", 4, -(1 << 31), (1 << 31) - 1),
        ("i64", 8, -(1 << 63), (1 << 63) - 1),
    ],
)
@given(data=st.data())
def test_integers_round_trip_in_little_endian(name, size, lowest, highest, data):
    value = data.draw(st.integers(lowest, highest))
    packed = getattr(serialize, f"pack_{name}")(value)
    assert packed == value.to_bytes(size, "little", signed=lowest < 0)
    reader = Reader(packed)
    assert getattr(reader, name)("field") == value
    assert reader.remaining == 0


@pytest.mark.parametrize(("name", "size"), [("u8", 1), ("u16", 2), ("u32", 4), ("u64", 8), ("i32", 4), ("i64", 8)])
def test_a_truncated_integer_says_what_was_read(name, size):
    with pytest.raises(DecodeError, match=f"field: {size} bytes needed, {size - 1} left"):
        getattr(Reader(bytes(size - 1)), name)("field")


@given(st.binary(max_size=600))
def test_byte_strings_round_trip(data):
    reader = Reader(pack_var_bytes(data))
    assert reader.var_bytes("field") == data
    reader.finish("field")


@pytest.mark.parametrize("packed", ["", "05aabb", "fd", "fdfd00aa", "fe00000001", "feffffff7f"])
def test_a_truncated_byte_string_is_refused(packed):
    with pytest.raises(DecodeError, match="field:"):
        Reader(bytes.fromhex(packed)).var_bytes("field")


@pytest.mark.parametrize("size", [11, 300])
def test_a_byte_string_over_its_limit_is_refused(size):
    with pytest.raises(DecodeError, match="larger than 10"):
        Reader(pack_var_bytes(bytes(size))).var_bytes("field", limit=10)


def test_take_never_reads_past_the_end():
    reader = Reader(b"abc")
    assert reader.take(2, "field") == b"ab"
    with pytest.raises(DecodeError, match="field: 2 bytes needed, 1 left"):
        reader.take(2, "field")
    assert reader.take(1, "field") == b"c"


def test_trailing_bytes_are_refused():
    with pytest.raises(DecodeError, match="message: 3 bytes too many"):
        Reader(b"abc").finish("message")


def test_a_count_that_cannot_be_met_is_refused_before_anything_is_allocated():
    packed = pack_compact_size(1_000_000) + bytes(100)
    with pytest.raises(DecodeError, match="items: 1000000 of them"):
        Reader(packed).count("items", 10)
    assert Reader(pack_compact_size(10) + bytes(100)).count("items", 10) == 10


@given(st.binary(min_size=32, max_size=32))
def test_display_hashes_are_reversed_and_round_trip(hash_bytes):
    text = display_hash(hash_bytes)
    assert bytes.fromhex(text) == hash_bytes[::-1]
    assert parse_display_hash(text) == hash_bytes
    assert parse_display_hash(text.upper()) == hash_bytes


@pytest.mark.parametrize("text", ["", "00" * 31, "00" * 33, "zz" * 32, "00" * 30 + "  00", "0x" + "00" * 31, "é" * 64])
def test_what_is_no_hash_is_refused(text):
    with pytest.raises(DecodeError):
        parse_display_hash(text)


@pytest.mark.parametrize("text", ["0", "00 00", "0g", " 00"])
def test_what_is_no_plain_hex_is_refused(text):
    with pytest.raises(DecodeError, match="thing is not hex"):
        parse_hex(text, "thing")

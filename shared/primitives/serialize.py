"""Reads and writes Bitcoin's binary format: little-endian integers, compact sizes, byte strings.

`Reader` checks every length before it reads, so a truncated or hostile message ends in a DecodeError that names the
field, never in an IndexError or a huge allocation. A `pack_` function mirrors each method of `Reader`.
"""

from __future__ import annotations

from struct import Struct

from shared.errors import DecodeError

# Core's MAX_SIZE: the largest compact size in a message or script.
MAX_SIZE = 0x02000000

_U16 = Struct("<H")
_U32 = Struct("<I")
_U64 = Struct("<Q")
_I32 = Struct("<i")
_I64 = Struct("<q")

pack_u16 = _U16.pack
pack_u32 = _U32.pack
pack_u64 = _U64.pack
pack_i32 = _I32.pack
pack_i64 = _I64.pack

_SMALL_SIZES = tuple(bytes([size]) for size in range(253))


def pack_compact_size(size: int) -> bytes:
    """Return the shortest compact size: 1, 3, 5 or 9 bytes."""
    if size < 253:
        return _SMALL_SIZES[size]
    if size <= 0xFFFF:
        return b"\xfd" + _U16.pack(size)
    if size <= 0xFFFFFFFF:
        return b"\xfe" + _U32.pack(size)
    return b"\xff" + _U64.pack(size)


def pack_var_bytes(data: bytes) -> bytes:
    """Return the compact size of `data`, then `data`."""
    return pack_compact_size(len(data)) + data


def compact_size_length(size: int) -> int:
    """Return the length in bytes of the compact size of `size`."""
    if size < 253:
        return 1
    if size <= 0xFFFF:
        return 3
    return 5 if size <= 0xFFFFFFFF else 9


class Reader:
    """Reads forward through bytes; every method takes the `name` of the field, for its DecodeError."""

    __slots__ = ("_end", "data", "position")

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position
        self._end = len(data)

    @property
    def remaining(self) -> int:
        """The number of bytes left."""
        return self._end - self.position

    def take(self, count: int, name: str) -> bytes:
        """Return the next `count` bytes."""
        start = self.position
        end = start + count
        if end > self._end:
            raise self._truncated(count, name)
        self.position = end
        return self.data[start:end]

    def _advance(self, count: int, name: str) -> int:
        start = self.position
        end = start + count
        if end > self._end:
            raise self._truncated(count, name)
        self.position = end
        return start

    def u8(self, name: str) -> int:
        """Return an unsigned byte."""
        return self.data[self._advance(1, name)]

    def u16(self, name: str) -> int:
        """Return an unsigned 16-bit integer, little-endian."""
        value: int = _U16.unpack_from(self.data, self._advance(2, name))[0]
        return value

    def u32(self, name: str) -> int:
        """Return an unsigned 32-bit integer, little-endian."""
        value: int = _U32.unpack_from(self.data, self._advance(4, name))[0]
        return value

    def u64(self, name: str) -> int:
        """Return an unsigned 64-bit integer, little-endian."""
        value: int = _U64.unpack_from(self.data, self._advance(8, name))[0]
        return value

    def i32(self, name: str) -> int:
        """Return a signed 32-bit integer, little-endian."""
        value: int = _I32.unpack_from(self.data, self._advance(4, name))[0]
        return value

    def i64(self, name: str) -> int:
        """Return a signed 64-bit integer, little-endian."""
        value: int = _I64.unpack_from(self.data, self._advance(8, name))[0]
        return value

    def compact_size(self, name: str, limit: int = MAX_SIZE) -> int:
        """Return a compact size in its shortest form, at most `limit` (Core's ReadCompactSize)."""
        size = self.data[self._advance(1, name)]
        if size >= 253:
            if size == 253:
                size, least = self.u16(name), 253
            elif size == 254:
                size, least = self.u32(name), 0x10000
            else:
                size, least = self.u64(name), 0x100000000
            if size < least:
                raise DecodeError(f"{name}: non-canonical compact size")
        if size > limit:
            raise DecodeError(f"{name}: size {size} is larger than {limit}")
        return size

    def count(self, name: str, least_size: int) -> int:
        """Return a compact size that counts items; DecodeError if so many of `least_size` bytes cannot follow."""
        count = self.compact_size(name)
        if count * least_size > self._end - self.position:
            raise DecodeError(f"{name}: {count} of them do not fit into the {self.remaining} bytes left")
        return count

    def var_bytes(self, name: str, limit: int = MAX_SIZE) -> bytes:
        """Return a byte string that follows its compact size."""
        start = self.position
        if start < self._end and (size := self.data[start]) < 253:  # nearly all are short
            start += 1
            if size > limit:
                raise DecodeError(f"{name}: size {size} is larger than {limit}")
        else:
            size = self.compact_size(name, limit)
            start = self.position
        end = start + size
        if end > self._end:
            self.position = start
            raise self._truncated(size, name)
        self.position = end
        return self.data[start:end]

    def finish(self, name: str) -> None:
        """Raise DecodeError if bytes are left after the structure called `name`."""
        if self.position != self._end:
            raise DecodeError(f"{name}: {self.remaining} bytes too many at the end")

    def _truncated(self, count: int, name: str) -> DecodeError:
        return DecodeError(f"{name}: {count} bytes needed, {self.remaining} left")

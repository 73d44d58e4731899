"""Base58 and Base58Check: the text form of legacy addresses, WIF keys and BIP32 keys (source: Core's base58.cpp)."""

from __future__ import annotations

from shared.crypto.hashes import sha256d
from shared.errors import DecodeError

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS = {character: value for value, character in enumerate(ALPHABET)}
_CHECKSUM = 4
# The longest text this project decodes is a BIP32 key of 111 characters; work grows with the square of the length.
_MAX_TEXT = 500


def encode(data: bytes) -> str:
    """Return `data` in Base58; leading zero bytes become leading `1`s."""
    number = int.from_bytes(data, "big")
    digits = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\x00"))
    return "1" * zeros + "".join(reversed(digits))


def decode(text: str) -> bytes:
    """Return the bytes of a Base58 text; DecodeError for a character outside the alphabet."""
    if len(text) > _MAX_TEXT:
        raise DecodeError(f"Base58 text of {len(text)} characters is too long")
    number = number_of(text)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def number_of(text: str) -> int:
    """Return the number with these Base58 digits; DecodeError for a character outside the alphabet."""
    number = 0
    for character in text:
        digit = _DIGITS.get(character)
        if digit is None:
            raise DecodeError(f"{character!r} is not a Base58 character")
        number = number * 58 + digit
    return number


def encode_check(payload: bytes) -> str:
    """Return the Base58Check text of `payload`: Base58 of it and the first four bytes of its double SHA-256."""
    return encode(payload + sha256d(payload)[:_CHECKSUM])


def decode_check(text: str) -> bytes:
    """Return the payload of a Base58Check text; DecodeError if the checksum does not match."""
    data = decode(text)
    if len(data) < _CHECKSUM:
        raise DecodeError("Base58Check text is too short")
    payload, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    if sha256d(payload)[:_CHECKSUM] != checksum:
        raise DecodeError("Base58Check checksum does not match: the text was mistyped or cut")
    return payload

"""Output descriptors that callers write (BIP380 to BIP389): from text to scripts.

`embit` parses key expressions, miniscript and script trees. This module adds `addr`, `raw`, `rawtr`, `combo`, scripts
at the top level, and the checks on checksum and network. No consensus rule depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from embit import bip32, ec
from embit.base import EmbitError
from embit.descriptor import Descriptor as EmbitDescriptor
from embit.descriptor.arguments import Key
from embit.descriptor.checksum import checksum
from embit.descriptor.miniscript import Miniscript

from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.values import integer
from shared.crypto.address import AddressPrefix, decode_address
from shared.crypto.hashes import hash160
from shared.errors import DecodeError
from shared.primitives.hex import parse_hex
from shared.script.standard import p2pkh_script, p2sh_script, p2tr_script, p2wpkh_script

MAX_LENGTH = 20_000
"""Characters: longer than any descriptor of standard size."""
_MAX_DEPTH = 100
_MAX_RANGE = 20_000
"""Indexes that one call may derive (about a thousand a second); bitcoind's limit is a million."""
_SCAN_RANGE = 1_000
"""Last index of a ranged descriptor without a range."""
_BARE = ("pk(", "multi(", "sortedmulti(")
# Raised by embit for text that is no descriptor: it checks by assertions, conversions and look-ups too.
_EMBIT_ERRORS = (EmbitError, ValueError, AssertionError, IndexError, KeyError, TypeError, AttributeError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A parsed descriptor. `canonical` is its public form without checksum."""

    canonical: str
    is_ranged: bool
    is_solvable: bool
    has_private_keys: bool
    _scripts: Callable[[int], list[bytes]]
    _inner: Callable[[int], list[bytes]] = lambda _: []

    def scripts(self, index: int = 0) -> list[bytes]:
        """Return the scriptPubKeys at an index (one, but for `combo`); INVALID_ADDRESS_OR_KEY if it has none."""
        try:
            return self._scripts(index)
        except _EMBIT_ERRORS as error:
            message = f"Cannot derive script without private keys ({error})"
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, message) from None

    def inner_scripts(self, index: int = 0) -> list[bytes]:
        """Return the redeem and witness scripts at an index."""
        return self._inner(index)


def parse(text: str, prefix: AddressPrefix, *, needs_checksum: bool = False) -> Descriptor:
    """Return the descriptor of a text. Raises `RpcError` INVALID_ADDRESS_OR_KEY, which names the fault."""
    body = _without_checksum(text, needs_checksum)
    if len(body) > MAX_LENGTH or _depth(body) > _MAX_DEPTH:
        raise _invalid("the descriptor is too long or too deeply nested")
    inner = body[body.find("(") + 1 : -1]
    if body.startswith("addr("):
        try:
            script = decode_address(inner, prefix)
        except DecodeError:
            raise _invalid("Address is not valid") from None
        return _fixed(body, script)
    if body.startswith("raw("):
        try:
            return _fixed(body, parse_hex(inner, "script"))
        except DecodeError:
            raise _invalid("Raw script is not hex") from None
    try:
        return _parse_with_embit(body, prefix)
    except _EMBIT_ERRORS as error:
        raise _invalid(f"'{body[:80]}' is not a valid descriptor function ({error})") from None


def single_script(text: str, prefix: AddressPrefix) -> bytes:
    """Return the one script of a descriptor, as mining needs it (getScriptFromDescriptor)."""
    found = parse(text, prefix)
    if found.is_ranged:
        message = "Ranged descriptor not accepted. Maybe pass through deriveaddresses first?"
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    scripts = found.scripts()
    return scripts[0] if len(scripts) == 1 else scripts[min(2, len(scripts) - 1)]  # combo: P2WPKH where there is one


def scan_objects(items: Sequence[Any]) -> list[tuple[str, int, int]]:
    """Return text, first and last index of descriptors in an array of texts and objects with `desc` and `range`."""
    found = []
    for item in items:
        if isinstance(item, str):
            found.append((item, 0, _SCAN_RANGE))
            continue
        if not isinstance(item, dict):
            message = "Scan object needs to be either a string or an object"
            raise RpcError(RpcCode.INVALID_PARAMETER, message)
        if not isinstance(item.get("desc"), str):
            raise RpcError(RpcCode.INVALID_PARAMETER, "Descriptor needs to be provided in scan object")
        limits = descriptor_range(item["range"]) if item.get("range") is not None else (0, _SCAN_RANGE)
        found.append((item["desc"], *limits))
    return found


def descriptor_range(value: object) -> tuple[int, int]:
    """Return first and last index of a range: a number, or two in an array (ParseDescriptorRange)."""
    if isinstance(value, list):
        if len(value) != 2:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Range must be specified as end or as [begin,end]")
        first, last = (integer(end, -(1 << 63), (1 << 63) - 1) for end in value)
    else:
        first, last = 0, integer(value, -(1 << 63), (1 << 63) - 1)
    if first > last:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Range specified as [begin,end] must not have begin after end")
    if first < 0:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Range should be greater or equal than 0")
    if last >> 31:
        raise RpcError(RpcCode.INVALID_PARAMETER, "End of range is too high")
    if last >= first + _MAX_RANGE:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Range is too large")
    return first, last


def _invalid(message: str) -> RpcError:
    return RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, message)


def _without_checksum(text: str, is_needed: bool) -> str:
    body, mark, given = text.partition("#")
    try:
        computed = checksum(body)
    except EmbitError:
        raise _invalid("Invalid characters in payload") from None
    if not mark:
        if is_needed:
            raise _invalid("Missing checksum")
        return body
    if "#" in given:
        raise _invalid("Multiple '#' symbols")
    if len(given) != 8:
        raise _invalid(f"Expected 8 character checksum, not {len(given)} characters")
    if given != computed:
        raise _invalid(f"Provided checksum '{given}' does not match computed checksum '{computed}'")
    return body


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character in "({") - (character in ")}")
        deepest = max(deepest, depth)
    return deepest


def _fixed(text: str, script: bytes) -> Descriptor:
    if not text.endswith(")"):
        raise _invalid("the descriptor is not closed")
    return Descriptor(text, is_ranged=False, is_solvable=False, has_private_keys=False, _scripts=lambda _: [script])


def _parse_with_embit(body: str, prefix: AddressPrefix) -> Descriptor:
    name = body[: body.find("(")]
    if name in ("rawtr", "combo"):
        key = _whole(lambda stream: Key.read_from(stream, taproot=name == "rawtr"), body[len(name) + 1 : -1])
        if not body.endswith(")"):
            raise ValueError("not closed")
        _check_network([key], prefix)
        make = _rawtr if name == "rawtr" else _combo
        return Descriptor(
            f"{name}({key.to_public()})",
            is_ranged=bool(key.is_wildcard),
            is_solvable=True,
            has_private_keys=bool(key.is_private),
            _scripts=lambda index: make(key.derive(index)),
        )
    if body.startswith(_BARE):
        parsed: Any = EmbitDescriptor(_whole(Miniscript.read_from, body), sh=False, wsh=False, wpkh=False)
    else:
        parsed = EmbitDescriptor.from_string(body)
    _check_network(parsed.keys, prefix)
    if parsed.num_branches > 1:
        raise ValueError("multipath descriptors are not supported")
    return Descriptor(
        parsed.to_public().to_string(),
        is_ranged=bool(parsed.is_wildcard),
        is_solvable=True,
        has_private_keys=any(key.is_private for key in parsed.keys),
        _scripts=lambda index: [bytes(parsed.derive(index).script_pubkey().data)],
        _inner=lambda index: _inner_scripts(parsed.derive(index)),
    )


def _inner_scripts(derived: Any) -> list[bytes]:
    return [bytes(script.data) for script in (derived.redeem_script(), derived.witness_script()) if script is not None]


def _whole(read: Callable[[BytesIO], Any], text: str) -> Any:
    stream = BytesIO(text.encode())
    result = read(stream)
    if stream.read():
        raise ValueError("something follows the end")
    return result


def _check_network(keys: Sequence[Any], prefix: AddressPrefix) -> None:
    for key in keys:
        if isinstance(key.key, bip32.HDKey):
            expected = prefix.bip32_private if key.key.is_private else prefix.bip32_public
            if key.key.version != expected:
                raise ValueError("an extended key of another network")
        elif isinstance(key.key, ec.PrivateKey) and key.key.network["wif"] != bytes([prefix.wif]):
            raise ValueError("a private key of another network")


def _rawtr(key: Any) -> list[bytes]:
    return [p2tr_script(bytes(key.xonly()))]


def _combo(key: Any) -> list[bytes]:
    """P2PK and P2PKH, and for a compressed key P2WPKH and P2SH-P2WPKH."""
    public = bytes(key.sec())
    key_hash = hash160(public)
    scripts = [bytes([len(public)]) + public + b"\xac", p2pkh_script(key_hash)]
    if len(public) == 33:
        segwit = p2wpkh_script(key_hash)
        scripts += [segwit, p2sh_script(hash160(segwit))]
    return scripts

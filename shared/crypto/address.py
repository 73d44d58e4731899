"""Addresses: encodes a scriptPubKey as an address and decodes it again.

Encoding and decoding know one network's prefixes only, so nobody pays a mainnet address on a private chain by mistake.
Sources: Core's key_io.cpp, BIP13 (P2SH), BIP173 and BIP350 (segwit).
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.crypto import base58, bech32
from shared.errors import DecodeError


@dataclass(frozen=True, slots=True)
class AddressPrefix:
    """The version bytes and prefixes of one network's addresses and keys (Core's base58Prefixes, bech32_hrp)."""

    pubkey_hash: int
    script_hash: int
    wif: int
    hrp: str
    bip32_public: bytes
    bip32_private: bytes


MAINNET_PREFIX = AddressPrefix(0, 5, 128, "bc", bytes.fromhex("0488b21e"), bytes.fromhex("0488ade4"))
TESTNET_PREFIX = AddressPrefix(111, 196, 239, "tb", bytes.fromhex("043587cf"), bytes.fromhex("04358394"))
REGTEST_PREFIX = AddressPrefix(111, 196, 239, "bcrt", bytes.fromhex("043587cf"), bytes.fromhex("04358394"))

_KNOWN = {
    "Bitcoin's mainnet": MAINNET_PREFIX,
    "a Bitcoin testnet": TESTNET_PREFIX,
    "regtest": REGTEST_PREFIX,
}


class AddressNetworkError(DecodeError):
    """The address is well-formed but belongs to another network."""


def encode_address(script_pubkey: bytes, prefix: AddressPrefix) -> str | None:
    """Return the address that pays to `script_pubkey`, None if the script has no address.

    P2PKH, P2SH and witness programs of any version have an address (Core's ExtractDestination and EncodeDestination);
    a bare public key or multisig has none.
    """
    if _pays_pubkey_hash(script_pubkey):
        return base58.encode_check(bytes([prefix.pubkey_hash]) + script_pubkey[3:23])
    if _pays_script_hash(script_pubkey):
        return base58.encode_check(bytes([prefix.script_hash]) + script_pubkey[2:22])
    if _pays_witness_program(script_pubkey):
        opcode = script_pubkey[0]
        return bech32.encode_segwit(prefix.hrp, opcode - 0x50 if opcode else 0, script_pubkey[2:])
    return None


def has_address(script_pubkey: bytes) -> bool:
    """Tell whether `encode_address` returns an address for this script; the answer does not depend on the network."""
    return _pays_witness_program(script_pubkey) or _pays_pubkey_hash(script_pubkey) or _pays_script_hash(script_pubkey)


def _pays_pubkey_hash(script: bytes) -> bool:
    return len(script) == 25 and script.startswith(b"\x76\xa9\x14") and script.endswith(b"\x88\xac")


def _pays_script_hash(script: bytes) -> bool:
    return len(script) == 23 and script.startswith(b"\xa9\x14") and script.endswith(b"\x87")


def _pays_witness_program(script: bytes) -> bool:
    size = len(script)
    if not 4 <= size <= 42 or script[1] != size - 2:
        return False
    return 0x51 <= script[0] <= 0x60 or (script[0] == 0 and size in (22, 34))


def decode_address(text: str, prefix: AddressPrefix) -> bytes:
    """Return the scriptPubKey of an address.

    Raises DecodeError if the text is no address, AddressNetworkError if it belongs to another network.
    """
    if not text:
        raise DecodeError("the address is empty")
    hrp, separator, _ = text.lower().rpartition("1")
    if separator and (hrp == prefix.hrp or any(hrp == known.hrp for known in _KNOWN.values())):
        return _decode_segwit(text, prefix)
    try:
        return _decode_base58(text, prefix)
    except AddressNetworkError:
        raise
    except DecodeError as base58_error:
        try:
            found, _, _ = bech32.decode_segwit(text)
        except DecodeError:
            raise DecodeError(f"not an address: {base58_error}") from None
        raise AddressNetworkError(
            f"the address is of another network (its prefix is {found}1, this chain's is {prefix.hrp}1)"
        ) from None


def _decode_segwit(text: str, prefix: AddressPrefix) -> bytes:
    hrp, version, program = bech32.decode_segwit(text)
    if hrp != prefix.hrp:
        for network, known in _KNOWN.items():
            if known.hrp == hrp:
                raise AddressNetworkError(
                    f"the address is for {network} ({hrp}1…); addresses of this chain begin with {prefix.hrp}1"
                )
    return bytes([version + 0x50 if version else 0, len(program)]) + program


def _decode_base58(text: str, prefix: AddressPrefix) -> bytes:
    payload = base58.decode_check(text)
    if not payload:
        raise DecodeError("Base58Check text is empty")
    version, content = payload[0], payload[1:]
    if len(content) == 20:
        if version == prefix.pubkey_hash:
            return b"\x76\xa9\x14" + content + b"\x88\xac"
        if version == prefix.script_hash:
            return b"\xa9\x14" + content + b"\x87"
        for network, known in _KNOWN.items():
            if version in (known.pubkey_hash, known.script_hash):
                raise AddressNetworkError(f"the address is for {network}, not for this chain")
        raise AddressNetworkError(f"the address is of another network (its version byte is {version})")
    if version in (prefix.wif, MAINNET_PREFIX.wif, TESTNET_PREFIX.wif) and len(content) in (32, 33):
        raise DecodeError("this is a private key, not an address: never show it to anyone")
    raise DecodeError(f"an address has 20 bytes of hash, not {len(content)}")

"""The scripts with an address, in groups that lie side by side in the order of their bytes."""

from __future__ import annotations

from collections.abc import Iterable

import msgpack

_PUBKEY_HASH_HEAD = 0x76


def script_group(script_pubkey: bytes) -> bytes:
    """Return the beginning that the scripts of a group share: up to the second byte of their hash or program."""
    return script_pubkey[: 5 if script_pubkey[0] == _PUBKEY_HASH_HEAD else 4]


def encode_script_group(scripts: Iterable[bytes]) -> bytes:
    """Return a MessagePack array of the rest of each script of a group, sorted; all scripts have the same beginning."""
    encoded: bytes = msgpack.packb(sorted([script[len(script_group(script)) :] for script in scripts]))
    return encoded


def decode_script_group(group: bytes, data: bytes) -> list[bytes]:
    """Return the scripts of a group, sorted."""
    return [group + rest for rest in msgpack.unpackb(data)]

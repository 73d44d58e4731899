"""Names of miners, from the `/name/` that a miner writes into the coinbase's scriptSig. Pure."""

from __future__ import annotations

import re

from shared.errors import DecodeError
from shared.primitives.block import HEADER_SIZE
from shared.primitives.serialize import Reader
from shared.primitives.transaction import Transaction

HEAD_SIZE = 256
"""Bytes of a raw block that are enough: 80 of header, then the coinbase's input with at most 100 of scriptSig."""

_NAME = re.compile(rb"/([A-Za-z0-9._-]{1,12})/")


def miner_name(script_sig: bytes) -> str:
    """Return the name in a coinbase's scriptSig, of letters, digits, `.`, `_` and `-`; empty if there is none."""
    match = _NAME.search(script_sig)
    return match[1].decode() if match else ""


def coinbase_script(block_head: bytes) -> bytes:
    """Return the scriptSig of the coinbase from a raw block's first `HEAD_SIZE` bytes, empty if it is not in there."""
    reader = Reader(block_head)
    try:
        reader.take(HEADER_SIZE, "block header")
        reader.compact_size("transactions")
        reader.u32("transaction version")
        if reader.compact_size("inputs") == 0:  # the marker of a witness transaction
            reader.u8("transaction flags")
            reader.compact_size("inputs")
        reader.take(36, "outpoint")
        return reader.var_bytes("scriptSig")
    except DecodeError:
        return b""


def coinbase_of(block_head: bytes) -> Transaction | None:
    """Return the coinbase from the first bytes of a raw block, None if they do not have all of it."""
    reader = Reader(block_head)
    try:
        reader.take(HEADER_SIZE, "block header")
        reader.compact_size("transactions")
        return Transaction.read(reader)
    except DecodeError:
        return None

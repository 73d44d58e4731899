"""Paths of pages, for links made outside of templates. Pure."""

from __future__ import annotations

from shared.crypto.address import AddressPrefix, encode_address
from shared.crypto.hashes import sha256
from shared.primitives.hex import display_hash

TXS_PER_PAGE = 25
"""Transactions that the page of a block, address or script lists at a time."""
SIDES_PER_PAGE = 25
"""Inputs, and outputs, that a transaction's page lists at a time."""


def tx_path(txid: bytes) -> str:
    """Return the path of a transaction's page."""
    return f"/tx/{display_hash(txid)}"


def output_path(txid: bytes, vout: int) -> str:
    """Return the path of an output, on its transaction's page."""
    return f"{tx_path(txid)}{_part(vout)}#out-{vout}"


def input_path(txid: bytes, vin: int) -> str:
    """Return the path of an input, on its transaction's page."""
    return f"{tx_path(txid)}{_part(vin)}#in-{vin}"


def script_path(script: bytes, prefix: AddressPrefix) -> str:
    """Return the path of a scriptPubKey's page: by its address, or by its hash if it has no address."""
    address = encode_address(script, prefix)
    return f"/scripthash/{sha256(script).hex()}" if address is None else f"/address/{address}"


def _part(index: int) -> str:
    start = index // SIDES_PER_PAGE * SIDES_PER_PAGE
    return f"?start={start}" if start else ""

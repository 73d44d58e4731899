"""Parses the payee that a user enters into the scriptPubKey of the payment.

A payee is an address of this chain, a public key (hex or PEM, paid at its P2WPKH address) or a BIP21 `bitcoin:` URI.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from services.wallet.errors import BadInput
from services.wallet.payments.amounts import parse_amount
from shared.crypto.address import AddressNetworkError, AddressPrefix, decode_address, encode_address
from shared.crypto.pem import parse_public_key
from shared.errors import DecodeError
from shared.script.standard import p2wpkh_script

_MAX_TEXT = 16_384
_MAX_FIELDS = 50
_PUBLIC_KEY_HEX = re.compile(r"(0[2-4])([0-9a-fA-F]{2}){31,}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Payee:
    """The recipient of a payment."""

    script_pubkey: bytes
    address: str
    amount: int | None = None
    """Satoshis that a BIP21 URI requests."""
    is_public_key: bool = False


def parse_payee(value: object, prefix: AddressPrefix) -> Payee:
    """Return the payee of an address, public key or URI; `BadInput` explains why a text is none of them."""
    if not isinstance(value, str):
        raise _bad("payee-not-text", "the payee must be a text: an address or a public key")
    text = value.strip()
    if not text:
        raise _bad("payee-missing", "the payee is missing: give an address or a public key")
    if len(text) > _MAX_TEXT:
        raise _bad("payee-too-long", "the payee is too long for an address or a public key")
    if text.startswith("-----BEGIN") or _PUBLIC_KEY_HEX.fullmatch(text):
        return _from_public_key(text, prefix)
    if text[:8].lower() == "bitcoin:":
        return _from_uri(text[8:], prefix)
    return _from_address(text, prefix)


def _from_address(text: str, prefix: AddressPrefix) -> Payee:
    try:
        script_pubkey = decode_address(text, prefix)
    except AddressNetworkError as error:
        raise _bad("payee-other-network", str(error)) from None
    except DecodeError as error:
        raise _bad("payee-bad-address", str(error)) from None
    return Payee(script_pubkey, encode_address(script_pubkey, prefix) or text)


def _from_public_key(text: str, prefix: AddressPrefix) -> Payee:
    try:
        script_pubkey = p2wpkh_script(parse_public_key(text).hash160)
    except DecodeError as error:
        raise _bad("payee-bad-public-key", str(error)) from None
    return Payee(script_pubkey, encode_address(script_pubkey, prefix) or "", is_public_key=True)


def _from_uri(rest: str, prefix: AddressPrefix) -> Payee:
    address, _, query = rest.partition("?")
    payee = _from_address(unquote(address).removeprefix("//"), prefix)
    amount = None
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_FIELDS, separator="&")
    except ValueError:
        raise _bad("payee-bad-uri", f"the payment link has more than {_MAX_FIELDS} fields") from None
    for name, value in fields:
        if name == "amount":
            amount = parse_amount(value)
        elif name.startswith("req-"):  # BIP21: an unknown required parameter makes the URI invalid
            raise _bad("payee-bad-uri", f"the payment link asks for something that this wallet cannot do ({name[:40]})")
    return Payee(payee.script_pubkey, payee.address, amount)


def _bad(code: str, text: str) -> BadInput:
    return BadInput("to", code, text)

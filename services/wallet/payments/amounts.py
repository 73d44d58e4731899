"""Parses amounts and fee rates as people type them into integers, exactly and without floats.

Used at the wallet's edges only; inside, amounts are integer satoshis and fee rates satoshis per 1,000 virtual bytes.
"""

from __future__ import annotations

import re

from services.wallet.errors import BadInput
from shared.consensus.limits import MAX_MONEY
from shared.policy import MIN_RELAY_FEERATE

MAX_FEERATE = 1_000_000
"""Satoshis per 1,000 virtual bytes; a higher fee rate is refused as a mistake."""

_DECIMAL = re.compile(r"(-?)([0-9]*)(?:\.([0-9]*))?", re.ASCII)
_MAX_TEXT = 64


def parse_amount(value: object, field: str = "amount") -> int:
    """Return the satoshis of a BTC amount: a decimal string such as `0.5`, or an integer.

    Raises `BadInput` unless the value is a number (a float is refused: it is not exact), positive, a multiple of a
    satoshi and at most 21 million BTC.
    """
    return _parse(value, field, places=8, unit="BTC", maximum=MAX_MONEY, most="21,000,000 BTC")


def parse_feerate(value: object) -> int:
    """Return the satoshis per 1,000 virtual bytes of a rate in sat/vB: a decimal string or an integer."""
    rate = _parse(value, "feerate", places=3, unit="sat/vB", maximum=MAX_FEERATE, most="1,000 sat/vB")
    if rate < MIN_RELAY_FEERATE:
        least = format_feerate(MIN_RELAY_FEERATE)
        raise BadInput("feerate", "feerate-too-small", f"the fee rate must be at least {least} sat/vB")
    return rate


def format_feerate(rate: int) -> str:
    """Return satoshis per 1,000 virtual bytes as sat/vB, without trailing zeros."""
    return f"{rate // 1000}.{rate % 1000:03d}".rstrip("0").rstrip(".")


def _parse(value: object, field: str, *, places: int, unit: str, maximum: int, most: str) -> int:
    name = "amount" if field == "amount" else "fee rate"
    if isinstance(value, float):
        raise BadInput(
            field, f"{field}-not-exact", f'a JSON number with a fraction is not exact: give the {name} as a "string"'
        )
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadInput(field, f"{field}-not-a-number", f"the {name} must be a number of {unit}")
    text = str(value).strip() if isinstance(value, str) else _integer_text(value)
    if not text:
        raise BadInput(field, f"{field}-missing", f"the {name} is missing")
    match = _DECIMAL.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if match is None or not (match[2] or match[3]):
        raise BadInput(
            field, f"{field}-not-a-number", f"the {name} must be a number of {unit}, written like 12.5 (no commas)"
        )
    sign, whole, fraction = match[1], match[2] or "0", match[3] or ""
    if len(fraction) > places:
        raise BadInput(
            field, f"{field}-too-many-decimals", f"the {name} has more than {places} decimals, {unit} has no finer unit"
        )
    units = int(whole + fraction.ljust(places, "0"))
    if sign and units:
        raise BadInput(field, f"{field}-negative", f"the {name} must not be negative")
    if units == 0:
        raise BadInput(field, f"{field}-zero", f"the {name} must be more than zero")
    if units > maximum:
        raise BadInput(field, f"{field}-too-large", f"the {name} is more than {most}")
    return units


def _integer_text(value: int) -> str:
    # str() of an integer with thousands of digits raises; such a number is too large in any case.
    return str(value) if value.bit_length() <= 64 else ("-" if value < 0 else "") + "9" * 20

"""How pages write amounts and times: template filters that wallet, explorer and mine page share.

Amounts come in as integer satoshis and times as seconds since 1970; only here do they become BTC and dates.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Flask

from shared.consensus.amount import format_btc
from shared.durations import DAY, HOUR, MINUTE, duration

_AGES = ((31_557_600, "y"), (DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s"))
"""As in the explorer's static/live.js, which keeps ages right while a page is open."""
_NOW = 5
"""Seconds that count as now."""


@dataclass(frozen=True, slots=True)
class AmountParts:
    """An amount split where its trailing zeros begin, so that a page can show these faintly."""

    strong: str
    faint: str


def btc(sats: int, sign: bool = False) -> str:
    """Return satoshis as BTC with 8 decimals and thin spaces between thousands; `sign` puts + before a gain."""
    mark = "−" if sats < 0 else "+" if sign and sats > 0 else ""
    whole, _, fraction = format_btc(abs(sats)).partition(".")
    return f"{mark}{thousands(int(whole))}.{fraction}"


def btc_parts(sats: int, sign: bool = False) -> AmountParts:
    """Return `btc` split into its significant digits and trailing zeros."""
    text = btc(sats, sign)
    strong = text.rstrip("0").rstrip(".")
    return AmountParts(strong, text[len(strong) :])


def utc_iso(seconds: int) -> str:
    """Return `2026-01-02T03:04:05Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc_text(seconds: int) -> str:
    """Return `2026-01-02 03:04:05`; pages say once that times are UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def thousands(number: int) -> str:
    """Return an integer with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\u2009")


def age(seconds: float) -> str:
    """Return the age of an event: `3 min ago`; a time ahead, as block times may be, is `just now`."""
    for unit, name in _AGES:
        if seconds >= max(unit, _NOW):
            return f"{int(seconds // unit)} {name} ago"
    return "just now"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which gets an s unless it is 1: `1 block`, `2 blocks`."""
    return f"{thousands(number)} {noun}{'' if number == 1 else 's'}"


def install(app: Flask) -> None:
    """Make the filters available to the templates of `app`."""
    for function in (btc, btc_parts, utc_iso, utc_text, thousands, duration, age):
        app.jinja_env.filters[function.__name__] = function

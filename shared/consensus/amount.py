"""Amounts as text: satoshis to decimals of BTC, exactly (Core's util/moneystr.cpp and core_io). Pure."""

from __future__ import annotations

from shared.consensus.limits import COIN


def format_btc(sats: int) -> str:
    """Return satoshis as BTC with 8 decimals and no grouping: `-0.00001000` (ValueFromAmount)."""
    whole, fraction = divmod(abs(sats), COIN)
    return f"{'-' if sats < 0 else ''}{whole}.{fraction:08d}"


def format_money(sats: int) -> str:
    """Return satoshis as BTC with 2 to 8 decimals, as Core writes amounts into log and errors (FormatMoney)."""
    text = format_btc(sats)
    return text[:-6] + text[-6:].rstrip("0")

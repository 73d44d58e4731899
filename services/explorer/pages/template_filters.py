"""Texts of feerates, fees, sizes and hash rates, and the colour of a feerate. Pure.

A feerate's colour is a CSS class, `rate-0` to `rate-10` by its band (chain/fee_estimates.py), `rate-none` where nothing
was paid; static/strip.css has the colours. The number always stands beside it: nobody has to tell colours apart.
"""

from __future__ import annotations

from bisect import bisect_right

from flask import Flask

from services.explorer.chain.fee_estimates import BAND_STARTS
from shared.consensus.limits import COIN
from shared.web.formats import thousands

_SHORT_FEES = 100_000
_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")


def rate_class(rate: float | None) -> str:
    """Return the CSS class of a feerate's colour."""
    return "rate-none" if rate is None else f"rate-{bisect_right(BAND_STARTS, max(rate, 0)) - 1}"


def rate_text(rate: float) -> str:
    """Return satoshis per virtual byte as text, below 10 with one decimal."""
    return f"{rate:.1f}" if rate < 10 else thousands(round(rate))


def rate_legend() -> list[tuple[str, str]]:
    """Return the CSS class and the first feerate of each colour, lowest first."""
    labels = [f"< {BAND_STARTS[1]}", *(str(low) for low in BAND_STARTS[1:-1]), f"{BAND_STARTS[-1]}+"]
    return [(rate_class(low), label) for low, label in zip(BAND_STARTS, labels, strict=True)]


def fees_text(sats: float) -> str:
    """Return fees in satoshis, or in BTC from 100,000 satoshis on."""
    if sats < _SHORT_FEES:
        return f"{thousands(round(sats))} sat"
    return f"{sats / COIN:.4f} BTC"


def si(value: float, unit: str) -> str:
    """Return a quantity with three digits and an SI prefix: `1.28 MB`."""
    step = 0
    while abs(value) >= 999.5 and step < len(_PREFIXES) - 1:
        value, step = value / 1000, step + 1
    digits = f"{value:.0f}" if step == 0 and value == round(value) else f"{value:.3g}"
    return f"{digits} {_PREFIXES[step]}{unit}"


def install(app: Flask) -> None:
    """Make these texts available to the templates of `app`."""
    for function in (rate_class, rate_text, fees_text, si):
        app.jinja_env.filters[function.__name__] = function
    app.jinja_env.globals["rate_legend"] = rate_legend()

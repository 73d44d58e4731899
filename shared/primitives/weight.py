"""Weight: the measure of a transaction's size since segwit."""

from __future__ import annotations

from typing import Final

WITNESS_SCALE_FACTOR: Final = 4
"""Weight units of a byte outside witnesses; a byte of a witness has one (BIP141)."""

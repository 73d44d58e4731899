"""The value of the key `mode`: the mode's text, a space, and its payee's script in hex."""

from __future__ import annotations

from shared.errors import DecodeError
from shared.mining_mode import MANUAL, MiningSetting, parse_mode


def encode_mining(setting: MiningSetting) -> bytes:
    """Return mode and payee as they are stored."""
    return f"{setting.mode.text} {setting.script_pubkey.hex()}".encode()


def decode_mining(data: bytes) -> MiningSetting:
    """Inverse of `encode_mining`; a mode that a newer version stored counts as `manual`."""
    text, _, script = data.decode().partition(" ")
    try:
        mode = parse_mode(text)
    except DecodeError:
        mode = MANUAL.mode
    return MiningSetting(mode, bytes.fromhex(script))

"""The text of mining modes."""

from __future__ import annotations

import pytest

from shared.chain.codec import decode_mining, encode_mining
from shared.errors import DecodeError
from shared.mining_mode import MANUAL, SHORTEST_INTERVAL, MiningKind, MiningMode, MiningSetting, parse_mode


@pytest.mark.parametrize(
    ("text", "kind", "shortest", "longest", "skip_empty"),
    [
        ("manual", MiningKind.MANUAL, 0, 0, False),
        ("auto", MiningKind.AUTO, 0, 0, True),
        ("continuous", MiningKind.CONTINUOUS, 0, 0, False),
        ("interval:10", MiningKind.INTERVAL, 10, 10, False),
        ("interval:0.2", MiningKind.INTERVAL, 0.2, 0.2, False),
        ("interval:86400", MiningKind.INTERVAL, 86_400, 86_400, False),
        ("interval:5-15", MiningKind.INTERVAL, 5, 15, False),
        ("interval:5-5", MiningKind.INTERVAL, 5, 5, False),
        ("interval:0.5-1.25,skip-empty", MiningKind.INTERVAL, 0.5, 1.25, True),
        ("interval:3,skip-empty", MiningKind.INTERVAL, 3, 3, True),
    ],
)
def test_a_mode_is_read_and_stored_as_it_was_written(
    text: str, kind: MiningKind, shortest: float, longest: float, skip_empty: bool
) -> None:
    mode = parse_mode(text)
    assert mode == MiningMode(text, kind, shortest, longest, skip_empty)
    setting = MiningSetting(mode, b"\x51")
    assert decode_mining(encode_mining(setting)) == setting


@pytest.mark.parametrize("text", ["", "Auto", "auto ", "auto,skip-empty", "continuous:1", "interval", "interval:"])
@pytest.mark.parametrize("tail", ["", "x", "1e3", "-1", "1-2-3", "1,skip", "1 skip-empty", "١", "1.2345", "123456"])
def test_another_text_is_no_mode(text: str, tail: str) -> None:
    with pytest.raises(DecodeError, match="a mining mode is manual, auto, interval:S"):
        parse_mode(text + tail)


@pytest.mark.parametrize(
    "text", ["interval:0", "interval:0.199", "interval:86400.001", "interval:0.1-5", "interval:6-5"]
)
def test_an_interval_has_its_limits(text: str) -> None:
    assert SHORTEST_INTERVAL == 0.2
    with pytest.raises(DecodeError, match=r"an interval has from 0\.2 to 86400 seconds"):
        parse_mode(text)


def test_a_mode_of_a_newer_version_counts_as_manual_and_keeps_its_payee() -> None:
    assert decode_mining(b"lottery:3 51") == MiningSetting(MANUAL.mode, b"\x51")
    assert decode_mining(encode_mining(MANUAL)) == MANUAL

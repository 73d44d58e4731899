"""Draws a transaction: bands from its inputs through a trunk to its outputs, as wide as their amounts. Pure.

The picture is a strip of `height` pixels that may be stretched sideways: x goes from 0 to `WIDTH` in units of its own,
y is pixels. In the trunk in the middle each band has its exact share of `TRUNK`; at its end it is never thinner than
`THIN`, so that a fee can be seen beside a fortune. The ends stand in rows of their own, high enough for a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 200
TRUNK = 96
"""Width of the whole amount in the middle, in pixels."""
THIN = 2.5
ROW = 46
"""Least height of a row, in pixels: a label has two lines."""
ROW_SPACE = 10
"""Least space between the ends of two bands, in pixels."""
OVERLAP = 0.5
"""Reach of the inputs' bands under the outputs', so that no seam shows."""
MOST_ENDS = 12
"""Most ends drawn on each side; the last one may stand for all the rest."""


@dataclass(frozen=True, slots=True)
class End:
    """The outer end of a band: a coin, or where it goes."""

    kind: str
    """`coin`, `reward`, `data`, `fee`, or `more` for all ends without a band of their own."""
    value: int | None
    """Satoshis; None if unknown."""
    label: str
    """Short, for the picture."""
    title: str
    """The label in full."""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Band:
    """An end and the shape that leads to the trunk."""

    end: End
    path: str
    """For the `d` of an SVG path."""
    y: float
    """The middle of the end, in pixels from the top."""


@dataclass(frozen=True, slots=True)
class Flow:
    """The picture."""

    height: int
    inputs: tuple[Band, ...]
    outputs: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """The number of drawn ends on one side, and the sum of the rest."""

    shown: int
    rest: int
    value: int | None
    """Satoshis of the rest; None if one of them is unknown."""


def bundle(values: Sequence[int | None], most: int = MOST_ENDS) -> Bundle:
    """Bundle the ends of one side so that at most `most` are drawn."""
    if len(values) <= most:
        return Bundle(len(values), 0, 0)
    rest = values[most - 1 :]
    known = [value for value in rest if value is not None]
    return Bundle(most - 1, len(rest), sum(known) if len(known) == len(rest) else None)


def draw(inputs: Sequence[End], outputs: Sequence[End]) -> Flow:
    """Return the drawing; both sides have the same sum, as the fee is among the outputs."""
    sides = [shares([end.value for end in ends]) for ends in (inputs, outputs)]
    rows = [[max(float(ROW), share * TRUNK + ROW_SPACE) for share in side] for side in sides]
    height = round(max(TRUNK + ROW_SPACE, *(sum(side) for side in rows)))
    left, right = (
        _bands(ends, side, row, height) for ends, side, row in zip((inputs, outputs), sides, rows, strict=True)
    )
    return Flow(
        height,
        tuple(Band(end, _path(0, shape), shape.middle) for end, shape in left),
        tuple(Band(end, _path(WIDTH, shape), shape.middle) for end, shape in right),
    )


def shares(values: Sequence[int | None]) -> list[float]:
    """Return each value's part of the sum; equal parts if one is unknown or the sum is 0."""
    known = [value for value in values if value is not None]
    total = sum(known)
    if len(known) < len(values) or total <= 0:
        return [1 / len(values)] * len(values)
    return [value / total for value in known]


@dataclass(frozen=True, slots=True)
class _Shape:
    top: float
    bottom: float
    trunk_top: float
    trunk_bottom: float

    @property
    def middle(self) -> float:
        return round((self.top + self.bottom) / 2, 1)


def _bands(ends: Sequence[End], parts: Sequence[float], rows: Sequence[float], height: int) -> list[tuple[End, _Shape]]:
    found = []
    row_top = (height - sum(rows)) / 2
    trunk_top = (height - TRUNK) / 2
    for end, part, row in zip(ends, parts, rows, strict=True):
        thick = max(THIN, part * TRUNK)
        top = row_top + (row - thick) / 2
        found.append((end, _Shape(top, top + thick, trunk_top, trunk_top + part * TRUNK)))
        row_top += row
        trunk_top += part * TRUNK
    return found


def _path(edge: int, shape: _Shape) -> str:
    """Return the outline from the edge (x = 0 or `WIDTH`) to the trunk, as two curves and two straight ends."""
    trunk, bend = WIDTH // 2 + (OVERLAP if edge == 0 else 0), (edge + WIDTH // 2) // 2
    return (
        f"M{edge},{shape.top:.2f} C{bend},{shape.top:.2f} {bend},{shape.trunk_top:.2f} {trunk},{shape.trunk_top:.2f} "
        f"V{shape.trunk_bottom:.2f} "
        f"C{bend},{shape.trunk_bottom:.2f} {bend},{shape.bottom:.2f} {edge},{shape.bottom:.2f} Z"
    )

"""Turns a series of values into the shapes of a chart: a scale with round ticks, bars, lines and areas. Pure.

Values stand side by side at even distances, each with its label; None is a gap. A chart is drawn into a box of
`WIDTH` × `HEIGHT` that the page stretches to the room there is, so that labels stand beside it, in the page's own
letters: ticks are evenly spaced for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, floor, log10

WIDTH = 1000.0
HEIGHT = 240.0
MAX_TICKS = 4
_GAP = 0.18
"""Part of a bar's place left free, while bars are few enough to be told apart."""
_FEW = 72
_SMALL, _LARGE = 1e-3, 1e4
"""Limits beyond which tick labels need a power of ten, or a prefix."""
_LEAST_SPAN = 1e-100
"""Values no further apart count as equal."""
_STEPS = (1, 2, 2.5, 5, 10)


class ChartKind(StrEnum):
    """How a series is drawn."""

    BARS = "bars"
    AREA = "area"
    STEPS = "steps"
    """A line that holds each value over its whole place."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a series."""

    label: str
    """The block or time of the value: `Block 12`."""
    number: float | None
    text: str
    """The value with its unit."""
    colour: str = ""
    """CSS class, empty for the chart's own colour."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The vertical axis: from `low`, at the bottom, in `count` even steps of `step`."""

    low: float
    step: float
    count: int

    @property
    def high(self) -> float:
        """Value at the top."""
        return self.low + self.step * self.count

    def y(self, number: float) -> float:
        """Return the y coordinate of a value, from the top down."""
        return round(HEIGHT * (self.high - number) / (self.high - self.low), 2)

    def ticks(self) -> list[float]:
        """Return the marked values, highest first."""
        return [self.low + self.step * index for index in range(self.count, -1, -1)]


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle of a bar chart."""

    x: float
    y: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart that is ready to be drawn (templates/charting.html)."""

    name: str
    title: str
    unit: str
    summary: str
    """The content in a sentence, above the drawing and for screen readers."""
    kind: ChartKind
    values: tuple[Value, ...]
    ticks: tuple[str, ...]
    """Labels of the vertical axis, from the top down, evenly spaced."""
    marks: tuple[str, ...]
    """Labels of the horizontal axis, from left to right, evenly spaced from end to end."""
    grid: tuple[float, ...]
    bars: tuple[Bar, ...] = ()
    line: str = ""
    area: str = ""
    """SVG paths."""


def make_chart(
    name: str,
    title: str,
    unit: str,
    summary: str,
    kind: ChartKind,
    values: Sequence[Value],
    marks: Sequence[str],
    from_zero: bool = True,
) -> Chart:
    """Return a chart of `values`; unless `from_zero` its axis may begin above 0."""
    numbers = [value.number for value in values]
    scale = fit_scale([number for number in numbers if number is not None], from_zero)
    ticks = scale.ticks()
    line = step_path(numbers, scale) if kind is ChartKind.STEPS else line_path(numbers, scale)
    return Chart(
        name,
        title,
        unit,
        summary,
        kind,
        tuple(values),
        tuple(tick_labels(ticks)),
        tuple(marks),
        tuple(scale.y(tick) for tick in ticks),
        tuple(bars(values, scale)) if kind is ChartKind.BARS else (),
        "" if kind is ChartKind.BARS else line,
        area_path(numbers, scale) if kind is ChartKind.AREA else "",
    )


def fit_scale(numbers: Iterable[float], from_zero: bool = True) -> Scale:
    """Return a scale with round steps that holds all values; 0 to 1 if there are none."""
    found = list(numbers)
    high = max(found, default=0.0)
    low = min(0.0, *found) if from_zero and found else min(found, default=0.0)
    if high - low < _LEAST_SPAN:
        high, low = (low + abs(low), min(0.0, low)) if abs(low) >= _LEAST_SPAN else (1.0, 0.0)
    step = _round_step((high - low) / MAX_TICKS)
    start = floor(low / step + 1e-9) * step
    return Scale(start, step, max(1, ceil((high - start) / step - 1e-9)))


def _round_step(least: float) -> float:
    unit = 10.0 ** floor(log10(least))
    return next(unit * factor for factor in _STEPS if unit * factor >= least * (1 - 1e-9))


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Return short labels with one common prefix (1.5k) and enough decimals to tell them apart."""
    most = max(abs(tick) for tick in ticks)
    if 0 < most < _SMALL:
        return [f"{tick:.2g}" for tick in ticks]
    exponent = min(24, floor(log10(most) / 3 + 1e-9) * 3) if most >= _LARGE else 0
    scaled = [tick / 10**exponent for tick in ticks]
    decimals = next(
        (
            count
            for count in range(13)
            if all(abs(round(tick, count) - tick) <= 1e-6 * max(map(abs, scaled)) for tick in scaled)
        ),
        12,
    )
    prefix = "" if exponent == 0 else "kMGTPEZY"[exponent // 3 - 1]
    return [f"{tick:.{decimals}f}{prefix if tick else ''}" for tick in scaled]


def bars(values: Sequence[Value], scale: Scale) -> list[Bar]:
    """Return a bar for each value that is not a gap."""
    place = WIDTH / len(values)
    gap = _GAP if len(values) <= _FEW else 0.0
    base = scale.y(max(0.0, scale.low))
    return [
        Bar(
            round((index + gap / 2) * place, 2),
            scale.y(value.number),
            round(place * (1 - gap), 2),
            round(base - scale.y(value.number), 2),
            value.colour,
        )
        for index, value in enumerate(values)
        if value.number is not None
    ]


def line_path(numbers: Sequence[float | None], scale: Scale) -> str:
    """Return an SVG path through the middle of each value's place, broken at gaps."""
    return " ".join(_polyline(run) for run in _runs(numbers, scale))


def step_path(numbers: Sequence[float | None], scale: Scale) -> str:
    """Return an SVG path that keeps each value over its whole place."""
    place = WIDTH / max(1, len(numbers))
    parts = []
    is_drawing = False
    for index, number in enumerate(numbers):
        if number is not None:
            start, end = round(index * place, 2), round((index + 1) * place, 2)
            parts.append(f"{'L' if is_drawing else 'M'}{start:g} {scale.y(number):g}H{end:g}")
        is_drawing = number is not None
    return " ".join(parts)


def area_path(numbers: Sequence[float | None], scale: Scale) -> str:
    """Return an SVG path around the area below the line."""
    return " ".join(
        f"{_polyline(run)}L{run[-1][0]:g} {HEIGHT:g}L{run[0][0]:g} {HEIGHT:g}Z" for run in _runs(numbers, scale)
    )


def _polyline(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def _runs(numbers: Sequence[float | None], scale: Scale) -> list[list[tuple[float, float]]]:
    """Return the points between gaps; a run extends to the outer edges of its first and last place."""
    place = WIDTH / max(1, len(numbers))
    runs: list[list[tuple[float, float]]] = []
    is_drawing = False
    for index, number in enumerate(numbers):
        if number is not None:
            y = scale.y(number)
            if not is_drawing:
                runs.append([(round(index * place, 2), y)])
            runs[-1].append((round((index + 0.5) * place, 2), y))
            if index + 1 == len(numbers) or numbers[index + 1] is None:
                runs[-1].append((round((index + 1) * place, 2), y))
        is_drawing = number is not None
    return runs


def spread(first: int, last: int, count: int) -> list[int]:
    """Return up to `count` evenly spaced whole numbers from `first` to `last`, both included."""
    steps = min(count - 1, last - first)
    return [first + (last - first) * index // steps for index in range(steps + 1)] if steps > 0 else [first]

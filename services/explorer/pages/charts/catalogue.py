"""All charts: title, unit, summary, and a text for every value. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from services.explorer.chain.pool_queries import PoolOverview
from services.explorer.pages.charts.series import BlockRange, ChainHistory, TimeSpan
from services.explorer.pages.charts.svg import Chart, ChartKind, Value, make_chart, spread
from services.explorer.pages.template_filters import fees_text, rate_class, rate_text, si
from shared.chain.codec import PoolSample
from shared.consensus.limits import COIN
from shared.consensus.params import ChainParams
from shared.consensus.pow import difficulty
from shared.consensus.subsidy import issued
from shared.durations import DAY, HOUR, duration
from shared.web.formats import counted, thousands, utc_text

POOL_PLACES = 120
_MARKS = 5


def chain_charts(history: ChainHistory, params: ChainParams) -> list[Chart]:
    """Return the charts of the last blocks; there must be at least one block."""
    return [
        _pace(history.spans),
        _transactions(history),
        _fees(history),
        _hash_rate(history),
        _difficulty(history),
        _supply(history, params),
    ]


def _pace(spans: Sequence[TimeSpan]) -> Chart:
    start, end = spans[0].start, spans[-1].end
    total = sum(span.blocks for span in spans)
    values = [
        Value(
            f"{utc_text(int(span.start))} to {utc_text(int(span.end))[11:]}",
            span.per_hour,
            f"{counted(span.blocks, 'block')}, {_number(span.per_hour)} an hour",
        )
        for span in spans
    ]
    mean = total * HOUR / (end - start)
    whole, each = (duration(round(seconds)) for seconds in (end - start, (end - start) / len(spans)))
    summary = f"{counted(total, 'block')} in {whole}: {_number(mean)} an hour. Each bar is {each}."
    return make_chart("pace", "Blocks per hour", "blocks an hour", summary, ChartKind.BARS, values, _times(start, end))


def _transactions(history: ChainHistory) -> Chart:
    values = [
        Value(
            _label(part),
            part.transactions / part.blocks,
            counted(part.transactions, "transaction") + ("" if part.blocks == 1 else f" in {part.blocks} blocks"),
        )
        for part in history.ranges
    ]
    total = sum(part.transactions for part in history.ranges)
    summary = (
        f"{counted(total, 'transaction')} in {counted(history.blocks, 'block')}: "
        f"{_number(total / history.blocks)} each, coinbases counted."
    )
    return make_chart("transactions", "Transactions", "per block", summary, ChartKind.BARS, values, _heights(history))


def _fees(history: ChainHistory) -> Chart:
    values = [
        Value(
            _label(part),
            part.mean_fees,
            fees_text(part.mean_fees)
            + ("" if part.blocks == 1 else " a block")
            + ("" if part.median_rate is None else f", median {rate_text(part.median_rate)} sat/vB"),
            rate_class(part.median_rate),
        )
        for part in history.ranges
    ]
    read = [fees for part in history.ranges for fees in part.fees]
    mean = f"{fees_text(sum(fees.total for fees in read if fees) / len(read))} a block"
    which = "" if history.has_all_fees else f" From {thousands(len(read))} evenly spaced blocks."
    summary = f"{mean}. The colour is that of the median feerate.{which}"
    return make_chart("fees", "Fees", "satoshis a block", summary, ChartKind.BARS, values, _heights(history))


def _hash_rate(history: ChainHistory) -> Chart:
    values = [
        Value(
            _label(part),
            part.hash_rate,
            "not known" if part.hash_rate is None else si(part.hash_rate, "H/s"),
        )
        for part in history.ranges
    ]
    last = values[-1].text
    summary = f"Now about {last}, estimated from the work of the blocks and the time between them."
    return make_chart("hash-rate", "Hash rate", "hashes a second", summary, ChartKind.AREA, values, _heights(history))


def _difficulty(history: ChainHistory) -> Chart:
    numbers = [difficulty(part.last.header.bits) for part in history.ranges]
    values = [
        Value(_label(part), number, _significant(number)) for part, number in zip(history.ranges, numbers, strict=True)
    ]
    low, high = min(numbers), max(numbers)
    summary = (
        f"{_significant(numbers[-1])}, the same for all these blocks."
        if low == high
        else f"Now {_significant(numbers[-1])}, between {_significant(low)} and {_significant(high)}."
    )
    return make_chart(
        "difficulty",
        "Difficulty",
        "1 = Bitcoin's easiest",
        summary,
        ChartKind.STEPS,
        values,
        _heights(history),
    )


def _supply(history: ChainHistory, params: ChainParams) -> Chart:
    amounts = [issued(part.last.height, params) for part in history.ranges]
    values = [
        Value(f"Block {thousands(part.last.height)}", amount / COIN, f"{thousands(amount // COIN)} BTC")
        for part, amount in zip(history.ranges, amounts, strict=True)
    ]
    gained = amounts[-1] - issued(history.ranges[0].before.height, params)
    summary = (
        f"{thousands(amounts[-1] // COIN)} BTC issued so far, {thousands(gained // COIN)} of them by these blocks."
    )
    return make_chart(
        "supply", "Coin supply", "BTC", summary, ChartKind.AREA, values, _heights(history), from_zero=False
    )


def pool_charts(samples: Sequence[PoolSample], times: tuple[int, int], now: PoolOverview) -> list[Chart]:
    """Return charts of the pool's size and count over a time in seconds; a sample holds until the next one."""
    start, end = times
    edges = [start + (end - start) * (index + 1) // POOL_PLACES for index in range(POOL_PLACES)]
    found: list[PoolSample | None] = []
    place = 0
    for edge in edges[:-1]:
        while place < len(samples) and samples[place].time <= edge:
            place += 1
        found.append(samples[place - 1] if place else None)
    found.append(PoolSample(end, now.count, now.vsize, now.fees))
    pairs = list(zip(edges, found, strict=True))
    size = [
        _sample(edge, sample.vsize, si(sample.vsize, "vB")) if sample else _sample(edge, None, "")
        for edge, sample in pairs
    ]
    count = [
        _sample(edge, sample.count, counted(sample.count, "transaction")) if sample else _sample(edge, None, "")
        for edge, sample in pairs
    ]
    most = max(samples, key=lambda sample: sample.vsize)
    largest = f"At most {si(most.vsize, 'vB')}, at {utc_text(most.time)[:-3]}"
    crowded = max(samples, key=lambda sample: sample.count).count
    marks = _times(start, end)
    return [
        make_chart(
            "pool-size",
            "Size over time",
            "virtual bytes",
            f"Now {si(now.vsize, 'vB')}. {largest}.",
            ChartKind.AREA,
            size,
            marks,
        ),
        make_chart(
            "pool-count",
            "Transactions over time",
            "waiting",
            f"Now {thousands(now.count)}. At most {thousands(max(crowded, now.count))}.",
            ChartKind.AREA,
            count,
            marks,
        ),
    ]


def _sample(edge: int, number: int | None, text: str) -> Value:
    return Value(utc_text(edge)[:-3], number, "not known" if number is None else text)


def _label(part: BlockRange) -> str:
    last = thousands(part.last.height)
    return f"Block {last}" if part.blocks == 1 else f"Blocks {thousands(part.before.height + 1)} to {last}"


def _number(number: float) -> str:
    return thousands(round(number)) if number >= 100 else f"{number:.3g}"


def _significant(number: float) -> str:
    return f"{number:.4g}"


def _heights(history: ChainHistory) -> list[str]:
    first, last = history.ranges[0].before.height + 1, history.ranges[-1].last.height
    return [thousands(height) for height in spread(first, last, _MARKS)]


def _times(start: float, end: float) -> list[str]:
    """Return evenly spaced times: with seconds up to 10 minutes, hours up to a day, then dates."""
    length = end - start
    part = (
        slice(5, 10)
        if length > 4 * DAY
        else slice(5, 16)
        if length > DAY
        else slice(11, 16)
        if length > 600
        else slice(11, 19)
    )
    return [utc_text(round(start + length * index / (_MARKS - 1)))[part] for index in range(_MARKS)]

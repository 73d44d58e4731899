"""Prints what a run has shown: outages and errors by fault, and the verdict of the audit."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.chaos.audit import Check
from tests.chaos.ledger import Entries
from tests.chaos.outages import Outage, errors, outages, rhythm, times_by_interface

SHOWN = 12
"""How many problems of a check are printed; the ledger has them all."""


def report(entries: Entries, checks: Sequence[Check]) -> Iterator[str]:
    """Yield the lines of the report."""
    times = times_by_interface(entries)
    yield from _load(entries)
    if entries.faults:
        found = outages(entries)
        struck = Counter(fault.name for fault in entries.faults)
        for title, field in (
            ("longest silence from the fault's beginning to the first answer after its end", "silence"),
            ("from the fault's end to the next acknowledged request", "after"),
        ):
            yield ""
            yield f"seconds, p50/max: {title}"
            rows = [["fault", "n", *times]]
            rows.append(["(no fault: median)", "", *(f"{rhythm(acknowledged):.1f}" for acknowledged in times.values())])
            for name in sorted(found):
                cells = [_cell(found[name][interface], field) for interface in times]
                rows.append([name, str(struck[name]), *cells])
            yield from _table(rows)
    yield ""
    yield "attempts without success, by status (none: no answer)"
    counts = errors(entries)
    rows = [["fault", "status", *times]]
    for name, status in sorted(counts):
        rows.append([name, status, *(str(counts[name, status][interface] or "") for interface in times)])
    yield from _table(rows)
    yield ""
    yield "audit"
    for check in checks:
        yield f"  {'FAILED' if check.problems else 'ok':<6}  {check.name}"
        yield from (f"            {problem}" for problem in check.problems[:SHOWN])
        if len(check.problems) > SHOWN:
            yield f"            … {len(check.problems) - SHOWN} more"


def _load(entries: Entries) -> Iterator[str]:
    yield "load"
    rows = [["interface", "claims", "acknowledged", "attempts"]]
    for interface in times_by_interface(entries):
        answers = [answer for answer in entries.answers if answer.interface == interface]
        rows.append(
            [
                interface,
                str(sum(claim.interface == interface for claim in entries.claims)),
                str(sum(answer.acknowledged for answer in answers)),
                str(len(answers)),
            ]
        )
    yield from _table(rows)


def _cell(found: Sequence[Outage | None], field: str) -> str:
    values = [getattr(each, field) for each in found if each is not None]
    worst = "never" if None in found else f"{max(values):.1f}"
    return f"{statistics.median(values):.1f}/{worst}" if values else worst


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    columns = max(len(row) for row in rows)
    padded = [[*row, *[""] * (columns - len(row))] for row in rows]
    widths = [max(len(row[column]) for row in padded) for column in range(columns)]
    for row in padded:
        first, *others = row
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  " + "  ".join([first.ljust(widths[0]), *cells]).rstrip()

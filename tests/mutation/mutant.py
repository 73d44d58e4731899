"""One change of one source file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Operator(StrEnum):
    """The kind of a change."""

    COMPARISON = "comparison turned"
    ARITHMETIC = "operator swapped"
    CALL = "call deleted"
    GUARD = "guard dropped"
    BRANCH = "branch dropped"
    CONSTANT = "constant changed"
    BOOLEAN = "and/or swapped"
    NEGATION = "not added or removed"
    RETURN = "return value dropped"


@dataclass(frozen=True, slots=True, order=True)
class Mutant:
    """A change: the bytes from `start` to `end` of a file become `text`."""

    path: str
    line: int
    start: int
    end: int
    operator: Operator
    text: bytes
    runs: tuple[int, int]
    """First and last line of which a test must run one to be able to notice."""
    exact: bool = False
    """A test that runs none of these lines cannot notice."""
    names: tuple[str, ...] = ()
    """Names that a statement outside of all functions assigns; tests of code that reads them must notice."""

    def apply(self, source: bytes) -> bytes:
        """Return the changed source."""
        return source[: self.start] + self.text + source[self.end :]

    def lines(self, source: bytes) -> tuple[str, str]:
        """Return the changed lines before and after, without their indentation."""
        first = source.rfind(b"\n", 0, self.start) + 1
        last = source.find(b"\n", self.end)
        last = len(source) if last < 0 else last
        before, after = source[first:last], source[first : self.start] + self.text + source[self.end : last]
        return _unindented(before), _unindented(after)

    def diff(self, source: bytes) -> str:
        """Return the change as lines of a diff."""
        before, after = self.lines(source)
        return "\n".join(
            [*(f"- {line}" for line in before.splitlines()), *(f"+ {line}" for line in after.splitlines())]
        )


def _unindented(text: bytes) -> str:
    return "\n".join(line.strip() for line in text.decode().splitlines())

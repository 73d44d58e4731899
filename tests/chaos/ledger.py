"""The ledger of a run: every claim, every answer and every fault, appended to a file as soon as it is known.

Times are seconds since 1970, as in the services' logs. Outages, errors and the audit are all computed from it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec


class Claim(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A request that a client is going to make; each `id` once, however often it is tried. A read has no address."""

    at: float
    id: str
    interface: str
    address: str = ""
    """Whom a payment or the new blocks pay; a payment's is never used for another."""
    blocks: int = 0
    """How many are to be mined; 0 for transactions."""
    txid: str = ""
    """Of a transaction that the client has signed itself."""


class Answer(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """How one attempt at a claim ended."""

    began: float
    ended: float
    id: str
    interface: str
    status: str
    """HTTP's, or a word for what is none."""
    acknowledged: bool = False
    final: bool = False
    """Whether the client gives up the claim with it, as with a mining request that failed: it is not safe to repeat."""
    refused: bool = False
    """Whether a service said that the claim, which is valid, is not."""
    txid: str = ""
    blocks: tuple[str, ...] = ()
    words: str = ""
    """Of an error."""


class Struck(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A fault that happened; `problem` if it could not be done, or not be undone."""

    began: float
    ended: float
    name: str
    problem: str = ""


Entry = Claim | Answer | Struck


class Ledger:
    """Appends entries to a file, from any thread."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()

    def write(self, entry: Entry) -> None:
        line = msgspec.json.encode(entry) + b"\n"
        with self._lock:
            if not self._file.closed:  # a lane that still waits for an answer when the run is over
                self._file.write(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._file.close()


class Entries:
    """What a ledger says, by kind and in order."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.claims = [entry for entry in entries if isinstance(entry, Claim)]
        self.answers = [entry for entry in entries if isinstance(entry, Answer)]
        self.faults = [entry for entry in entries if isinstance(entry, Struck)]

    @property
    def acknowledged(self) -> dict[str, Answer]:
        """The answer that acknowledged a claim, by the claim's id."""
        return {answer.id: answer for answer in self.answers if answer.acknowledged}


def read(path: Path) -> Entries:
    """Read a ledger."""
    decoder = msgspec.json.Decoder(Entry)
    return Entries([decoder.decode(line) for line in path.read_bytes().splitlines()])

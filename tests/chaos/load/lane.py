"""A lane: a plain client that makes one claim after the other through one public interface."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from tests.chaos.ledger import Answer, Claim, Ledger
from tests.chaos.load.client import Reply

RETRY_SECONDS = 0.5
"""Between two attempts at a claim."""
SLOW_SECONDS = 2.0
"""After this a lane makes another claim beside the one that waits: an outage is seen to end within this time."""
MOST_WAITING = 6
"""How many claims of a lane wait at a time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended; without any of the flags the client tries again, if that is safe."""

    status: str
    acknowledged: bool = False
    refused: bool = False
    txid: str = ""
    blocks: tuple[str, ...] = ()
    words: str = ""


class Lane(ABC):
    """A client of one interface. It makes one claim at a time, and another beside one that is slow."""

    interface: str
    every: float
    """The least time between two claims, in seconds."""
    is_repeatable = True
    """Whether a claim that got no answer may be made again: it then counts once."""

    def __init__(self, ledger: Ledger, number: int) -> None:
        self._ledger = ledger
        self._number = number
        self._no_more = threading.Event()
        self._give_up = threading.Event()
        self._waiting: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._run, name=f"{self.interface} {number}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Make no new claim; go on with those that are not acknowledged yet."""
        self._no_more.set()

    def join(self, deadline: float) -> None:
        """Wait until all claims have come to an end, or until a (monotonic) time; after `finish`."""
        self._thread.join()
        for thread in self._waiting:
            thread.join(max(0.0, deadline - time.monotonic()))

    def give_up(self) -> None:
        """Leave the claims that are not acknowledged yet, after the attempts that are under way."""
        self._give_up.set()

    @abstractmethod
    def claim(self, claim_id: str) -> Claim:
        """Return the next claim; `LookupError` if there is none until an earlier one is settled."""

    @abstractmethod
    def attempt(self, claim: Claim) -> Outcome:
        """Make it, once. Called by several threads."""

    def settled(self, claim: Claim, outcome: Outcome) -> None:
        """Learn that a claim was acknowledged or refused."""
        return

    def _run(self) -> None:
        for count in itertools.count(1):
            began = time.monotonic()
            if self._no_more.is_set():
                return
            if len(self._waiting) < MOST_WAITING:
                with contextlib.suppress(LookupError):
                    self._begin(self.claim(f"{self.interface.replace(' ', '-')}-{self._number}-{count}"))
            self._no_more.wait(max(0.0, began + self.every - time.monotonic()))
            self._waiting = [thread for thread in self._waiting if thread.is_alive()]

    def _begin(self, claim: Claim) -> None:
        self._ledger.write(claim)
        thread = threading.Thread(target=self._pursue, args=(claim,), name=claim.id, daemon=True)
        thread.start()
        self._waiting.append(thread)
        thread.join(SLOW_SECONDS)

    def _pursue(self, claim: Claim) -> None:
        while True:
            began = time.time()
            outcome = self.attempt(claim)
            is_done = outcome.acknowledged or outcome.refused or not self.is_repeatable
            self._ledger.write(
                Answer(
                    began=began,
                    ended=time.time(),
                    id=claim.id,
                    interface=claim.interface,
                    status=outcome.status,
                    acknowledged=outcome.acknowledged,
                    final=is_done and not outcome.acknowledged,
                    refused=outcome.refused,
                    txid=outcome.txid,
                    blocks=outcome.blocks,
                    words=" ".join(outcome.words.split())[:300],
                )
            )
            if is_done:
                self.settled(claim, outcome)
                return
            if self._give_up.wait(RETRY_SECONDS):
                return


def failure(reply: Reply) -> Outcome:
    """Return the outcome of an answer that is no success: of the client's own fault only if the status says so."""
    refused = 400 <= reply.status < 500 and reply.status != 429
    return Outcome(str(reply.status or "none"), refused=refused, words=reply.text)

"""`GET /wait`: holds a request until the chain has come so far, so that tests and scripts need not poll.

A fact from the broker, which comes after the commit that it is about, makes a waiting request look again; the answer
is always from the chain itself. As each takes a thread of the server, few may wait at a time.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import Response, request

from services.explorer.answers import Route, json
from services.explorer.arguments import read_hash, read_number
from services.explorer.errors import RequestError
from services.explorer.handlers import Feed
from services.explorer.reads import ChainReads
from shared.chain.view import Tip
from shared.primitives.hexes import display_hash

DEFAULT_SECONDS = 30.0
MAX_SECONDS = 60.0
LOOK_AGAIN = 1.0
"""Seconds after which the chain is read again though nothing was heard: the broker may be away."""
_SUBJECTS = ("height", "hash", "txid")

Confirmations = Callable[[Tip], int | None]
"""From the tip to how often what is waited for is confirmed: 0 while unconfirmed, None where it is not known."""


class Waiting:
    """The resource, of which at most `places` requests may be held at a time."""

    def __init__(self, reads: ChainReads, feed: Feed, places: int) -> None:
        self._reads = reads
        self._feed = feed
        self._places = threading.BoundedSemaphore(places)

    def wait(self) -> Response:
        """Answer with tip and confirmations once a height, block or transaction has as many as asked for."""
        confirmations, least = self._subject()
        seconds = _read_seconds(request.args.get("timeout"))
        deadline = time.monotonic() + seconds
        with self._place():
            while True:
                heard = self._feed.seq
                tip, found = self._reads.snapshot(lambda: _look(self._reads.tip(), confirmations))
                if found is not None and found >= least:
                    return json({"height": tip.height, "hash": display_hash(tip.hash), "confirmations": found})
                left = deadline - time.monotonic()
                if left <= 0:
                    raise RequestError(408, f"not so after {seconds:g} seconds")
                if not self._feed.wait_for_news(heard, min(left, LOOK_AGAIN)):
                    raise RequestError(503, "the service is stopping")

    def routes(self) -> tuple[Route, ...]:
        """Return the resource under its path."""
        return (Route("/wait", self.wait),)

    def _subject(self) -> tuple[Confirmations, int]:
        """Return how to find out what is asked for, and the least confirmations that it must have."""
        given = [name for name in _SUBJECTS if name in request.args]
        if len(given) != 1:
            raise RequestError(400, "Give one of height, hash and txid")
        least = read_number(request.args.get("confirmations", "0"))
        value = request.args[given[0]]
        match given[0]:
            case "height":
                height = read_number(value)
                return lambda tip: max(0, tip.height - height + 1), max(1, least)
            case "hash":
                block_hash = read_hash(value)
                return lambda tip: self._of_block(block_hash, tip), max(1, least)
        txid = read_hash(value)
        return lambda tip: self._of_tx(txid, tip), least

    def _of_block(self, block_hash: bytes, tip: Tip) -> int | None:
        block = self._reads.find_block(block_hash)
        if block is None:
            return None
        return tip.height - block.entry.height + 1 if block.in_best_chain else 0

    def _of_tx(self, txid: bytes, tip: Tip) -> int | None:
        record = self._reads.find_tx(txid)
        if record is None:
            return None
        return tip.height - record.block.height + 1 if record.block else 0

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise RequestError(429, "too many requests wait already")
        try:
            yield
        finally:
            self._places.release()


def _look(tip: Tip, confirmations: Confirmations) -> tuple[Tip, int | None]:
    return tip, confirmations(tip)


def _read_seconds(text: str | None) -> float:
    """Return how long to wait, at most `MAX_SECONDS`; 400 unless it is a number that is not negative."""
    try:
        seconds = DEFAULT_SECONDS if text is None else float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise RequestError(400, "Invalid timeout")
    return min(seconds, MAX_SECONDS)

"""`GET /wait`: waits until the chain has a height, block or transaction, so that tests and scripts need not poll.

A waiting request costs a connection and no thread: a fact that may change its answer makes it read the chain again, on
a thread of a small pool.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta

from services.explorer.api.answer import Answer
from services.explorer.api.fields import BlockHash, Count, HashText, Height, Number, Seconds
from services.explorer.api.operation import INVALID_HEX, INVALID_NUMBER, JSON, Operation, query
from services.explorer.api.parameters import read_hash, read_number
from services.explorer.chain.queries import ChainQueries
from services.explorer.errors import RequestError
from services.explorer.live.event_hub import EventHub, News
from services.explorer.live.stream_slots import StreamSlots
from shared.bus.events import BlockConnected, BlockDisconnected, Fact, TxAccepted
from shared.chain.view import Tip
from shared.errors import StoreError
from shared.primitives.hex import display_hash
from shared.web.asgi import Receive, Scope, Send, respond, until_gone
from shared.web.threads import Threads

DEFAULT_SECONDS = 30.0
MAX_SECONDS = 60.0

Confirmations = Callable[[ChainQueries, Tip], int | None]
"""Reads the number of confirmations at a tip: 0 while unconfirmed, None while the block or transaction is not known."""


@dataclass(frozen=True, slots=True)
class Question:
    """The condition that a request waits for."""

    confirmations: Confirmations
    least: int
    """The least number of confirmations."""
    seconds: float
    txid_hex: str | None = None
    """The transaction, if the condition is about one."""

    def is_touched(self, news: News) -> bool:
        """Whether these events may change the answer."""
        return news.is_gap or any(self._is_touched_by(event.fact) for event in news.events)

    def _is_touched_by(self, fact: Fact) -> bool:
        match fact:
            case BlockConnected() | BlockDisconnected():
                return True
            case TxAccepted():
                return fact.txid == self.txid_hex
        return False


class Waited(Answer, frozen=True):
    """The tip, and the confirmations of the block or transaction that was waited for."""

    height: Annotated[Height, Meta(description="Height of the tip")]
    hash: Annotated[BlockHash, Meta(description="Hash of the tip")]
    confirmations: Annotated[Count, Meta(description="Confirmations")]


class Wait:
    """The endpoint."""

    def __init__(self, chain: ChainQueries, hub: EventHub, slots: StreamSlots, threads: Threads) -> None:
        self._chain = chain
        self._hub = hub
        self._slots = slots
        self._threads = threads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with tip and confirmations when the height, block or transaction has enough confirmations."""
        question = read_question(scope["query_string"].decode("latin-1"))
        try:
            with self._slots.one("wait", scope):
                answer = await until_gone(receive, self.answer(question))
        except StoreError as error:
            raise RequestError(503, f"temporarily unavailable: {error}") from None
        if answer is not None:
            await respond(scope, send, 200, msgspec.json.encode(answer), {"Content-Type": JSON})

    async def answer(self, question: Question) -> Waited:
        """Return when the condition is met; 408 after its seconds, 503 when the service stops."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + question.seconds
        while True:
            position = self._hub.position
            tip, found = await self._look(question)
            if found is not None and found >= question.least:
                return Waited(tip.height, display_hash(tip.hash), found)
            while True:
                left = deadline - clock()
                if left <= 0:
                    raise RequestError(408, f"not so after {question.seconds:g} seconds")
                news = await self._hub.after(position, left)
                if self._hub.is_closed:
                    raise RequestError(503, "the service is stopping")
                position = news.position
                if question.is_touched(news):
                    break

    async def _look(self, question: Question) -> tuple[Tip, int | None]:
        def look(tip: Tip) -> tuple[Tip, int | None]:
            return tip, question.confirmations(self._chain, tip)

        return await self._threads.run(lambda: self._chain.at_tip(look))


def read_question(query: str) -> Question:
    """Return the condition of a query; 400 if it has none, several, or a malformed value."""
    given = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
    subjects = [name for name in ("height", "hash", "txid") if name in given]
    if len(subjects) != 1:
        raise RequestError(400, "Give one of height, hash and txid")
    least = read_number(given.get("confirmations", "0"))
    seconds = _read_seconds(given.get("timeout"))
    value = given[subjects[0]]
    match subjects[0]:
        case "height":
            height = read_number(value)
            return Question(lambda _, tip: max(0, tip.height - height + 1), max(1, least), seconds)
        case "hash":
            block_hash = read_hash(value)
            return Question(lambda chain, tip: _of_block(chain, block_hash, tip), max(1, least), seconds)
    txid = read_hash(value)
    return Question(lambda chain, tip: _of_tx(chain, txid, tip), least, seconds, display_hash(txid))


def _of_block(chain: ChainQueries, block_hash: bytes, tip: Tip) -> int | None:
    block = chain.blocks.find(block_hash)
    if block is None:
        return None
    return tip.height - block.entry.height + 1 if block.in_best_chain else 0


def _of_tx(chain: ChainQueries, txid: bytes, tip: Tip) -> int | None:
    record = chain.txs.find(txid)
    if record is None:
        return None
    return tip.height - record.block.height + 1 if record.block else 0


def _read_seconds(text: str | None) -> float:
    """Return how long to wait, at most `MAX_SECONDS`; 400 unless it is a number that is not negative."""
    try:
        seconds = DEFAULT_SECONDS if text is None else float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise RequestError(400, "Invalid timeout")
    return min(seconds, MAX_SECONDS)


OPERATIONS = (
    Operation(
        "/wait",
        Wait.answer,
        "Waiting",
        "Hold until a height, block or transaction is there",
        "It is there",
        (
            query("height", "Wait until the best chain has this height", Number, "0"),
            query("hash", "Wait until the best chain has this block", HashText),
            query("txid", "Wait until this transaction is known", HashText),
            query("confirmations", "Confirmations that it must have", Number),
            query("timeout", "Seconds, at most 60; 30 unless given", Seconds),
        ),
        {
            400: ("Give one of height, hash and txid", INVALID_NUMBER, INVALID_HEX, "Invalid timeout"),
            408: ("not so after N seconds",),
        },
        about="Give one of `height`, `hash` and `txid`.",
    ),
)

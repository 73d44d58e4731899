"""`GET /wait`: holds a request until the chain has come so far, so that tests and scripts need not poll.

A request that waits costs a connection and no thread: a fact that may change its answer makes it look again, and a look
is read from the chain itself, on a thread.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs

import msgspec

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
"""From the tip to how often what is waited for is confirmed: 0 while unconfirmed, None where it is not known."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a request waits for."""

    confirmations: Confirmations
    least: int
    seconds: float
    txid_hex: str | None = None
    """The transaction that it is about, if it is about one."""

    def is_touched(self, news: News) -> bool:
        """Whether the answer may be another after these events."""
        return news.is_gap or any(self._is_touched_by(event.fact) for event in news.events)

    def _is_touched_by(self, fact: Fact) -> bool:
        match fact:
            case BlockConnected() | BlockDisconnected():
                return True
            case TxAccepted():
                return fact.txid == self.txid_hex
        return False


class Wait:
    """The endpoint."""

    def __init__(self, chain: ChainQueries, hub: EventHub, places: StreamSlots, threads: Threads) -> None:
        self._chain = chain
        self._hub = hub
        self._places = places
        self._threads = threads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with tip and confirmations once a height, block or transaction has as many as asked for."""
        question = read_question(scope["query_string"].decode("latin-1"))
        try:
            with self._places.one("wait", scope):
                answer = await until_gone(receive, self._answer(question))
        except StoreError as error:
            raise RequestError(503, f"temporarily unavailable: {error}") from None
        if answer is not None:
            await respond(scope, send, 200, answer, {"Content-Type": "application/json"})

    async def _answer(self, question: Question) -> bytes:
        clock = asyncio.get_running_loop().time
        deadline = clock() + question.seconds
        while True:
            position = self._hub.position
            tip, found = await self._look(question)
            if found is not None and found >= question.least:
                answer = {"height": tip.height, "hash": display_hash(tip.hash), "confirmations": found}
                return msgspec.json.encode(answer)
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
    """Return what a query asks for; 400 with what is wrong with it."""
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

"""The one place where a request goes to the writer of this very process, or to the bus.

A process does not mail itself: while the writer is here and well, the node's port hands it a claim in memory, where the
same handlers give the same verdict, and the reply comes after the commit. In every other case, and for every other
process, the bus carries it: on a standby, while the writer waits for the store, whenever it leaves a claim unanswered.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from services.mempool.intake.intake import Intake
from services.mempool.intake.local_calls import HERE
from shared.bus.broker import Broker, Consumer, ReplyAddress
from shared.bus.events import Message, Reply, Request
from shared.bus.topics import Queue
from shared.errors import RequestTimeout
from shared.process.waiting import WaitFor, on_thread


class ClaimRouter(Broker):
    """The bus as the mempool service sees it, with the short way to the writer."""

    def __init__(self, bus: Broker) -> None:
        self._bus = bus
        self._intake: Intake | None = None

    def take_claims(self, queues: Sequence[Queue], prefetch: int) -> Intake:
        """Return the consumer of this process's writer: from now on it gets the claims of this process too."""
        self._intake = intake = Intake(self._bus, queues, prefetch)
        return intake

    async def ask_many(
        self, messages: Sequence[Request[Reply]], timeout: float, ids: Sequence[str] = ()
    ) -> list[Reply]:
        """See `Broker.ask_many`."""
        deadline = time.monotonic() + timeout
        intake = self._intake
        call = intake.put(messages, timeout) if intake is not None and messages else None
        if intake is None or call is None:
            await on_thread()
            return await self._bus.ask_many(messages, timeout, ids)
        try:
            await WaitFor(call.done, timeout)
        finally:
            intake.forget(call)
        replies = dict(enumerate(call.replies))
        if left := sorted(call.left):
            again = [messages[place] for place in left]
            ids = [call.ids[place] for place in left]
            await on_thread()
            replies |= zip(left, await self._bus.ask_many(again, deadline - time.monotonic(), ids), strict=True)
        answered = [(messages[place], reply) for place, reply in replies.items() if reply is not None]
        if len(answered) < len(messages):
            raise RequestTimeout(f"{len(messages) - len(answered)} of {len(messages)} requests unanswered")
        return [message.check(reply) for message, reply in answered]

    def reply_many(self, replies: Sequence[tuple[ReplyAddress, Message]]) -> None:
        """See `Broker.reply_many`. A requester in this process has its reply at once; that of a former one is gone."""
        here = [reply for reply in replies if reply[0].reply_to == HERE]
        if here and self._intake is not None:
            self._intake.answer(here)
        if len(here) < len(replies):
            self._bus.reply_many([reply for reply in replies if reply[0].reply_to != HERE])

    def publish_many(self, messages: Sequence[Message], traceparents: Sequence[str] = ()) -> None:
        """See `Broker.publish_many`."""
        self._bus.publish_many(messages, traceparents)

    def consumer(self, queues: Sequence[Queue], prefetch: int = 1000) -> Consumer:
        """See `Broker.consumer`."""
        return self._bus.consumer(queues, prefetch)

    def trouble(self) -> str:
        """See `Broker.trouble`."""
        return self._bus.trouble()

    def close(self) -> None:
        """See `Broker.close`."""
        self._bus.close()

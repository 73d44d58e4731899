"""One websocket connection: reads and answers the client's messages, and sends the broadcaster's messages."""

from __future__ import annotations

import asyncio

from services.explorer.live.event_hub import EventHub
from services.explorer.live.stream_slots import StreamSlots
from services.explorer.live.websocket.broadcaster import Broadcaster, Subscriber
from services.explorer.live.websocket.subscription import read_message
from shared.crypto.address import AddressPrefix
from shared.errors import StoreError
from shared.web.asgi import Receive, Scope, Send, respond

SEND_SECONDS = 30.0
"""After this time a client that reads nothing is dropped."""


class WebSocket:
    """The endpoint."""

    def __init__(self, broadcaster: Broadcaster, hub: EventHub, slots: StreamSlots, prefix: AddressPrefix) -> None:
        self._broadcaster = broadcaster
        self._hub = hub
        self._slots = slots
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "websocket":
            await respond(scope, send, 426, "this is a websocket", {"Upgrade": "websocket"})
            return
        with self._slots.one("websocket", scope):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # the request to connect
        await send({"type": "websocket.accept"})
        client = Subscriber(scope["abort"])
        self._broadcaster.join(client)
        tasks = [
            asyncio.ensure_future(work)
            for work in (self._listen(client, receive), _deliver(client, send), self._hub.until_closed())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except TimeoutError:
            client.abort()
        finally:
            self._broadcaster.leave(client)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, client: Subscriber, receive: Receive) -> None:
        while (event := await receive())["type"] == "websocket.receive":
            text = event.get("text")
            if text is None:
                client.tell({"error": "a message is a JSON object"})
                continue
            message = read_message(text, client.subscription, self._prefix)
            client.subscription = message.subscription
            try:
                client.tell(await self._broadcaster.answer(message))
            except StoreError as error:
                client.tell({"error": f"temporarily unavailable: {error}"})


async def _deliver(client: Subscriber, send: Send) -> None:
    while True:
        text = await client.outbox.get()
        async with asyncio.timeout(SEND_SECONDS):
            await send({"type": "websocket.send", "text": text})

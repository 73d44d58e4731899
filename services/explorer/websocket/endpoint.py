"""One websocket connection: what it says is understood and answered, and what it is told is sent."""

from __future__ import annotations

import asyncio

from services.explorer.hub import EventHub
from services.explorer.places import Places
from services.explorer.websocket.pulse import Client, Pulse
from services.explorer.websocket.wishes import understand
from shared.crypto.address import AddressPrefix
from shared.errors import StoreError
from shared.web.asgi import Receive, Scope, Send, respond

SEND_SECONDS = 30.0
"""After which a client that takes nothing is dropped."""


class WebSocket:
    """The endpoint."""

    def __init__(self, pulse: Pulse, hub: EventHub, places: Places, prefix: AddressPrefix) -> None:
        self._pulse = pulse
        self._hub = hub
        self._places = places
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "websocket":
            await respond(scope, send, 426, "this is a websocket", {"Upgrade": "websocket"})
            return
        with self._places.one("websocket", scope):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # the request to connect
        await send({"type": "websocket.accept"})
        client = Client(scope["abort"])
        self._pulse.join(client)
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
            self._pulse.leave(client)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, client: Client, receive: Receive) -> None:
        while (event := await receive())["type"] == "websocket.receive":
            text = event.get("text")
            if text is None:
                client.tell({"error": "a message is a JSON object"})
                continue
            spoken = understand(text, client.wishes, self._prefix)
            client.wishes = spoken.wishes
            try:
                client.tell(await self._pulse.answer(spoken))
            except StoreError as error:
                client.tell({"error": f"temporarily unavailable: {error}"})


async def _deliver(client: Client, send: Send) -> None:
    while True:
        text = await client.outbox.get()
        async with asyncio.timeout(SEND_SECONDS):
            await send({"type": "websocket.send", "text": text})

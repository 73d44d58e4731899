"""Steady requests of all kinds to a stack of containers: every answer that is no success is kept."""

from __future__ import annotations

import http.client
import secrets
import threading
import time
from collections.abc import Callable
from types import TracebackType
from urllib.parse import urlsplit

from tests.chaos.load.client import Client, Reply
from tests.containers.compose import ComposeStack, call, mined

_PAUSE = 0.02
_PATIENCE = 30.0
"""Seconds: a busy machine may take long to hand over from one writer to the next, which refuses nobody."""


class Load:
    """Threads that ask, until the block ends, through the published ports; `refused` and `payments` are their books."""

    def __init__(self, stack: ComposeStack) -> None:
        self.refused: list[str] = []
        self.payments: list[str] = []
        self.answered = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        password, node = stack.creator(), stack.node()
        wallet = Client(stack.wallet_url, patience=_PATIENCE)
        explorer = Client(stack.explorer_url, patience=_PATIENCE)
        self._payee = wallet.get("/api/wallets/creator").json["address"]
        self._kept = KeptConnection(stack.explorer_url, "/blocks/tip/hash")
        run = secrets.token_hex(4)

        def pay() -> Reply:
            """Pay; what was not acknowledged is asked for again, by the same id."""
            order = {"to": self._payee, "amount": "0.001", "password": password}
            order["request_id"] = f"{run}-{len(self.payments)}"
            reply = wallet.post_json("/api/wallets/creator/send", order)
            if reply.status == http.client.OK:
                self.payments.append(reply.json["txid"])
            return reply

        def mine() -> Reply:
            return node.post_json("/", {"id": 1, "method": "generatetoaddress", "params": [1, self._payee]})

        lanes: list[tuple[str, float, Callable[[], Reply]]] = [
            ("height", _PAUSE, lambda: explorer.get("/blocks/tip/height")),
            ("page", _PAUSE, lambda: Client(stack.explorer_url, {"Accept": "text/html"}).get("/")),
            ("balance", _PAUSE, lambda: wallet.get("/api/wallets/creator")),
            ("call", _PAUSE, lambda: node.post_json("/", {"id": 1, "method": "getblockcount", "params": []})),
            ("kept connection", _PAUSE, self._kept.ask),
            ("payment", 0.2, pay),
            ("mining", 0.5, mine),
        ]
        self._threads = [threading.Thread(target=self._run, args=lane, name=lane[0]) for lane in lanes]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._kept.close()

    def _run(self, name: str, pause: float, ask: Callable[[], Reply]) -> None:
        while not self._stop.wait(pause):
            began = time.monotonic()
            reply = ask()
            with self._lock:
                self.answered += 1
                if reply.status != http.client.OK:
                    took = time.monotonic() - began
                    at = time.strftime("%H:%M:%S", time.gmtime())
                    self.refused.append(f"{at} {name} after {took:.1f} s: {reply.status} {reply.text[:300]}")


class KeptConnection:
    """A connection over which one request follows another; made again only when the server has said that it closes."""

    def __init__(self, url: str, path: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        self._path = path

    def ask(self) -> Reply:
        """Send the next request."""
        try:
            self._connection.request("GET", self._path)
            response = self._connection.getresponse()
            return Reply(response.status, response.read().decode(), {})
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return Reply(0, repr(error), {})

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def lost(stack: ComposeStack, payments: list[str]) -> list[str]:
    """Mine a block; return the acknowledged payments that are in none."""
    call(stack.node(), "generatetoaddress", 1, mined(stack)["address"])
    explorer = Client(stack.explorer_url)
    return [txid for txid in payments if not explorer.get(f"/tx/{txid}/status").json.get("confirmed")]

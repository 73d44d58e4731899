"""Sends many requests to an HTTP server: one after another to time each, or over many connections at once."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_NONE: Mapping[str, str] = {}


@dataclass(slots=True)
class Latencies:
    """Seconds that each request took, and how many had each status."""

    seconds: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    def percentile(self, percent: float) -> float:
        """Milliseconds within which so many of a hundred requests were answered."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Client:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, path: str, body: str | None = None, headers: Mapping[str, str] = _NONE) -> tuple[int, bytes]:
        """Return status and body of the answer."""
        self._connection.request("GET" if body is None else "POST", path, body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def measure(
        self, paths: Sequence[str], body: str | None, headers: Mapping[str, str], count: int, seconds: float
    ) -> Latencies:
        """Ask for each of the paths in turn, so often or for so long."""
        found = Latencies()
        ends = time.perf_counter() + seconds
        for path in itertools.islice(itertools.cycle(paths), count):
            began = time.perf_counter()
            status, _ = self.ask(path, body, headers)
            found.seconds.append(time.perf_counter() - began)
            found.statuses[status] = found.statuses.get(status, 0) + 1
            if time.perf_counter() > ends:
                break
        return found


def wait_for(port: int, seconds: float = 60.0) -> None:
    """Wait until a service on this port answers."""
    deadline = time.monotonic() + seconds
    while True:
        client = Client(port)
        try:
            client.ask("/healthz")
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
        finally:
            client.close()


async def _keep_asking(port: int, requests: list[bytes], ends: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = 0
    for request in itertools.cycle(requests):
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(head.decode())
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        answered += 1
        if time.perf_counter() > ends:
            break
    writer.close()
    return answered


def requests_per_second(port: int, paths: Sequence[str], connections: int, seconds: float) -> float:
    """Return how many requests are answered a second over so many connections at once."""
    requests = [f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() for path in paths]

    async def run() -> int:
        ends = time.perf_counter() + seconds
        each = [
            _keep_asking(port, requests[number % len(requests) :] or requests, ends) for number in range(connections)
        ]
        return sum(await asyncio.gather(*each))

    began = time.perf_counter()
    answered = asyncio.run(run())
    return answered / (time.perf_counter() - began)

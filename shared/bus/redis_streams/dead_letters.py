"""The dead letters of the embedded bus: a stream for each service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.bus.dead_letters import Choice, DeadLetter, DeadLetters
from shared.bus.events import SCHEMA_VERSION
from shared.bus.redis_streams.client import BusScripts, bus_errors, open_client
from shared.bus.redis_streams.consumer import StreamKeys
from shared.bus.topics import SERVICES

_PAGE = 500


class RedisDeadLetters(DeadLetters):
    """The dead letters of the bus whose keys start with `prefix`."""

    def __init__(self, redis_url: str, prefix: str = "warren-bus") -> None:
        self._client: Any = open_client(redis_url)
        self._scripts = BusScripts(self._client)
        self._keys = StreamKeys(prefix)

    def read(self) -> list[DeadLetter]:
        """See `DeadLetters.read`."""
        return list(self._letters())

    def replay(self, choice: Choice) -> tuple[list[DeadLetter], list[DeadLetter]]:
        """See `DeadLetters.replay`: a message is never in both places, nor in none."""
        done: list[DeadLetter] = []
        stay: list[DeadLetter] = []
        for letter in filter(choice, self.read()):
            fields = {"t": letter.topic, "i": letter.message_id, "r": "", "c": ""}
            fields |= {"p": letter.traceparent, "v": str(SCHEMA_VERSION)}
            args = [letter.tag, *(item for pair in fields.items() for item in pair), "b", letter.body]
            keys = [self._keys.dead_letters(letter.service), self._keys.queue(letter.queue)]
            with bus_errors():
                moved = self._scripts.replay(keys=keys, args=args)
            if moved >= 0:
                (done if moved else stay).append(letter)
        return done, stay

    def purge(self, choice: Choice) -> list[DeadLetter]:
        """See `DeadLetters.purge`."""
        chosen = list(filter(choice, self.read()))
        with bus_errors():
            return [
                letter for letter in chosen if self._client.xdel(self._keys.dead_letters(letter.service), letter.tag)
            ]

    def close(self) -> None:
        """See `DeadLetters.close`."""
        self._client.close()

    def _remove(self, letter: DeadLetter) -> bool:
        return bool(self._client.xdel(self._keys.dead_letters(letter.service), letter.tag))

    def _letters(self) -> Iterator[DeadLetter]:
        for service in SERVICES:
            start = "-"
            while True:
                with bus_errors():
                    page = self._client.xrange(self._keys.dead_letters(service), min=start, count=_PAGE)
                if not page:
                    break
                for entry_id, fields in page:
                    texts = {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}
                    yield DeadLetter(
                        service=service,
                        queue=texts.get("queue", ""),
                        topic=texts.get("t", ""),
                        message_id=texts.get("i", ""),
                        reason=texts.get("reason", ""),
                        time=int(texts.get("time") or 0),
                        traceparent=texts.get("p", ""),
                        body=fields.get(b"b", b""),
                        tag=entry_id,
                    )
                start = f"({page[-1][0].decode()}"

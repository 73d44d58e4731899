"""Health checks: for the launcher, and for containers (`python -m deploy.stack.healthcheck URL...`)."""

from __future__ import annotations

import http.client
import json
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class Health:
    """Status and body of an answer; 0 and empty if there was no answer."""

    status: int
    body: bytes


def answers(url: str, timeout: float = TIMEOUT) -> bool:
    """Whether a GET of this http URL is answered with 200 within `timeout` seconds."""
    return get(url, timeout).status == http.client.OK


def missing(answer: Health) -> dict[str, str] | None:
    """Return the conditions that a service still lacks, each with the reason if it gives one.

    They are read from its answer at `/readyz`; None if that is no such answer.
    """
    if answer.status not in (http.client.OK, http.client.SERVICE_UNAVAILABLE):
        return None
    try:
        states = json.loads(answer.body)
        reasons = states.get("reasons", {})
        return {name: str(reasons.get(name, "")) for name, is_there in states.items() if not is_there}
    except (ValueError, AttributeError):
        return None


def get(url: str, timeout: float = TIMEOUT) -> Health:
    """Return the answer to a GET of this http URL."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/", headers={"Accept": "application/json"})
        reply = connection.getresponse()
        return Health(reply.status, reply.read())
    except (OSError, UnicodeError, http.client.HTTPException):
        return Health(0, b"")
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if all(answers(url) for url in sys.argv[1:]) else 1)

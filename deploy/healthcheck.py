"""Whether a service is ready: asked by the launcher, and by containers (`python -m deploy.healthcheck URL...`)."""

from __future__ import annotations

import http.client
import json
import sys
from urllib.parse import urlsplit

TIMEOUT = 2.0


def answers(url: str, timeout: float = TIMEOUT) -> bool:
    """Whether a GET of this http URL is answered with 200 within `timeout` seconds."""
    return _get(url, timeout)[0] == http.client.OK


def missing(url: str, timeout: float = TIMEOUT) -> list[str] | None:
    """Return what a service still lacks, as its `/readyz` names it; None if it does not say."""
    status, body = _get(url, timeout)
    if status not in (http.client.OK, http.client.SERVICE_UNAVAILABLE):
        return None
    try:
        return [name for name, is_there in json.loads(body).items() if not is_there]
    except (ValueError, AttributeError):
        return None


def _get(url: str, timeout: float) -> tuple[int, bytes]:
    """Return status and body; 0 and nothing if there is no answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/")
        reply = connection.getresponse()
        return reply.status, reply.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if all(answers(url) for url in sys.argv[1:]) else 1)

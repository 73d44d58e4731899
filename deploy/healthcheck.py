"""Whether a service is ready: asked by the launcher, and by containers (`python -m deploy.healthcheck URL...`)."""

from __future__ import annotations

import http.client
import sys
from urllib.parse import urlsplit

TIMEOUT = 2.0


def answers(url: str, timeout: float = TIMEOUT) -> bool:
    """Whether a GET of this http URL is answered with 200 within `timeout` seconds."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if all(answers(url) for url in sys.argv[1:]) else 1)

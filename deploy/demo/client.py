"""A small JSON client with cookies, for `./warren demo`: standard library only, as any user could write it."""

from __future__ import annotations

import http.client
import http.cookiejar
import json
import urllib.error
import urllib.request
from typing import Any

TIMEOUT = 90.0
"""Seconds; longer than a mining request may take."""


class HttpProblem(Exception):
    """A request that failed; `status` is 0 if there was no answer at all."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class JsonClient:
    """A client of one HTTP service; keeps its cookies, and so the session that unlocked a wallet."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)

    def get(self, path: str) -> Any:
        """Return the JSON at a path, or its text if it is no JSON; raises `HttpProblem` unless the request succeeds."""
        return self._request(urllib.request.Request(self.base_url + path))

    def post(self, path: str, body: Any) -> Any:
        """Post a JSON body and return the answer; `HttpProblem` has the service's text."""
        request = urllib.request.Request(self.base_url + path, json.dumps(body).encode(), method="POST")
        request.add_header("Content-Type", "application/json")
        return self._request(request)

    def _request(self, request: urllib.request.Request) -> Any:
        request.add_header("Accept", "application/json")
        where = f"{request.get_method()} {request.full_url}"
        try:
            with self._opener.open(request, timeout=TIMEOUT) as reply:
                return _decode(reply.read())
        except urllib.error.HTTPError as error:
            with error:
                raise HttpProblem(error.code, f"{where}: {error.code} {_words(_decode(error.read()))}") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise HttpProblem(0, f"{where}: {getattr(error, 'reason', error)}") from None


def _decode(data: bytes) -> Any:
    text = data.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def _words(problem: Any) -> str:
    """Return the text of problem details (RFC 9457), or of any other answer."""
    if isinstance(problem, dict):
        return ": ".join(str(problem[key]) for key in ("title", "detail") if problem.get(key))
    return " ".join(str(problem).split())[:200]

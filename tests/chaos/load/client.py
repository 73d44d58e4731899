"""A plain HTTP client: one request, one connection, and an answer for everything that may happen to it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 10.0
"""Seconds that a client waits for an answer before it asks again."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; `status` is 0 if no whole answer did, and `text` then says why."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        """The JSON body; an empty object if it is none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return {}


class Client:
    """One HTTP service; keeps its cookies."""

    def __init__(self, base_url: str, headers: Mapping[str, str] | None = None, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._netloc = urlsplit(base_url).netloc
        self._headers = dict(headers or {})
        self._cookies: dict[str, str] = {}

    def get(self, path: str) -> Reply:
        return self._request("GET", path, None, {})

    def post(self, path: str, body: str = "", kind: str = "text/plain") -> Reply:
        return self._request("POST", path, body.encode(), {"Content-Type": kind})

    def post_json(self, path: str, body: Any) -> Reply:
        return self.post(path, json.dumps(body), "application/json")

    def _request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        connection = http.client.HTTPConnection(self._netloc, timeout=self._patience)
        try:
            connection.request(method, path, body, {"Accept": "application/json", **self._headers, **headers})
            response = connection.getresponse()
            reply = Reply(response.status, response.read().decode("utf-8", "replace"), dict(response.getheaders()))
            self._keep(response.headers.get_all("Set-Cookie", []))
        except TimeoutError:
            return Reply(0, f"no answer within {self._patience:.0f} s", {})
        except (OSError, http.client.HTTPException) as error:
            return Reply(0, f"{type(error).__name__}: {error}", {})
        finally:
            connection.close()
        return reply

    def _keep(self, set_cookies: Iterable[str]) -> None:
        for text in set_cookies:
            name, _, value = text.partition(";")[0].partition("=")
            self._cookies[name] = value
        if self._cookies:
            self._headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())

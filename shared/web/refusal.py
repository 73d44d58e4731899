"""An answer to a request that is not read to its end: plain text, made from the headers alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flask import Response

from shared.web.asgi import SECURITY_HEADERS


@dataclass(frozen=True, slots=True)
class Refusal:
    """Status and text of the answer; a client gets it after `seconds`, which hold no thread."""

    status: int
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def response(self) -> Response:
        """Return the whole answer."""
        response = Response(self.text, self.status, content_type="text/plain; charset=utf-8")
        response.headers.update({**SECURITY_HEADERS, **self.headers})
        return response

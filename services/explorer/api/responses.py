"""What the API's resources have in common: their routes, and the forms of their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec
from flask import Blueprint, Response, request

_IMMUTABLE = "public, max-age=31536000, immutable"

SCRIPT = "<any(address, scripthash):kind>/<name>"
"""The part of a path that names a script by its address or hash."""


class Route(NamedTuple):
    """A resource under its path."""

    path: str
    view: Callable[..., Response]
    method: str = "GET"


def blueprint(name: str, *tables: Iterable[Route]) -> Blueprint:
    """Return all these resources, for mounting."""
    found = Blueprint(name, __name__)
    for table in tables:
        for route in table:
            # A path that ends with a slash is the same without it, as in electrs, and never a redirect.
            strict = not route.path.endswith("/")
            found.add_url_rule(route.path, _endpoint(route), route.view, methods=[route.method], strict_slashes=strict)
    return found


def json(value: Any) -> Response:
    """Return a value as JSON, its fields in the order given."""
    return Response(msgspec.json.encode(value), content_type="application/json")


def octets(data: bytes) -> Response:
    """Return bytes as they are."""
    return Response(data, content_type="application/octet-stream")


def plain(body: str, status: int = 200) -> Response:
    """Return a text; its type is named as electrs does, without a character set."""
    return Response(body, status, content_type="text/plain")


def immutable(response: Response) -> Response:
    """Let everyone keep a response for ever: what is named by its hash cannot change. Whoever has it gets a 304."""
    response.headers["Cache-Control"] = _IMMUTABLE
    response.add_etag()
    response.make_conditional(request)
    return response


def _endpoint(route: Route) -> str:
    words = route.path.replace(".", "-")
    return f"{route.method} {words}"

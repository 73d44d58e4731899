"""The view layer: calls the plain function of an operation with the request's parameters, and encodes its answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any

import msgspec
from flask import Blueprint, Response, request

from services.explorer.api.operation import JSON, OCTETS, TEXT, Operation

Table = tuple[object, Iterable[Operation]]
"""Operations, with the object that their functions are methods of."""

_IMMUTABLE = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class View:
    """A Flask view of an operation on one object. Two views of one operation and object are equal."""

    operation: Operation
    owner: object
    text_type: str = TEXT
    """electrs names no character set."""

    def __call__(self, **arguments: Any) -> Any:
        """Answer the request that Flask is serving, later if the operation waits; `arguments` are parts of its path."""
        operation = self.operation
        for parameter in operation.parameters:
            if parameter.place != "query":
                continue
            name = parameter.argument or parameter.name
            if parameter.is_list:
                arguments[name] = request.args.getlist(parameter.name)
            elif parameter.name in request.args:
                arguments[name] = request.args[parameter.name]
        if operation.body is not None:
            arguments["body"] = request.get_data()
        if iscoroutinefunction(operation.function):
            return self._answer_later(arguments)
        response = self._encode(operation.function(self.owner, **arguments))
        return immutable(response) if operation.is_immutable else response

    async def _answer_later(self, arguments: dict[str, Any]) -> Response:
        return self._encode(await self.operation.function(self.owner, **arguments))

    def _encode(self, answer: Any) -> Response:
        match answer:
            case str():
                return Response(answer, content_type=self.text_type)
            case bytes():
                return Response(answer, content_type=OCTETS)
        return Response(msgspec.json.encode(answer), content_type=JSON)


class Api:
    """The operations that an application serves."""

    def __init__(self, *tables: Table, text_type: str = TEXT) -> None:
        self._views = [View(operation, owner, text_type) for owner, table in tables for operation in table]

    def view(self, path: str, method: str = "GET") -> View:
        """Return the view of one path, which must be there."""
        [found] = [view for view in self._views if (view.operation.method, view.operation.path) == (method, path)]
        return found

    def blueprint(self, name: str, *, without: str | None = None) -> Blueprint:
        """Return the blueprint of all views, except views whose path begins with `without`."""
        blueprint = Blueprint(name, __name__)
        for view in self._views:
            operation = view.operation
            if without is not None and operation.path.startswith(without):
                continue
            blueprint.add_url_rule(
                operation.rule,
                f"{operation.method} {operation.path}".replace(".", "-"),
                view,
                methods=[operation.method],
                strict_slashes=not operation.may_end_with_slash,
            )
        return blueprint


def plain(body: str, status: int = 200) -> Response:
    """Return a text; its type is named as electrs does, without a character set."""
    return Response(body, status, content_type=TEXT)


def immutable(response: Response) -> Response:
    """Let everyone keep a response for ever; a client that has it already gets a 304."""
    response.headers["Cache-Control"] = _IMMUTABLE
    response.add_etag()
    response.make_conditional(request)
    return response

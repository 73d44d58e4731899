"""Descriptions: `/openapi.json` of the API, with a page that is made of it, and `/asyncapi.json` of the messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from flask import render_template
from msgspec import Meta

from services.explorer.api.operation import Operation
from services.explorer.openapi.document import document
from services.explorer.openapi.page import sections
from shared.bus import asyncapi
from shared.consensus.params import ChainParams

OpenApi = Annotated[
    msgspec.Raw,
    Meta(extra_json_schema={"type": "object", "required": ["openapi"]}, examples=[{"openapi": "3.1.0"}]),
]
AsyncApi = Annotated[
    msgspec.Raw,
    Meta(extra_json_schema={"type": "object", "required": ["asyncapi"]}, examples=[{"asyncapi": "3.0.0"}]),
]


class Description:
    """Both forms, made once: the API does not change while it is served."""

    def __init__(self, params: ChainParams, base_url: str, operations: Sequence[Operation]) -> None:
        described = document(params, operations)
        self._json = msgspec.Raw(msgspec.json.encode(described))
        self._messages = msgspec.Raw(msgspec.json.encode(asyncapi.document()))
        self._sections = sections(operations, described, params, base_url)

    def openapi(self) -> OpenApi:
        """Return the OpenAPI document."""
        return self._json

    def asyncapi(self) -> AsyncApi:
        """Return the AsyncAPI document."""
        return self._messages

    def page(self) -> str:
        """Show the API to people."""
        return render_template("docs.html", sections=self._sections)


OPERATIONS = (
    Operation(
        "/openapi.json", Description.openapi, "This description", "This description (OpenAPI 3.1)", "Description"
    ),
    Operation(
        "/asyncapi.json",
        Description.asyncapi,
        "The messages on the bus",
        "The messages on RabbitMQ (AsyncAPI 3.0), for programs that listen there or submit transactions",
        "Description",
    ),
)

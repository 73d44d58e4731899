"""The API's description: `/openapi.json` for programs, and the page that is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from flask import render_template
from msgspec import Meta

from services.explorer.api.operation import Operation
from services.explorer.openapi.document import document
from services.explorer.openapi.page import sections
from shared.consensus.params import ChainParams

Document = Annotated[
    msgspec.Raw,
    Meta(extra_json_schema={"type": "object", "required": ["openapi"]}, examples=[{"openapi": "3.1.0"}]),
]


class Description:
    """Both forms, made once: the API does not change while it is served."""

    def __init__(self, params: ChainParams, base_url: str, operations: Sequence[Operation]) -> None:
        described = document(params, operations)
        self._json = msgspec.Raw(msgspec.json.encode(described))
        self._sections = sections(operations, described, params, base_url)

    def openapi(self) -> Document:
        """Return the OpenAPI document."""
        return self._json

    def page(self) -> str:
        """Show the API to people."""
        return render_template("docs.html", sections=self._sections)


OPERATIONS = (
    Operation(
        "/openapi.json", Description.openapi, "This description", "This description (OpenAPI 3.1)", "Description"
    ),
)

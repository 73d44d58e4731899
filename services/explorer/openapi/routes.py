"""The API's description: `/openapi.json` for programs, and the page that is made of it."""

from __future__ import annotations

import msgspec
from flask import Response, render_template

from services.explorer.api.responses import Route
from services.explorer.openapi.document import document
from services.explorer.openapi.page import Section, sections
from shared.consensus.params import ChainParams


class Description:
    """Both forms, made once: the API does not change while it is served."""

    def __init__(self, params: ChainParams, base_url: str, *, has_faucet: bool) -> None:
        self._json = msgspec.json.encode(document(params, has_faucet=has_faucet))
        self._sections: list[Section] = sections(params, base_url, has_faucet=has_faucet)

    def openapi(self) -> Response:
        """Return the OpenAPI document."""
        return Response(self._json, content_type="application/json")

    def page(self) -> str:
        """Show the API to people."""
        return render_template("docs.html", sections=self._sections)

    def routes(self) -> tuple[Route, ...]:
        """Return the document under its path."""
        return (Route("/openapi.json", self.openapi),)

"""Paths that are both a page and a resource of the API: the `Accept` header decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.web.app import wants_html


class PageOrResource:
    """A view that answers a browser with the page and any other client with the resource; equal for equal functions."""

    def __init__(self, page: Callable[..., Any], resource: Callable[..., Any]) -> None:
        self._views = (page, resource)

    def __call__(self, **arguments: str) -> Any:
        """Answer a request."""
        page, resource = self._views
        return page(**arguments) if wants_html() else resource(**arguments)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PageOrResource) and self._views == other._views

    def __hash__(self) -> int:
        return hash(self._views)

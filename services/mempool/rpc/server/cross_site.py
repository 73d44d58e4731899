"""Detects requests that a browser sends for a page of another site. Programs send none of these headers."""

from __future__ import annotations

from urllib.parse import urlsplit

from werkzeug import Request


def is_cross_site(request: Request) -> bool:
    """Tell whether the headers that browsers set (Sec-Fetch-Site, Origin, Referer) name another site than this one."""
    fetch_site = request.headers.get("Sec-Fetch-Site")
    if fetch_site is not None:
        return fetch_site not in ("same-origin", "none")
    source = request.headers.get("Origin") or request.headers.get("Referer")
    return source is not None and urlsplit(source).netloc.lower() != request.host.lower()

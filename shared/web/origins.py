"""Which web pages may make a browser change something here: those of the service itself and of origins that are named.

A page of any site can make a browser send a request. It reads no answer without CORS, but blocks are mined and coins
paid all the same. Programs that are no browsers send none of the headers that are checked.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from shared.errors import ConfigError
from shared.web.head import RequestHead
from shared.web.refusal import Refusal

_ORIGIN = re.compile(r"https?://[^\s/?#@]+", re.ASCII)


class TrustedOrigins:
    """Accepts the pages of the service itself and of a comma-separated list of origins (`https://app.example:8443`)."""

    def __init__(self, listed: str) -> None:
        """Read the list; `ConfigError` for a text that is no origin."""
        self._named = frozenset(name.strip().lower() for name in listed.split(",") if name.strip())
        for name in self._named:
            if not _ORIGIN.fullmatch(name):
                raise ConfigError(f"WARREN_TRUSTED_ORIGINS: {name} is no origin, such as https://app.example")

    def is_named(self, origin: str) -> bool:
        """Whether a request with this `Origin` header, empty if it has none, comes from a page of a named origin."""
        return origin.lower() in self._named

    def refusal(self, head: RequestHead) -> Refusal | None:
        """Return why a request is refused that a browser sends for a page of another site, None for any other."""
        if self.is_named(head.headers.get("origin", "")) or not _is_cross_site(head):
            return None
        return Refusal(403, "cross-site request refused: the page's origin is not in WARREN_TRUSTED_ORIGINS")

    def cors(self, origin: str) -> dict[str, str]:
        """Return the headers that let a page of a named origin send requests and read answers; none for other pages."""
        if not self.is_named(origin):
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "GET, POST, PUT, OPTIONS",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
        }


def _is_cross_site(head: RequestHead) -> bool:
    """Tell whether the headers that browsers set (Sec-Fetch-Site, Origin, Referer) name another site than this one."""
    fetch_site = head.headers.get("sec-fetch-site")
    if fetch_site is not None:
        return fetch_site not in ("same-origin", "none")
    source = head.headers.get("origin") or head.headers.get("referer")
    return source is not None and urlsplit(source).netloc.lower() != head.host.lower()

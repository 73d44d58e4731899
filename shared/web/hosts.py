"""Host names that pages and streams answer to: DNS rebinding must not let a page of another site reach them."""

from __future__ import annotations

import ipaddress
from functools import lru_cache


class TrustedHosts:
    """Accepts loopback names and addresses, and the names of a comma-separated list (`*`: any name)."""

    def __init__(self, listed: str) -> None:
        self._names = frozenset(name.strip().lower() for name in listed.split(",") if name.strip())

    def admits(self, host: str) -> bool:
        """Whether a request with this `Host` header, which may end with a port, is answered."""
        return "*" in self._names or is_loopback(host_name(host)) or host_name(host) in self._names


def host_name(host: str) -> str:
    """Return the name or address in a `Host` header, without port and brackets."""
    if host.startswith("["):
        return host[1:].split("]")[0].lower()
    return host.rsplit(":", 1)[0].lower()


@lru_cache(maxsize=64)  # asked for every request, mostly with one name
def is_loopback(name: str) -> bool:
    """Whether a host name or address, without port and brackets, is this machine itself."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")

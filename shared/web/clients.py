"""Tells clients apart by their addresses, behind trusted proxies by the addresses that these forward."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from flask import request

from shared.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_of_request(proxies: Sequence[Network]) -> str:
    """Return the address of the client whose request the application answers now."""
    return client_address(request.remote_addr or "", request.headers.get("X-Forwarded-For"), proxies)


def client_address(peer: str, forwarded: str | None, proxies: Sequence[Network]) -> str:
    """Return the client's address: the peer's, or behind trusted proxies the one that they forward.

    Each proxy appends its own peer to `X-Forwarded-For`: the last address that is no trusted proxy is the client.
    """
    client = peer
    for name in reversed((forwarded or "").split(",")):
        if not _is_within(client, proxies) or not _is_address(name.strip()):
            break
        client = name.strip()
    return client


def read_networks(text: str) -> list[Network]:
    """Return the addresses and networks of a comma-separated list."""
    try:
        return [ipaddress.ip_network(name.strip(), strict=False) for name in text.split(",") if name.strip()]
    except ValueError as error:
        raise ConfigError(f"WARREN_TRUSTED_PROXIES: {error}") from None


def _is_within(text: str, networks: Sequence[Network]) -> bool:
    return _is_address(text) and any(ipaddress.ip_address(text) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True

"""Sets the mining mode of `./warren up --mining MODE` through the node's JSON-RPC, as any client does."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import Any

from deploy.errors import LaunchError

TIMEOUT = 40.0
"""Seconds; longer than the node waits for the wallet service and the writer."""


def set_mining_mode(rpc_url: str, credentials: str, mode: str, address: str) -> str:
    """Set the mode and return the address that its blocks pay. `credentials` are `user:password`.

    An empty `address` leaves the choice to the node. Raises `LaunchError` with the reason of a refusal.
    """
    body = {"method": "warren_setminingmode", "params": [mode, address] if address else [mode], "id": 1}
    token = base64.b64encode(credentials.encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(rpc_url, json.dumps(body).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        try:
            with opener.open(request, timeout=TIMEOUT) as answer:
                reply = json.load(answer)
        except urllib.error.HTTPError as error:  # an error of JSON-RPC 1.0 has a status of its own
            with error:
                reply = json.load(error)
    except (OSError, ValueError) as error:
        raise LaunchError(f"--mining {mode}: the node does not answer: {error}") from None
    return _address(reply, mode)


def _address(reply: Any, mode: str) -> str:
    match reply:
        case {"result": {"address": address}}:
            return str(address or "")
        case {"error": {"message": message}}:
            raise LaunchError(f"--mining {mode}: {message}")
        case _:
            raise LaunchError(f"--mining {mode}: the node gave an answer that is none")

"""Error pages: the cause in plain words, and the next step."""

from __future__ import annotations

from flask import Response
from werkzeug.exceptions import HTTPException

from services.explorer.errors import RequestError
from shared.errors import BrokerError, NoChain, StoreError
from shared.web.app import problem

_SEARCH = "The search box above takes heights, hashes, addresses and public keys."
_NOT_FOUND = {
    "Block not found": (
        "No block with this hash or height is known.",
        "The chain may not have come to this height yet, or the hash is of another chain.",
    ),
    "Transaction not found": (
        "It is neither on the best chain nor in the pool.",
        "It may not have arrived yet, have expired, or be of another chain: if it was just sent, reload.",
    ),
}
_MALFORMED = {
    "Invalid hex string": "A block hash or txid has 64 digits from 0 to 9 and a to f.",
    "Invalid number": "A height is a number from 0 upwards.",
    "Invalid scripthash": "A script hash has 64 digits from 0 to 9 and a to f.",
    "Address on invalid network": "The address is valid, but belongs to another network.",
    "start index out of range": "This list ends before that place.",
}


def explain(error: Exception, path: str) -> Response | None:
    """Return the page for an error that the explorer itself explains, None for any other."""
    match error:
        case RequestError(message=message) if message in _NOT_FOUND:
            detail, hint = _NOT_FOUND[message]
            return problem(error.status, message, detail, [hint, _SEARCH])
        case RequestError(status=429):
            response = problem(429, "Too many requests", f"Try again in {error.retry_after} s.")
            response.headers["Retry-After"] = str(error.retry_after)
            return response
        case RequestError():
            return problem(
                error.status, "That does not look right", _MALFORMED.get(error.message, error.message), [_SEARCH]
            )
        case HTTPException(code=404):
            return problem(404, "Page not found", f"There is nothing at {path}", [_SEARCH])
        case NoChain():
            return problem(
                503, "No chain yet", f"The store answers, but {error}.", ["The node writes it when it starts."]
            )
        case StoreError():
            return problem(
                503,
                "The chain is out of reach",
                "The store with the chain does not answer at the moment.",
                ["The chain itself is safe. This page works again as soon as the store is back.", str(error)],
            )
        case BrokerError():
            return problem(
                503,
                "Messages do not get through",
                "The broker does not answer at the moment.",
                ["Reading works; sending has to wait.", str(error)],
            )
    return None

"""Errors of requests, raised for the API and the pages alike.

WarrenError
└── RequestError      a status, 400 to 499 or 503, and Esplora's text for it
    └── NoAnswer      a service did not answer in time
"""

from __future__ import annotations

from shared.errors import WarrenError


class RequestError(WarrenError):
    """The request cannot be answered; `message` is Esplora's exact text where it has one."""

    def __init__(self, status: int, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after
        """Seconds, sent with a 429 or 503."""


class NoAnswer(RequestError):
    """A service did not answer in time; `outcome` says what may still come of the request."""

    def __init__(self, outcome: str) -> None:
        super().__init__(503, f"no answer in time: {outcome}")


def block_not_found() -> RequestError:
    """Return the error for an unknown block."""
    return RequestError(404, "Block not found")


def transaction_not_found() -> RequestError:
    """Return the error for a transaction that is neither on the best chain nor in the pool."""
    return RequestError(404, "Transaction not found")


def transaction_not_confirmed() -> RequestError:
    """Return the error for a proof of a transaction that is in no block of the best chain."""
    return RequestError(404, "Transaction not found or is unconfirmed")


def too_many_coins(most: int) -> RequestError:
    """Return the error for a script with more unspent outputs than one answer has room for."""
    return RequestError(400, f"Too many unspent transaction outputs (>{most}). Contact support to raise limits.")

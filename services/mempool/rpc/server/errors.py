"""Errors of JSON-RPC calls: bitcoind's codes (rpc/protocol.h) with a message."""

from __future__ import annotations

from enum import IntEnum


class RpcCode(IntEnum):
    """Bitcoind's error codes, by its names less the `RPC_` before them."""

    MISC_ERROR = -1
    TYPE_ERROR = -3
    INVALID_ADDRESS_OR_KEY = -5
    INVALID_PARAMETER = -8
    DATABASE_ERROR = -20
    DESERIALIZATION_ERROR = -22
    VERIFY_ERROR = -25
    VERIFY_REJECTED = -26
    VERIFY_ALREADY_IN_UTXO_SET = -27
    IN_WARMUP = -28
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    PARSE_ERROR = -32700


class RpcError(Exception):
    """A call that fails with this code and message."""

    def __init__(self, code: RpcCode, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} ({int(self.code)})"

    def to_json(self) -> dict[str, object]:
        """Return the error object of a reply."""
        return {"code": int(self.code), "message": self.message}

"""JSON-RPC 1.0 and 2.0 as bitcoind speaks them: bodies to requests, outcomes to replies. Pure: no HTTP, no chain.

A 2.0 request says `"jsonrpc": "2.0"`; everything else is legacy. Sources: Core's rpc/request.cpp and httprpc.cpp.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import msgspec

from services.mempool.rpc.server.errors import RpcCode, RpcError

MAX_BODY = 0x02000000
"""Bytes of a request's body (Core's MAX_SIZE)."""
MAX_DEPTH = 512
"""Of nested arrays and objects (UniValue's MAX_JSON_DEPTH)."""
MAX_BATCH = 100_000
"""Calls in one batch: a body full of nothing but commas must not cost gigabytes of error replies."""

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")

_HTTP_STATUS = {
    RpcCode.INVALID_REQUEST: HTTPStatus.BAD_REQUEST,
    RpcCode.METHOD_NOT_FOUND: HTTPStatus.NOT_FOUND,
}


@dataclass(frozen=True, slots=True)
class RpcRequest:
    """One call. A malformed one has only the fields that could be read, and an `error`."""

    method: str = ""
    params: list[Any] | dict[str, Any] = field(default_factory=list, repr=False)
    id: Any = None
    has_id: bool = True
    is_v2: bool = False
    error: RpcError | None = None

    @property
    def is_notification(self) -> bool:
        """Tell whether the caller expects no reply: a 2.0 request without an id."""
        return self.is_v2 and not self.has_id


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a call: a result (any JSON value) or an error."""

    result: Any = None
    error: RpcError | None = None


def decode_body(body: bytes) -> Any:
    """Return the JSON value of a body, numbers with a point as `Decimal`; `RpcError` PARSE_ERROR if it is none."""
    try:
        value = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise RpcError(RpcCode.PARSE_ERROR, "Parse error") from None
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise RpcError(RpcCode.PARSE_ERROR, "Parse error")
    return value


def parse_request(value: Any) -> RpcRequest:
    """Return the request in a JSON value; a malformed one has its `error` set."""
    if not isinstance(value, dict):
        return RpcRequest(error=RpcError(RpcCode.INVALID_REQUEST, "Invalid Request object"))
    call_id, has_id = value.get("id"), "id" in value
    version = value.get("jsonrpc")
    is_v2 = version == "2.0"

    def invalid(message: str) -> RpcRequest:
        error = RpcError(RpcCode.INVALID_REQUEST, message)
        return RpcRequest(id=call_id, has_id=has_id, is_v2=is_v2, error=error)

    if version is not None and not isinstance(version, str):
        return invalid("jsonrpc field must be a string")
    if version not in (None, "1.0", "2.0"):
        return invalid("JSON-RPC version not supported")
    method, params = value.get("method"), value.get("params")
    if method is None:
        return invalid("Missing method")
    if not isinstance(method, str):
        return invalid("Method must be a string")
    if params is None:
        params = []
    if not isinstance(params, (list, dict)):
        return invalid("Params must be an array or object")
    return RpcRequest(method, params, call_id, has_id, is_v2)


def reply(request: RpcRequest, outcome: Outcome) -> dict[str, Any]:
    """Return the reply object: 2.0 has a result or an error, legacy has both and one of them is null."""
    answer: dict[str, Any] = {"jsonrpc": "2.0"} if request.is_v2 else {}
    if outcome.error is None:
        answer["result"] = outcome.result
        if not request.is_v2:
            answer["error"] = None
    else:
        if not request.is_v2:
            answer["result"] = None
        answer["error"] = outcome.error.to_json()
    if request.has_id:
        answer["id"] = request.id
    return answer


def http_status(request: RpcRequest, outcome: Outcome) -> int:
    """Return the HTTP status of a single call: legacy errors have one, 2.0 errors only if malformed."""
    if outcome.error is None or (request.is_v2 and request.error is None):
        return HTTPStatus.OK
    return _HTTP_STATUS.get(outcome.error.code, HTTPStatus.INTERNAL_SERVER_ERROR)


def encode(value: Any) -> bytes:
    """Return JSON as bitcoind writes it: compact, with a newline at the end."""
    return _encoder.encode(value) + b"\n"


def _depth(value: Any) -> int:
    depth = 0
    level: list[Any] = [value]
    while containers := [item for item in level if isinstance(item, (list, dict))]:
        depth += 1
        level = [child for item in containers for child in _children(item)]
    return depth


def _children(item: list[Any] | dict[str, Any]) -> Iterable[Any]:
    return item.values() if isinstance(item, dict) else item

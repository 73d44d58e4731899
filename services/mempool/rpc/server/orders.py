"""Sends the operator's orders (`chain.control`) to the writer."""

from __future__ import annotations

from typing import Any

from services.mempool.rpc.server.context import REQUEST_TIMEOUT, NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from shared.bus.events import ChainControl, ControlResult
from shared.errors import RequestFailed


def order(node: NodeContext, refusal: RpcCode, **fields: Any) -> None:
    """Order what the fields of `ChainControl` say and wait for the commit; `RpcError` `refusal` says why not."""
    reply = node.broker.request(ChainControl(**fields), REQUEST_TIMEOUT)
    if not isinstance(reply, ControlResult):
        raise RequestFailed(f"unexpected reply to chain.control: {type(reply).__name__}")
    if not reply.done:
        raise RpcError(refusal, f"{reply.reason}, {reply.detail}" if reply.detail else reply.reason)

"""Runs calls in order. Neighbouring submissions of a batch are published together and still act one after another.

`tx.submitted` claims share one queue, so a run of `sendrawtransaction` calls costs one round trip, and each call still
sees the effect of the calls before it. Any other call waits until the run before it is answered.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from services.mempool.rpc.server.claims import REQUEST_TIMEOUT, Claim
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Method, bind
from services.mempool.rpc.server.protocol import Outcome, RpcRequest
from shared.chain.reads import NotAtOnce, in_a_hurry
from shared.errors import BrokerUnavailable, RequestFailed, RequestTimeout, StoreUnavailable, Unroutable, WarrenError
from shared.process.waiting import on_thread

log = logging.getLogger(__name__)

MAX_RUN = 1000
"""Claims published together: the reply to each has `REQUEST_TIMEOUT` seconds."""


@dataclass(slots=True)
class _Run:
    """Claims waiting to be published, with their places in the batch."""

    places: list[int] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)


async def execute(node: NodeContext, requests: Sequence[RpcRequest]) -> list[Outcome]:
    """Return the outcomes of requests that act one after another, in order."""
    outcomes = [Outcome()] * len(requests)
    run = _Run()
    for place, request in enumerate(requests):
        method = node.methods.get(request.method)
        if run.claims and (method is None or not method.is_submission or len(run.claims) == MAX_RUN):
            await _settle(node, run, outcomes)
            run = _Run()
        answer = await _guarded(request.method, _answer, node, request)
        if isinstance(answer.result, Claim):
            run.places.append(place)
            run.claims.append(answer.result)
        else:
            outcomes[place] = answer
    if run.claims:
        await _settle(node, run, outcomes)
    return outcomes


async def _answer(node: NodeContext, request: RpcRequest) -> object:
    if request.error is not None:
        raise request.error
    method: Method | None = node.methods.get(request.method)
    if method is None:
        raise RpcError(RpcCode.METHOD_NOT_FOUND, "Method not found")
    values = bind(method, request.params)
    if method.is_short:
        with suppress(NotAtOnce), in_a_hurry():
            return method.answer(node, *values)
    await on_thread()
    result = method.answer(node, *values)
    return await result if isinstance(result, Coroutine) else result


async def _settle(node: NodeContext, run: _Run, outcomes: list[Outcome]) -> None:
    for place, outcome in zip(run.places, await _conclude(node, run.claims), strict=True):
        outcomes[place] = outcome


async def _conclude(node: NodeContext, claims: Sequence[Claim]) -> list[Outcome]:
    try:
        replies = await node.broker.ask_many([claim.message for claim in claims], REQUEST_TIMEOUT)
    except RequestFailed as error:
        if len(claims) == 1:
            return [Outcome(error=_translate(error))]
        # One of them could not be handled. To submit a transaction twice is harmless, so each one is asked by itself.
        return [await _guarded("submission", _ask, node, claim) for claim in claims]
    except WarrenError as error:
        return [Outcome(error=_translate(error))] * len(claims)
    return [await _guarded("submission", claim.conclude, reply) for claim, reply in zip(claims, replies, strict=True)]


async def _ask(node: NodeContext, claim: Claim) -> object:
    return claim.conclude(await node.broker.ask(claim.message, REQUEST_TIMEOUT))


async def _guarded(what: str, action: Callable[..., object], *args: object) -> Outcome:
    """Return the outcome of `action`; an unforeseen error is logged and becomes the answer to this call alone."""
    try:
        result = action(*args)
        return Outcome(await result if isinstance(result, Coroutine) else result)
    except RpcError as error:
        return Outcome(error=error)
    except WarrenError as error:
        return Outcome(error=_translate(error))
    except Exception:
        log.exception("%s failed", what[:64])
        return Outcome(error=RpcError(RpcCode.INTERNAL_ERROR, "internal error: the service's log has the details"))


def _translate(error: WarrenError) -> RpcError:
    match error:
        case StoreUnavailable() | BrokerUnavailable() | Unroutable():  # bitcoin-cli -rpcwait tries this code again
            return RpcError(RpcCode.IN_WARMUP, f"Temporarily unavailable: {error}")
        case RequestTimeout():
            return RpcError(RpcCode.MISC_ERROR, f"No answer in time, the request may still take effect: {error}")
    return RpcError(RpcCode.INTERNAL_ERROR, str(error))

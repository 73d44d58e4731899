"""The node's HTTP port: JSON-RPC at `/`, `/mine`, and the paths of every service (`/healthz`, `/readyz`, `/metrics`).

It reads through `ChainView` and requests every change of its broker, so it never touches the writer that may run
in the same process, and it answers on a standby just as well.
"""

from __future__ import annotations

from http import HTTPStatus

from flask import redirect
from werkzeug.wrappers import Response as BaseResponse

from services.mempool.mining.workers import Workers
from services.mempool.rpc import mine_page
from services.mempool.rpc.methods.table import METHODS
from services.mempool.rpc.server import protocol
from services.mempool.rpc.server.auth import Credentials, Guesses
from services.mempool.rpc.server.batch import execute
from services.mempool.rpc.server.chain_size import ChainSize
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.protocol import Outcome, RpcRequest
from shared.bus.broker import Broker
from shared.chain.view import ChainView
from shared.config import Settings
from shared.consensus.params import ChainParams
from shared.process.shutdown import ExitFlag
from shared.process.waiting import on_thread
from shared.web.app import ReadyChecks, create_app, text, wants_html
from shared.web.async_flask import AsyncFlask
from shared.web.direct import DirectAnswer, DirectCalls
from shared.web.head import RequestHead
from shared.web.refusal import Refusal

WRONG_PASSWORD_SECONDS = 0.25
SMALL = 8_192
"""Bytes of a body that is read in microseconds."""
_WALLET = "/wallet/"
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="jsonrpc"'}


def create_rpc_app(
    settings: Settings,
    params: ChainParams,
    view: ChainView,
    broker: Broker,
    credentials: Credentials,
    ready: ReadyChecks,
    stop: ExitFlag,
    workers: Workers | None = None,
) -> AsyncFlask:
    """Return the application. RPC `stop` sets `stop`."""
    chain_size = ChainSize(view)
    node = NodeContext(settings, params, view, broker, METHODS, chain_size, stop, workers=workers or Workers())
    calls = DirectCalls(_is_call, lambda asked: _respond(node, asked.body))
    app = create_app(__name__, settings, params.name, ready, protocol.MAX_BODY, direct=calls)
    guesses = Guesses()
    app.head_checks.append(lambda head: _refusal(head, credentials, guesses))

    @app.get("/")
    @app.get(f"{_WALLET}<path:name>")
    def only_calls(name: str = "") -> BaseResponse:
        if wants_html():
            return redirect("/mine", HTTPStatus.SEE_OTHER)
        return text("JSONRPC server handles only POST requests", HTTPStatus.METHOD_NOT_ALLOWED)

    app.register_blueprint(mine_page.create_blueprint(node))
    return app


def _is_call(head: RequestHead) -> bool:
    return head.method == "POST" and (head.path == "/" or (head.path.startswith(_WALLET) and head.path != _WALLET))


def _refusal(head: RequestHead, credentials: Credentials, guesses: Guesses) -> Refusal | None:
    """Return why a request is refused by its headers, None for an admitted caller's.

    Reads need no password, and neither does `/mine`; everything else that is posted, or has a body at all, needs it. A
    wrong one is answered late (bitcoind's 250 ms), which delays no other request: the right one never waits.
    """
    if head.path == mine_page.PATH:
        return mine_page.check_size(head)
    header = head.headers.get("authorization")
    if header is None:
        return Refusal(HTTPStatus.UNAUTHORIZED, headers=_CHALLENGE)
    if credentials.admit(header):
        return None
    guesses.log(head.peer)
    return Refusal(HTTPStatus.UNAUTHORIZED, headers=_CHALLENGE, seconds=WRONG_PASSWORD_SECONDS)


async def _respond(node: NodeContext, body: bytes) -> DirectAnswer:
    """Answer a body: short calls on the event loop, which hands submissions to the writer, all else on a thread."""
    if len(body) > SMALL:
        await on_thread()
    try:
        value = protocol.decode_body(body)
        if isinstance(value, list):
            await on_thread()
            return await _respond_batch(node, value)
        if not isinstance(value, dict):
            raise RpcError(RpcCode.PARSE_ERROR, "Top-level object parse error")
    except RpcError as error:
        return _reply(RpcRequest(), Outcome(error=error))
    call = protocol.parse_request(value)
    method = node.methods.get(call.method)
    if method is None or not method.is_short:
        await on_thread()
    (outcome,) = await execute(node, [call])
    if call.is_notification and call.error is None:
        return DirectAnswer(HTTPStatus.NO_CONTENT)
    return _reply(call, outcome)


async def _respond_batch(node: NodeContext, values: list[object]) -> DirectAnswer:
    if len(values) > protocol.MAX_BATCH:
        message = f"a batch has at most {protocol.MAX_BATCH} calls"
        raise RpcError(RpcCode.INVALID_REQUEST, message)
    calls = [protocol.parse_request(value) for value in values]
    outcomes = await execute(node, calls)
    replies = [
        protocol.reply(call, outcome) for call, outcome in zip(calls, outcomes, strict=True) if not call.is_notification
    ]
    if calls and not replies:
        return DirectAnswer(HTTPStatus.NO_CONTENT)
    return DirectAnswer(HTTPStatus.OK, protocol.encode(replies))


def _reply(call: RpcRequest, outcome: Outcome) -> DirectAnswer:
    body = protocol.encode(protocol.reply(call, outcome))
    is_warming_up = outcome.error is not None and outcome.error.code is RpcCode.IN_WARMUP
    return DirectAnswer(
        protocol.http_status(call, outcome), body, headers={"Retry-After": "1"} if is_warming_up else {}
    )

"""The explorer's composition root: every part of the service is built here, once, from real connections or a test's.

Pages for browsers and Esplora's API for programs are one Flask application, which also gives errors the form that each
expects; streams, waiting requests and websockets are served on the event loop.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Response, make_response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from services.explorer.api import mempool_space, nigiri, regtest_server
from services.explorer.api.esplora import blocks, packages, pool, scripts, transactions
from services.explorer.api.faucet_client import FaucetClient
from services.explorer.api.mempool_space import MempoolSpace
from services.explorer.api.responses import Api, Table, plain
from services.explorer.chain.queries import ChainQueries
from services.explorer.errors import RequestError
from services.explorer.live.event_hub import EventHub
from services.explorer.live.routes import create_endpoints
from services.explorer.openapi import routes as openapi
from services.explorer.operations import operations
from services.explorer.pages.error_pages import explain
from services.explorer.pages.faucet_page import FaucetPage
from services.explorer.pages.overview import Overview
from services.explorer.pages.routes import page_blueprint
from services.explorer.rate_limit import Clients, install_rate_limit, waiting_limit
from shared.bus.broker import Broker
from shared.chain.view import ChainView
from shared.config import Settings
from shared.consensus.params import ChainParams
from shared.errors import BrokerError, RequestTimeout, StoreError
from shared.web.app import ReadyChecks, create_app, handle_error, wants_html
from shared.web.asgi import Endpoint
from shared.web.async_flask import AsyncFlask, NoRoomToWait

log = logging.getLogger(__name__)

MAX_BODY = 1_000_000
"""Bytes of a request's body, as in electrs."""
API_PREFIX = "/api/"
OPEN_PATHS = frozenset(
    f"{prefix}{path}"
    for prefix in ("", "/api")
    for path in ("/tx", "/txs/package", "/txs/test", "/addresses/txs", "/scripthashes/txs")
) | {"/1/t/push"}
"""Paths to which pages of any site may post: they take signed transactions or only read."""
_MEMPOOL_SPACE = "/v1/"
"""Found below `/api` alone."""
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, PUT, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, traceparent",
    "Access-Control-Expose-Headers": "ETag, Retry-After, traceresponse",
}


@dataclass(frozen=True, slots=True)
class Explorer:
    """The built service; `hub` has to be started on the server's event loop, and woken by facts."""

    app: AsyncFlask
    endpoints: Mapping[str, Endpoint]
    """By path: requests that are answered on the event loop, beside the application."""
    hub: EventHub


def create_explorer(
    settings: Settings, params: ChainParams, view: ChainView, broker: Broker, ready: ReadyChecks
) -> Explorer:
    """Build the service; `ready` has its readiness checks. `ConfigError` if a proxy is no address."""
    clients = Clients(settings)
    hub = EventHub(view)
    chain = ChainQueries(view, params)
    space = MempoolSpace(chain)
    has_faucet = params.is_test_chain and settings.faucet == "on"
    description = openapi.Description(params, settings.explorer_url, operations(has_faucet=has_faucet))
    tables: list[Table] = [
        (blocks.Blocks(chain), blocks.OPERATIONS),
        (transactions.Transactions(chain, broker), transactions.OPERATIONS),
        (packages.Packages(broker), packages.OPERATIONS),
        (pool.PoolResources(chain, broker), pool.OPERATIONS),
        (scripts.Addresses(chain), scripts.ADDRESS_OPERATIONS),
        (scripts.ScriptHashes(chain), scripts.SCRIPT_HASH_OPERATIONS),
        (space, mempool_space.OPERATIONS),
        (description, openapi.OPERATIONS),
    ]
    faucet = FaucetClient(broker, params.address, settings.mine_timeout)
    if has_faucet:
        tables.append((nigiri.Nigiri(faucet), nigiri.OPERATIONS))
    api = Api(*tables)

    app = create_app("services.explorer", settings, params.name, ready, MAX_BODY, OPEN_PATHS)
    install_rate_limit(app, clients)
    app.bound_waits(waiting_limit(settings), clients.of_request)
    app.url_map.merge_slashes = False  # electrs has no path `//`, and a redirect would lose the request's body
    app.jinja_env.globals.update(has_faucet=has_faucet and params.has_cheap_blocks, maturity=params.coinbase_maturity)
    if has_faucet:
        app.register_blueprint(FaucetPage(chain, faucet).blueprint("faucet", api))
        regtest = regtest_server.RegtestServer(chain, broker, faucet)
        regtest_api = Api((regtest, regtest_server.OPERATIONS), text_type="text/plain; charset=utf-8")
        app.register_blueprint(regtest_api.blueprint("regtest_server"), url_prefix="/1")
    # Pages come first: of two rules for one path the first wins, and a page hands over to the API by Accept.
    app.register_blueprint(page_blueprint("pages", chain, api))
    app.register_blueprint(Overview(chain).blueprint("overview", api))
    app.add_url_rule("/docs", "pages.docs", description.page)
    app.register_blueprint(api.blueprint("api"), url_prefix=API_PREFIX.rstrip("/"))
    app.register_blueprint(api.blueprint("root", without=_MEMPOOL_SPACE))
    app.register_error_handler(Exception, _answer_error)
    app.after_request(_add_headers)

    endpoints = create_endpoints(settings, clients, hub, chain, space)
    return Explorer(app, endpoints, hub)


def _is_for_program() -> bool:
    return request.path.startswith(API_PREFIX) or not wants_html()


def _add_headers(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", "no-store")
    if _is_for_program():
        response.headers.update(_CORS)
    if not request.path.startswith(API_PREFIX):
        response.vary.add("Accept")
    return response


def _answer_error(error: Exception) -> Response:
    if _is_for_program():
        return _error_text(error)
    return explain(error, request.path) or handle_error(error)


def _error_text(error: Exception) -> Response:
    match error:
        case RequestError(status=429 | 503):
            return _try_again(error.message, error.status, error.retry_after)
        case RequestError():
            return plain(error.message, error.status)
        case RequestEntityTooLarge():
            return plain("Request body too large", 413)
        case HTTPException(code=404 | 405):
            return plain(f"endpoint does not exist {json.dumps(request.path)}", 404)
        case HTTPException(code=int(code)) if code >= 400:
            return plain(error.description or error.name, code)
        case HTTPException():  # a redirect
            return make_response(error.get_response())
        case RequestTimeout():
            return _try_again(
                "no verdict in time: the transaction may still be accepted, look it up before sending it again"
            )
        case NoRoomToWait():
            return _try_again(str(error))
        case StoreError() | BrokerError():
            log.warning("request refused: %s", error)
            return _try_again(f"temporarily unavailable: {error}")
    log.error("request failed: %s %s", request.method, request.path, exc_info=error)
    return plain("internal error", 500)


def _try_again(message: str, status: int = 503, seconds: int = 1) -> Response:
    response = plain(message, status)
    response.headers["Retry-After"] = str(seconds)
    return response

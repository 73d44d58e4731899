"""`/mine`: a page with a button for people, and for programs the call that the classroom project had.

`POST /mine?blocks=N&address=A` mines and answers `{"message": "success", "blocks": [hash…]}`; without an address the
reward goes to the wallet `creator`. No password is needed: everyone on this machine may ask for blocks, but no web page
of another site.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from flask import Blueprint, Response, jsonify, make_response, render_template, request

from services.mempool.rpc.server.claims import mine
from services.mempool.rpc.server.context import NodeContext
from shared.bus.events import MineResult
from shared.bus.mine import MAX_BLOCKS
from shared.bus.wallets import CREATOR, creators_address, offered_wallets
from shared.crypto.address import decode_address
from shared.errors import BrokerError, DecodeError
from shared.primitives.hex import display_hash
from shared.web.app import problem, wants_html
from shared.web.head import RequestHead
from shared.web.refusal import Refusal

PATH = "/mine"
_MAX_FORM = 64 * 1024


class _BadForm(Exception):
    """The form asks for the impossible; the message is for the user, `field` is the wrong field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class _MineProblem:
    """A failed request, as the page explains it."""

    text: str
    field: str = ""
    """The wrong field of the form, empty if none is wrong."""


def check_size(head: RequestHead) -> Refusal | None:
    """Return why a request is refused by the length of its form: anyone may send one."""
    if "transfer-encoding" in head.headers:
        return Refusal(HTTPStatus.LENGTH_REQUIRED, "the length of the form is missing")
    if head.content_length > _MAX_FORM:
        return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the form is too large")
    return None


def create_blueprint(node: NodeContext) -> Blueprint:
    """Return the routes of `/mine`."""
    blueprint = Blueprint("mine", __name__)

    @blueprint.get(PATH)
    async def show() -> Response:
        return await _page(node, HTTPStatus.OK)

    @blueprint.post(PATH)
    async def mine_blocks() -> Response:
        try:
            count, script = _count(), await _script(node)
        except _BadForm as error:
            if wants_html():
                return await _page(node, HTTPStatus.BAD_REQUEST, problem=_MineProblem(str(error), error.field))
            return problem(400, "Cannot mine that", str(error))
        except BrokerError as error:
            return await _no_answer(node, error)
        try:
            result = await mine(node, count, script)
        except BrokerError as error:
            return await _no_answer(node, error)
        return await _answer(node, result)

    return blueprint


async def _answer(node: NodeContext, result: MineResult) -> Response:
    status = HTTPStatus.SERVICE_UNAVAILABLE if result.error else HTTPStatus.OK
    if wants_html():
        return await _page(node, status, result=result, problem=_MineProblem(result.error) if result.error else None)
    response = jsonify({"message": result.error or "success", "blocks": list(result.hashes)})
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response


async def _no_answer(node: NodeContext, error: BrokerError) -> Response:
    if not wants_html():
        raise error
    return await _page(node, HTTPStatus.SERVICE_UNAVAILABLE, problem=_MineProblem(f"No answer: {error}"))


async def _page(
    node: NodeContext, status: HTTPStatus, result: MineResult | None = None, problem: _MineProblem | None = None
) -> Response:
    tip, wallets = node.view.tip(), await offered_wallets(node.broker)
    page = render_template(
        "mine.html",
        tip_height=tip.height,
        tip_hash=display_hash(tip.hash),
        blocks=list(result.hashes) if result else [],
        problem=problem,
        wallets=wallets,
        address=_address(),
        count=request.values.get("blocks", "1"),
        max_blocks=MAX_BLOCKS,
        maturity=node.params.coinbase_maturity,
    )
    response = make_response(page, status)
    response.headers["Cache-Control"] = "no-store"
    return response


def _count() -> int:
    text = request.values.get("blocks", "1").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or not 1 <= int(text) <= MAX_BLOCKS:
        raise _BadForm("blocks", f"The number of blocks must be a whole number from 1 to {MAX_BLOCKS}.")
    return int(text)


async def _script(node: NodeContext) -> bytes:
    address = _address() or await creators_address(node.broker)
    if not address:
        raise _BadForm(
            "address", f"The address is missing: this chain has no wallet {CREATOR} that the reward could go to."
        )
    try:
        return decode_address(address, node.params.address)
    except DecodeError as error:
        # The text itself is not repeated: people paste private keys.
        raise _BadForm("address", f"The address cannot be paid: {error}.") from None


def _address() -> str:
    """Return the typed address, or else the chosen wallet's; empty without either."""
    return request.values.get("address", "").strip() or request.values.get("wallet", "").strip()

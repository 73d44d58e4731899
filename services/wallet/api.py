"""The wallet's JSON API under `/api/wallets`; docs/http-api-wallet.md describes it.

Bodies must be `application/json`: a page of another site may not send this type without a CORS preflight, which is
refused. Errors are problem details with a stable `code`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from flask import Blueprint, Response, jsonify, request

from services.wallet.coins.ledger import HistoryEntry
from services.wallet.errors import (
    BadInput,
    Conflicted,
    InsufficientFunds,
    MiningStopped,
    OutcomeUnknown,
    Refused,
    RequestIdUsed,
    WalletError,
)
from services.wallet.service import Info
from services.wallet.web import UNLOCK_MINUTES, Web, status_of
from shared.primitives.hex import display_hash
from shared.web.app import problem


class _WrongContentType(Exception):
    """The request's Content-Type is not JSON."""


def create_api(web: Web) -> Blueprint:
    """Return the API's blueprint."""
    api = Blueprint("api", __name__, url_prefix="/api/wallets")
    wallets = web.wallets

    @api.after_request
    def never_stored(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        return response

    @api.errorhandler(WalletError)
    def refused(error: WalletError) -> Response:
        return error_response(error)

    @api.errorhandler(_WrongContentType)
    def wrong_content_type(error: _WrongContentType) -> Response:
        return problem(415, "Unsupported Media Type", "send a JSON body as application/json", code="content-type")

    @api.get("")
    def list_wallets() -> Response:
        return jsonify({"wallets": wallets.store.ids()})

    @api.post("")
    async def create_wallet() -> Response:
        body = _body("id", "password")
        created = await wallets.create(body.get("id"), body.get("password"), web.client())
        answer = {
            "id": created.id,
            "mnemonic": created.mnemonic,
            "address": created.key.address(wallets.params.address),
            "public_key": created.key.public_key.compressed.hex(),
        }
        response = jsonify(answer)
        response.status_code = 201
        response.headers["Location"] = f"/api/wallets/{created.id}"
        return response

    @api.get("/<wallet_id>")
    def get_wallet(wallet_id: str) -> Response:
        seconds = web.sessions.seconds_left(web.token(), wallet_id)
        return jsonify(_info(wallets.info(wallet_id)) | {"unlocked": seconds > 0, "unlocked_seconds": seconds})

    @api.get("/<wallet_id>/addresses")
    def get_addresses(wallet_id: str) -> Response:
        return jsonify({"addresses": wallets.addresses(wallet_id)})

    @api.post("/<wallet_id>/addresses")
    async def new_address(wallet_id: str) -> Response:
        body = _body("password")
        is_owner = await web.is_owner(wallet_id, body.get("password"))
        new = wallets.new_address(wallet_id, by_owner=is_owner)
        address = new.key.address(wallets.params.address)
        response = jsonify({"address": address, "public_key": new.key.public_key.compressed.hex()})
        response.status_code = 201 if new.is_new else 200
        return response

    @api.get("/<wallet_id>/history")
    def get_history(wallet_id: str) -> Response:
        page = wallets.history(wallet_id, _limit(), request.args.get("after"))
        after = display_hash(page.after) if page.after else None
        return jsonify({"transactions": [_entry(entry) for entry in page.entries], "after": after})

    @api.post("/<wallet_id>/unlock")
    async def unlock(wallet_id: str) -> Response:
        body = _body("password")
        token = await web.unlock(wallet_id, body.get("password"))
        response = jsonify({"unlocked": True, "unlocked_seconds": UNLOCK_MINUTES * 60})
        web.set_token(response, token)
        return response

    @api.post("/<wallet_id>/lock")
    def lock(wallet_id: str) -> Response:
        _body()
        wallets.load(wallet_id)
        web.sessions.lock(web.token(), wallet_id)
        return jsonify({"unlocked": False})

    @api.post("/<wallet_id>/send")
    async def send(wallet_id: str) -> Response:
        body = _body("to", "amount", "feerate", "password", "request_id")
        wallets.load(wallet_id)
        order = web.payments.order(body.get("to"), body.get("amount"), body.get("feerate"))
        request_id = _request_id(body.get("request_id"))
        account = await web.signing_key(wallet_id, body.get("password"))
        sent = await web.payments.send(wallet_id, order, account, request_id=request_id)
        answer = {
            "txid": sent.txid_hex,
            "amount": sent.amount,
            "fee": sent.fee,
            "change": sent.change,
            "to": sent.address,
            "status": sent.status,
        }
        return jsonify(answer)

    @api.post("/<wallet_id>/mine")
    async def mine(wallet_id: str) -> Response:
        body = _body("count")
        return jsonify({"blocks": await wallets.mine(wallet_id, body.get("count", 1))})

    @api.post("/<wallet_id>/test-coins")
    async def test_coins(wallet_id: str) -> Response:
        body = _body("request_id")
        grant = await web.test_coins(wallet_id, _request_id(body.get("request_id")))
        return jsonify({"txid": grant.txid_hex, "amount": grant.amount, "block": grant.block_hex})

    @api.post("/<wallet_id>/export")
    async def export(wallet_id: str) -> Response:
        body = _body("password")
        pem = await wallets.export_key(wallet_id, body.get("password"), web.client())
        return Response(pem, content_type="application/x-pem-file")

    return api


def error_response(error: WalletError) -> Response:
    """Return the problem details of a refusal."""
    extra: dict[str, Any] = {"code": error.code}
    match error:
        case BadInput():
            extra["field"] = error.field
        case InsufficientFunds():
            extra |= {"needed": error.needed, "available": error.available}
        case Refused():
            # `error.detail` is the mempool's text, `error.reason` Bitcoin Core's string.
            extra |= {"txid": error.txid_hex, "reason": error.reason, "reason_detail": error.detail}
        case OutcomeUnknown() | RequestIdUsed():
            extra["txid"] = error.txid_hex
        case Conflicted():
            extra |= {"txid": error.txid_hex, "conflicts": error.conflicts}
        case MiningStopped():
            extra["blocks"] = error.blocks
    status = HTTPStatus(status_of(error))
    return problem(status, status.phrase, str(error), **extra)


def _body(*fields: str) -> dict[str, Any]:
    """Return the request's JSON object; `BadInput` for a field that is not among `fields`."""
    if request.mimetype != "application/json":
        raise _WrongContentType
    try:
        body = msgspec.json.decode(request.get_data() or b"{}")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise BadInput("", "json-invalid", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise BadInput("", "json-not-an-object", "the body must be a JSON object")
    unknown = sorted(set(body) - set(fields))
    if unknown:
        raise BadInput(unknown[0][:40], "unknown-field", f"there is no field {unknown[0][:40]!r} here")
    return body


def _limit() -> int:
    text = request.args.get("limit", "25")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadInput("limit", "limit-out-of-range", "limit must be a whole number")
    return int(text)


def _request_id(value: object) -> str | None:
    if value is None or (isinstance(value, str) and 0 < len(value) <= 100):
        return value
    raise BadInput("request_id", "request-id-invalid", "request_id must be a text of 1 to 100 characters")


def _info(info: Info) -> dict[str, Any]:
    return {
        "id": info.id,
        "balance": info.balance.confirmed,
        "confirmed": info.balance.confirmed,
        "immature": info.balance.immature,
        "unconfirmed": info.balance.unconfirmed,
        "spendable": info.balance.spendable,
        "height": info.balance.height,
        "maturing": [{"height": coins.height, "amount": coins.amount} for coins in info.balance.maturing],
        "address": info.address,
        "public_key": info.key.public_key.compressed.hex(),
        "public_key_pem": info.public_key_pem,
    }


def _entry(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "txid": display_hash(entry.txid),
        "amount": entry.amount,
        "fee": entry.fee,
        "status": entry.status,
        "height": entry.height,
        "time": entry.time,
        "coinbase": entry.is_coinbase,
        "why": entry.why,
    }

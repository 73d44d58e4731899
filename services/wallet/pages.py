"""The wallet's pages: a list of wallets, and one page for each wallet at `/<wallet id>`. They work without JavaScript.

A payment takes two steps, review and confirm, so that the user sees how the input was understood. Every form carries
the session's token; a form without it does nothing and returns an explanation.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from services.wallet import directory
from services.wallet.coins.ledger import merge_unmined
from services.wallet.errors import (
    BadInput,
    Conflicted,
    FeeChanged,
    InsufficientFunds,
    MiningStopped,
    OutcomeUnknown,
    RequestIdUsed,
    UnknownWallet,
    WalletError,
)
from services.wallet.faucet import advice
from services.wallet.payments.amounts import format_feerate, parse_amount
from services.wallet.payments.payments import Order
from services.wallet.service import GAP, check_wallet_id
from services.wallet.sessions import Notice
from services.wallet.web import UNLOCK_MINUTES, Web, status_of
from shared.bus.events import WalletName
from shared.consensus.amount import format_btc
from shared.errors import BrokerError, DecodeError
from shared.policy import WALLET_FEERATE
from shared.primitives.hex import display_hash, parse_display_hash
from shared.web.app import problem
from shared.web.formats import btc_parts

_PAGE = 15


class _StaleForm(Exception):
    """The form does not carry this session's token."""


@dataclass(frozen=True, slots=True)
class _Pages:
    """Renders the pages."""

    web: Web
    explorer_url: str

    def render(self, template: str, status: int = 200, **variables: Any) -> Response:
        """Return the page of a template, with the form token and the notices of the browser's session."""
        web = self.web
        token = web.token()
        is_new = token is None
        token = token or web.sessions.new_token()
        page = render_template(
            template,
            form_token=web.sessions.form_token(token),
            notices=web.sessions.take_notices(token),
            explorer_url=self.explorer_url,
            unlock_minutes=UNLOCK_MINUTES,
            password=web.creator_password,
            **variables,
        )
        response = make_response(page, status)
        if is_new:
            web.set_token(response, token)
        return response

    def home(self, status: int = 200, *, wallet_id: str = "", error: WalletError | None = None) -> Response:
        """Return the page with the list of wallets and the form for a new wallet."""
        ids = self.web.wallets.store.ids()
        return self.render("wallets.html", status, ids=ids, wallet_id=wallet_id, error=error)

    def offer(self, wallet_id: str, status: int = 200, error: WalletError | None = None) -> Response:
        """Return the page that offers to create a wallet."""
        return self.render("offer.html", status, wallet_id=wallet_id, error=error)

    def wallet(self, wallet_id: str, status: int = 200, error: WalletError | None = None, where: str = "") -> Response:
        """Return the wallet's page; `where` is the form that `error` belongs to."""
        wallets, sessions = self.web.wallets, self.web.sessions
        after = request.args.get("after") if request.method == "GET" else None
        return self.render(
            "wallet.html",
            status,
            feerate_text=format_feerate(WALLET_FEERATE),
            info=wallets.info(wallet_id),
            history=wallets.history(wallet_id, _PAGE, after),
            is_later_page=after is not None,
            unlocked_seconds=sessions.seconds_left(self.web.token(), wallet_id),
            payees=[known for known in self.payees() if known.id != wallet_id],
            offers_test_coins=self.web.offers_test_coins(wallet_id),
            coins_request_id=sessions.new_token(),
            form=request.form,
            error=error,
            where=where,
        )

    def confirm(self, wallet_id: str, status: int = 200, error: WalletError | None = None) -> Response:
        """Return the page that shows the parsed payment with its fee and asks for the password."""
        form = request.form
        order = self.order()
        fee = self.web.payments.quote(wallet_id, order)
        return self.render(
            "confirm.html",
            status,
            wallet_id=wallet_id,
            order=order,
            payee_id=next((known.id for known in self.payees() if known.address == order.payee.address), ""),
            fee=fee,
            amount_text=format_btc(order.amount),
            feerate_text=format_feerate(order.feerate),
            request_id=form.get("request_id") or self.web.sessions.new_token(),
            unlocked_seconds=self.web.sessions.seconds_left(self.web.token(), wallet_id),
            error=error,
        )

    def order(self) -> Order:
        """Return the payment that the form requests, to a chosen wallet or a typed payee."""
        form = request.form
        chosen, typed = form.get("wallet", ""), form.get("to", "").strip()
        if chosen and typed and chosen != typed:
            raise BadInput("to", "payee-twice", "choose a wallet or fill in another payee, not both")
        return self.web.payments.order(typed or chosen, form.get("amount"), form.get("feerate"))

    def payees(self) -> tuple[WalletName, ...]:
        """Return the wallets that a form offers as payees."""
        return directory.names(self.web.wallets)

    async def mine(self, wallet_id: str) -> None:
        """Mine a block that pays the wallet, and leave a notice about the result."""
        try:
            blocks = await self.web.wallets.mine(wallet_id, 1)
        except (MiningStopped, BrokerError) as error:
            self.notice("bad", f"No block was mined: {error}.")
        else:
            self.notice("good", "Mined a block that pays this wallet.", f"{self.explorer_url}/block/{blocks[-1]}")

    def check_form(self) -> None:
        """Raise `_StaleForm` if the form is not from a page of this session."""
        if not self.web.sessions.is_form_token(self.web.token(), request.form.get("form_token", "")):
            raise _StaleForm

    def notice(self, kind: str, text: str, link: str = "") -> None:
        """Leave a notice for the session's next page."""
        token = self.web.token()
        if token:
            self.web.sessions.add_notice(token, Notice(kind, text, link))


def create_pages(web: Web, explorer_url: str) -> Blueprint:
    """Return the blueprint of the pages."""
    pages = Blueprint("pages", __name__)
    show = _Pages(web, explorer_url)
    wallets = web.wallets

    @pages.before_request
    def forms_are_ours() -> None:
        if request.method == "POST":
            show.check_form()

    @pages.after_request
    def never_stored(response: Response) -> Response:
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    @pages.errorhandler(_StaleForm)
    def stale_form(error: _StaleForm) -> Response:
        text = "This page was no longer up to date, so nothing was done. Go back to the wallet and try again."
        return problem(403, "Please try again", text, code="stale-form")

    @pages.errorhandler(WalletError)
    def refused(error: WalletError) -> Response:
        return problem(status_of(error), "That did not work", sentence(error), code=error.code)

    @pages.get("/")
    def home() -> Response:
        return show.home()

    @pages.post("/")
    async def create() -> Response:
        form = request.form
        wallet_id = form.get("id", "").strip()
        try:
            if form.get("password") != form.get("password2"):
                raise BadInput("password2", "passwords-differ", "the two passwords are not the same")
            created = await wallets.create(wallet_id, form.get("password"), web.client())
        except WalletError as error:
            if form.get("from") == "offer" and not wallets.store.exists(wallet_id):
                return show.offer(wallet_id, status_of(error), error)
            return show.home(status_of(error), wallet_id=wallet_id, error=error)
        address = created.key.address(wallets.params.address)
        return show.render("created.html", wallet_id=created.id, words=created.mnemonic.split(), address=address)

    @pages.get("/<wallet_id>")
    def wallet(wallet_id: str) -> Response:
        try:
            return show.wallet(wallet_id)
        except UnknownWallet:
            try:
                return show.offer(check_wallet_id(wallet_id))
            except BadInput as error:
                return problem(404, "There is no such page", sentence(error), code="unknown-wallet")

    @pages.get("/<wallet_id>/qr.svg")
    def qr_code(wallet_id: str) -> Response:
        current = wallets.load(wallet_id)
        address = wallets.current_key(current).address(wallets.params.address)
        return Response(_qr_svg(f"bitcoin:{address}"), content_type="image/svg+xml")

    @pages.post("/<wallet_id>/review")
    def review(wallet_id: str) -> Response:
        try:
            return show.confirm(wallet_id)
        except (BadInput, InsufficientFunds) as error:
            return show.wallet(wallet_id, status_of(error), error, "send")

    @pages.post("/<wallet_id>/send")
    async def send(wallet_id: str) -> Response:
        form = request.form
        try:
            order = show.order()
            fee = parse_amount(form.get("fee"))
            account = await web.signing_key(wallet_id, form.get("password"))
            sent = await web.payments.send(
                wallet_id, order, account, expected_fee=fee, request_id=form.get("request_id", "")[:100]
            )
        except (BadInput, InsufficientFunds, RequestIdUsed) as error:
            return show.wallet(wallet_id, status_of(error), error, "send")
        except (OutcomeUnknown, Conflicted) as error:
            if isinstance(error, Conflicted):
                show.notice("bad", sentence(error))
            return _redirect(wallet_id, "sent", error.txid_hex)
        except FeeChanged as error:
            return show.confirm(wallet_id, status_of(error), error)
        except WalletError as error:
            if isinstance(error, UnknownWallet):
                raise
            return show.confirm(wallet_id, status_of(error), error)
        return _redirect(wallet_id, "sent", sent.txid_hex)

    @pages.get("/<wallet_id>/sent/<txid_hex>")
    def sent(wallet_id: str, txid_hex: str) -> Response:
        current = wallets.load(wallet_id)
        try:
            txid = parse_display_hash(txid_hex)
        except DecodeError:
            return problem(404, "There is no such page", "this is not a txid")
        records = wallets.store.sends(current.id, [txid])
        if txid not in records:
            return problem(404, "There is no such payment", f"wallet {current.id} has sent no transaction {txid_hex}")
        entry = wallets.ledger.transaction(wallets.keys(current), txid)
        entry = merge_unmined([entry] if entry else [], records)[0]
        return show.render("sent.html", wallet_id=current.id, send=records[txid], entry=entry)

    @pages.post("/<wallet_id>/sent/<txid_hex>/mine")
    async def mine_sent(wallet_id: str, txid_hex: str) -> Response:
        await show.mine(wallet_id)
        return _redirect(wallet_id, "sent", txid_hex)

    @pages.post("/<wallet_id>/unlock")
    async def unlock(wallet_id: str) -> Response:
        try:
            token = await web.unlock(wallet_id, request.form.get("password"))
        except WalletError as error:
            if isinstance(error, UnknownWallet):
                raise
            return show.wallet(wallet_id, status_of(error), error, "unlock")
        response = _redirect(wallet_id)
        web.set_token(response, token)
        text = f"Unlocked for {UNLOCK_MINUTES} minutes in this browser."
        web.sessions.add_notice(token, Notice("good", text))
        return response

    @pages.post("/<wallet_id>/lock")
    def lock(wallet_id: str) -> Response:
        web.sessions.lock(web.token(), wallets.load(wallet_id).id)
        show.notice("good", "Locked.")
        return _redirect(wallet_id)

    @pages.post("/<wallet_id>/mine")
    async def mine(wallet_id: str) -> Response:
        await show.mine(wallet_id)
        return _redirect(wallet_id)

    @pages.post("/<wallet_id>/test-coins")
    async def test_coins(wallet_id: str) -> Response:
        try:
            grant = await web.test_coins(wallet_id, request.form.get("request_id", "")[:100] or None)
        except UnknownWallet:
            raise
        except WalletError as error:
            show.notice("bad", f"No test coins came: {error}. {advice(error)}")
        except BrokerError as error:
            show.notice("bad", f"No test coins came: {error}. Try again in a moment.")
        else:
            amount = f"{btc_parts(grant.amount).strong} BTC"
            text = f"Test coins came in: {amount}, in a block of their own. They can be spent now."
            if grant.block_hex is None:
                text = f"Test coins are on their way: {amount} wait for a block. Mine a block to have them."
            show.notice("good", text, f"{explorer_url}/tx/{grant.txid_hex}")
        return _redirect(wallet_id)

    @pages.post("/<wallet_id>/addresses")
    async def new_address(wallet_id: str) -> Response:
        if wallets.new_address(wallet_id, by_owner=await web.is_owner(wallet_id)).is_new:
            show.notice("good", "Here is a new address. The older ones stay yours.")
        else:
            text = (
                f"None of the last {GAP} addresses has been paid yet: take this one, or unlock the wallet to have more."
            )
            show.notice("warn", text)
        return _redirect(wallet_id)

    @pages.post("/<wallet_id>/export")
    async def export(wallet_id: str) -> Response:
        try:
            pem = await wallets.export_key(wallet_id, request.form.get("password"), web.client())
        except WalletError as error:
            if isinstance(error, UnknownWallet):
                raise
            return show.wallet(wallet_id, status_of(error), error, "export")
        response = Response(pem, content_type="application/x-pem-file")
        response.headers["Content-Disposition"] = f'attachment; filename="{quote(wallet_id)}.pem"'
        return response

    for function in (display_hash, format_btc, sentence):
        pages.add_app_template_filter(function)
    return pages


def sentence(error: object) -> str:
    """Return the text of an error with a capital letter and a full stop."""
    text = str(error)
    return text[:1].upper() + text[1:] + "."


def _redirect(wallet_id: str, *more: str) -> Response:
    """Redirect the browser to a GET, so that going back or reloading does not repeat the request."""
    path = url_for("pages.wallet", wallet_id=wallet_id)
    return make_response(redirect("/".join((path, *more)), code=303))


def _qr_svg(text: str) -> bytes:
    import segno  # only pages with a QR code need it

    buffer = io.BytesIO()
    segno.make(text, error="m", micro=False).save(buffer, kind="svg", border=2, scale=4, xmldecl=False)
    return buffer.getvalue()

"""The explorer's pages, rendered on the server; where a path is also an Esplora resource, programs get that.

Pages show what the API says (serialize.py), so that the two can never disagree. They work without scripts.
"""

from __future__ import annotations

import io
from typing import Any

import segno
from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from services.explorer import serialize
from services.explorer.arguments import read_address, read_hash, read_number
from services.explorer.errors import RequestError
from services.explorer.esplora import TXS_PER_PAGE, Esplora
from services.explorer.infos import TxInfo
from services.explorer.miners import miner_name
from services.explorer.negotiation import PageOrResource
from services.explorer.reads import ChainReads
from services.explorer.search import AddressQuery, HashQuery, HeightQuery, Unclear, understand
from shared.chain.view import script_hash
from shared.crypto.address import AddressPrefix
from shared.primitives.hexes import display_hash

POOL_TXS = 50
LISTED_COINS = 100
LISTED_SIDES = 50
_HEIGHT_DIGITS = 10


class Pages:
    """One method for each page."""

    def __init__(self, reads: ChainReads, api: Esplora, prefix: AddressPrefix) -> None:
        self._reads = reads
        self._api = api
        self._prefix = prefix

    def block(self, block_hash: str) -> str | Response:
        """Show a block and 25 of its transactions; a height leads to the block's own address."""
        if len(block_hash) <= _HEIGHT_DIGITS and block_hash.isdigit():
            found = self._reads.block_hash(read_number(block_hash))
            return _go_to("pages.block", block_hash=display_hash(found))
        block_id = read_hash(block_hash)
        start = read_number(request.args.get("start", "0"))
        block, txs, miners = self._reads.snapshot(
            lambda: (
                self._reads.block(block_id),
                self._reads.block_txs(block_id, start, TXS_PER_PAGE),
                self._reads.miners([block_id]),
            )
        )
        return render_template(
            "block.html",
            block=block,
            facts=serialize.block_json(block),
            miner=miners[0],
            txs=txs,
            start=start,
            step=TXS_PER_PAGE,
        )

    def tx(self, txid: str) -> str:
        """Show a transaction: what it spends, what it pays, and what became of its outputs, 50 of each at a time."""
        tx_id = read_hash(txid)
        start = read_number(request.args.get("start", "0"))
        window = slice(start, start + LISTED_SIDES)
        info, spends, tip = self._reads.snapshot(
            lambda: (self._reads.tx(tx_id), self._reads.outspends(tx_id, window), self._reads.tip().height)
        )
        if start >= max(len(info.tx.inputs), len(info.tx.outputs)):
            raise RequestError(400, "start index out of range")
        return render_template(
            "tx.html",
            info=info,
            tx=serialize.tx_json(info, self._prefix, window),
            start=start,
            step=LISTED_SIDES,
            spends=spends,
            confirmations=tip - info.block.height + 1 if info.block else 0,
            miner=miner_name(info.tx.inputs[0].script_sig) if info.tx.is_coinbase else "",
            coinbase_text=_printable(info.tx.inputs[0].script_sig) if info.tx.is_coinbase else "",
        )

    def address(self, name: str) -> str:
        """Show an address: balance, coins and history."""
        script = read_address(name, self._prefix)
        after = read_hash(request.args["after"]) if "after" in request.args else None
        pool_limit = 0 if after else POOL_TXS
        (confirmed, unconfirmed), txs = self._reads.snapshot(
            lambda: (
                self._reads.script_stats(script),
                self._reads.script_txs(script, pool_limit, TXS_PER_PAGE, after),
            )
        )
        coin_count = confirmed.funded_count - confirmed.spent_count + unconfirmed.funded_count - unconfirmed.spent_count
        coins = self._reads.unspent(script) if 0 < coin_count <= LISTED_COINS else []
        in_blocks = [info for info in txs if info.block]
        return render_template(
            "address.html",
            address=name,
            confirmed=confirmed,
            unconfirmed=unconfirmed,
            txs=[(info, _gain(info, script)) for info in txs],
            coin_count=coin_count,
            coins=coins,
            tx_step=LISTED_SIDES,
            after=after,
            next_after=in_blocks[-1].tx.txid_hex if len(in_blocks) == TXS_PER_PAGE else None,
        )

    def address_qr(self, name: str) -> Response:
        """Draw an address as a QR code."""
        read_address(name, self._prefix)
        picture = io.BytesIO()
        segno.make(name, error="m", micro=False).save(picture, kind="svg", border=1, scale=4, dark="#20241f")
        return Response(picture.getvalue(), content_type="image/svg+xml")

    def search(self) -> str | Response | tuple[str, int]:
        """Lead to what was asked for, or say what was tried."""
        text = request.args.get("q", "").strip()
        match understand(text, self._prefix):
            case HeightQuery(height):
                tip = self._reads.tip().height
                if height <= tip:
                    return _go_to("pages.block", block_hash=display_hash(self._reads.block_hash(height)))
                tried: tuple[str, ...] = (f"As a height: the chain ends at {tip}",)
            case HashQuery(found):
                if self._reads.find_block(found) is not None:
                    return _go_to("pages.block", block_hash=display_hash(found))
                if self._reads.find_tx(found) is not None:
                    return _go_to("pages.tx", txid=display_hash(found))
                tried = ("As a block hash: no such block is known", "As a txid: no such transaction is known")
            case AddressQuery(address):
                return _go_to("pages.address", name=address)
            case Unclear(reasons):
                tried = reasons
        return render_template("search.html", search_query=text, tried=tried), 404

    def blueprint(self, name: str) -> Blueprint:
        """Return all pages under their paths."""
        blueprint = Blueprint(name, __name__)
        blueprint.record(_add_to_templates)
        blueprint.add_url_rule("/search", "search", self.search)
        blueprint.add_url_rule("/address/<name>/qr.svg", "address_qr", self.address_qr)
        for path, endpoint, page, resource in (
            ("/block/<block_hash>", "block", self.block, self._api.block),
            ("/tx/<txid>", "tx", self.tx, self._api.tx),
            ("/address/<name>", "address", self.address, self._api.address),
        ):
            blueprint.add_url_rule(path, endpoint, PageOrResource(page, resource))
        return blueprint


def _add_to_templates(state: Any) -> None:
    environment = state.app.jinja_env
    environment.filters["hex"] = display_hash
    environment.globals.update(active="explorer", search_action="/search", search_query="")


def _go_to(endpoint: str, **arguments: Any) -> Response:
    return make_response(redirect(url_for(endpoint, **arguments)))


def _gain(info: TxInfo, script: bytes) -> int:
    """Return the satoshis that a transaction adds to a script, less those that it takes."""
    received = sum(output.value for output in info.tx.outputs if script_hash(output.script_pubkey) == script)
    spent = [info.prevouts[txin.prevout] for txin in info.tx.inputs if txin.prevout in info.prevouts]
    return received - sum(output.value for output in spent if script_hash(output.script_pubkey) == script)


def _printable(script_sig: bytes) -> str:
    """Return the readable part of a coinbase's scriptSig, everything else as dots."""
    return "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in script_sig)

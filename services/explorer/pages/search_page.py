"""The search page: redirects to the one match, offers several, or lists the readings tried."""

from __future__ import annotations

from flask import Response, make_response, redirect, render_template, request

from services.explorer.chain.queries import ChainQueries
from services.explorer.pages.links import output_path, script_path, tx_path
from services.explorer.pages.search_query import (
    AddressQuery,
    HashQuery,
    HeightQuery,
    KeyForm,
    KeyQuery,
    OutputQuery,
    UnknownQuery,
    understand,
)
from shared.chain.view import script_hash
from shared.crypto.address import encode_address
from shared.crypto.address_search import ScriptRange
from shared.primitives.hex import display_hash
from shared.primitives.transaction import OutPoint

Answer = str | Response | tuple[str, int]

MAX_QUERY = 200
"""Characters of a query that are read; the longest sensible one, a public key, has 130."""

MAX_MATCHES = 20
"""Addresses offered for one beginning."""


class SearchPage:
    """Answers the search box."""

    def __init__(self, chain: ChainQueries) -> None:
        self._chain = chain
        self._prefix = chain.params.address

    def show(self) -> Answer:
        """Answer the query `?q=`."""
        text = request.args.get("q", "").strip()[:MAX_QUERY]
        match understand(text, self._prefix):
            case HeightQuery(height):
                tip = self._chain.tip().height
                if height <= tip:
                    return _redirect(f"/block/{display_hash(self._chain.blocks.hash_at(height))}")
                return _nothing(text, (f"As a height: the chain ends at {tip}",))
            case HashQuery(found):
                return self._find_hash(text, found)
            case OutputQuery(outpoint):
                return self._find_output(text, outpoint)
            case AddressQuery(address):
                return _redirect(f"/address/{address}")
            case KeyQuery(forms):
                return self._offer(text, forms)
            case UnknownQuery(tried, ranges):
                return self._complete(text, tried, ranges)

    def _find_hash(self, text: str, found: bytes) -> Answer:
        if self._chain.blocks.find(found) is not None:
            return _redirect(f"/block/{display_hash(found)}")
        if self._chain.txs.find(found) is not None or self._chain.replacements.replaced(found) is not None:
            return _redirect(tx_path(found))
        return _nothing(text, ("As a block hash: no such block is known", "As a txid: no such transaction is known"))

    def _find_output(self, text: str, outpoint: OutPoint) -> Answer:
        record = self._chain.txs.find(outpoint.txid)
        if record is None:
            return _nothing(text, ("As an output: no such transaction is known",))
        count = len(record.tx.outputs)
        if outpoint.vout >= count:
            return _nothing(text, (f"As an output: the transaction has {count}, counted from 0",))
        return _redirect(output_path(*outpoint))

    def _offer(self, text: str, forms: tuple[KeyForm, ...]) -> Answer:
        """Redirect to the only used script of a public key, or offer all its scripts."""
        counts = [
            sum(stats.tx_count for stats in self._chain.scripts.stats(script_hash(form.script))) for form in forms
        ]
        used = [form for form, count in zip(forms, counts, strict=True) if count]
        if len(used) == 1:
            return _redirect(script_path(used[0].script, self._prefix))
        paths = [script_path(form.script, self._prefix) for form in forms]
        return render_template(
            "search.html", search_query=text, forms=list(zip(forms, counts, paths, strict=True)), matches=[], tried=()
        )

    def _complete(self, text: str, tried: tuple[str, ...], ranges: tuple[ScriptRange, ...]) -> Answer:
        """Redirect to the only known address that begins with the text, or offer the first ones."""
        scripts = self._chain.scripts.within(ranges, MAX_MATCHES) if ranges else []
        matches = sorted(filter(None, (encode_address(script, self._prefix) for script in scripts)))
        if not matches:
            unknown = ("As the beginning of an address: no used address begins so",) if ranges else ()
            return _nothing(text, tried + unknown)
        if len(matches) == 1:
            return _redirect(f"/address/{matches[0]}")
        most = MAX_MATCHES if len(matches) == MAX_MATCHES else 0
        return render_template("search.html", search_query=text, matches=matches, most=most, forms=[], tried=())


def _nothing(text: str, tried: tuple[str, ...]) -> Answer:
    return render_template("search.html", search_query=text, tried=tried, forms=[], matches=[]), 404


def _redirect(path: str) -> Response:
    return make_response(redirect(path))

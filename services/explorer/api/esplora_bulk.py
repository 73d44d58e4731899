"""Larger pages and bulk calls, as mempool/electrs adds them to Esplora's API."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from flask import Response, request

from services.explorer.api import esplora_json
from services.explorer.api.esplora import MAX_TXS, POOL_TXS_PER_PAGE, TXS_PER_PAGE
from services.explorer.api.parameters import read_count, read_hash, read_script, read_texts
from services.explorer.api.responses import SCRIPT, Route, json
from services.explorer.chain.models import TxInfo
from services.explorer.chain.queries import ChainQueries
from services.explorer.errors import RequestError
from shared.crypto.address import AddressPrefix
from shared.primitives.hex import display_hash

DEFAULT_TXS = 50
MAX_MOVEMENTS = 5_000
MAX_TXIDS = 10_000
"""Txids of one page of the pool."""
MAX_SCRIPTS = 300
MAX_OUTSPEND_TXIDS = 50


class Histories:
    """The resources that answer about many transactions at once."""

    def __init__(self, chain: ChainQueries, prefix: AddressPrefix) -> None:
        self._chain = chain
        self._prefix = prefix

    def script_txs(self, kind: str, name: str) -> Response:
        """Return up to 50 unconfirmed transactions, then the newest 25 confirmed ones.

        With `max_txs` or `after_txid` it is a page of so many of both, after a transaction of either kind.
        """
        script = read_script(kind, name, self._prefix)
        if not {"max_txs", "after_txid"} & set(request.args):
            return self._txs(self._chain.scripts.txs(script, POOL_TXS_PER_PAGE, TXS_PER_PAGE))
        return self._page([script])

    def many_txs(self, kind: str) -> Response:
        """Return a page of what touches any of the addresses or script hashes in the body, a JSON array."""
        names = read_texts(request.get_data())
        if len(names) > MAX_SCRIPTS:
            raise RequestError(422, "body too long")
        singular = "address" if kind == "addresses" else "scripthash"
        return self._page([read_script(singular, name, self._prefix) for name in names])

    def summary(self, kind: str, name: str, last: str = "") -> Response:
        """Return what each confirmed transaction did to a balance, newest first."""
        script = read_script(kind, name, self._prefix)
        count = read_count(request.args.get("max_txs"), MAX_MOVEMENTS, MAX_MOVEMENTS)
        found = self._chain.scripts.balance_changes(script, count, read_hash(last) if last else None)
        return json([esplora_json.movement_json(movement) for movement in found])

    def pool_txids(self, last: str = "") -> Response:
        """Return a page of the pool's txids, in the order of their bytes: what comes and goes shifts no page."""
        count = read_count(request.args.get("max_txs"), MAX_TXIDS, MAX_TXIDS)
        txids = sorted(self._chain.pool.txids())
        start = bisect_right(txids, read_hash(last)) if last else 0
        return json([display_hash(txid) for txid in txids[start : start + count]])

    def outspends(self) -> Response:
        """Return what spends each output of several transactions; one that is not known has none."""
        names = [name for name in request.args.get("txids", "").split(",") if name]
        if len(names) > MAX_OUTSPEND_TXIDS:
            raise RequestError(400, "Too many txids requested")
        found = self._chain.txs.outspends_of([read_hash(name) for name in names])
        return json([[esplora_json.found_outspend_json(spend) for spend in spends] for spends in found])

    def _page(self, scripts: Sequence[bytes]) -> Response:
        after = request.args.get("after_txid")
        count = read_count(request.args.get("max_txs"), DEFAULT_TXS, MAX_TXS)
        found = self._chain.scripts.merged_txs(scripts, count, None if after is None else read_hash(after))
        if found is None:
            raise RequestError(422, "after_txid not found")
        return self._txs(found)

    def _txs(self, infos: Sequence[TxInfo]) -> Response:
        return json([esplora_json.tx_json(info, self._prefix) for info in infos])

    def routes(self) -> tuple[Route, ...]:
        """Return every resource under its path."""
        return (
            Route(f"/{SCRIPT}/txs", self.script_txs),
            Route(f"/{SCRIPT}/txs/summary", self.summary),
            Route(f"/{SCRIPT}/txs/summary/<last>", self.summary),
            Route("/<any(addresses, scripthashes):kind>/txs", self.many_txs, "POST"),
            Route("/mempool/txids/page", self.pool_txids),
            Route("/mempool/txids/page/<last>", self.pool_txids),
            Route("/txs/outspends", self.outspends),
        )

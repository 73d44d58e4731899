"""The pages that show the chain as a whole: home, blocks, pool, charts. They work without scripts, and are live with.

What they say is read in outlook.py and series.py, what charts look like is in charts.py and chart_texts.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request

from services.explorer.api.esplora import Esplora
from services.explorer.api.parameters import read_number
from services.explorer.chain.hash_rate import HASH_RATE_BLOCKS, rate_between, read_period
from services.explorer.chain.overview_queries import OverviewQueries
from services.explorer.chain.queries import ChainQueries
from services.explorer.chain.retarget import difficulty_adjustment
from services.explorer.errors import RequestError
from services.explorer.pages import template_filters
from services.explorer.pages.charts import catalogue
from services.explorer.pages.charts.series import PastReader
from services.explorer.pages.page_or_api import PageOrResource
from shared.chain.records import TxRecord
from shared.chain.view import ChainView
from shared.consensus.limits import COIN
from shared.consensus.params import ChainParams
from shared.consensus.pow import difficulty
from shared.consensus.subsidy import issued
from shared.durations import DAY, HOUR
from shared.web.formats import thousands

HOME_BLOCKS = 12
HOME_TXS = 10
LISTED_BLOCKS = 25
POOL_TXS = 25
HISTORY_HOURS = {"2": "2 hours", "24": "24 hours", "168": "7 days"}
SAMPLE_REACH = DAY
"""Seconds before what is shown of the pool's past in which a sample tells what was there at the start."""
SHORTEST_HISTORY = 600
"""Seconds."""
CHART_BLOCKS = ("144", "1008", "4032", "all")


class Overview:
    """One method for each page."""

    def __init__(
        self,
        view: ChainView,
        reads: ChainQueries,
        api: Esplora,
        params: ChainParams,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._view = view
        self._reads = reads
        self._api = api
        self._params = params
        self._clock = clock
        self._outlooks = OverviewQueries(view, reads)
        self._past = PastReader(view, self._outlooks)

    def home(self) -> str:
        """Show the blocks that come and that came, what it takes to pay, how the chain is doing, what came in last."""
        blocks, pool, adjustment, rate = self._view.at_tip(
            lambda tip: (
                self._outlooks.blocks(None, HOME_BLOCKS),
                self._outlooks.pool(),
                self._adjustment(),
                self._hash_rate(tip.height),
            )
        )
        tip = blocks[0].entry
        return render_template(
            "home.html",
            tip=tip,
            blocks=blocks,
            pool=pool,
            txs=self._recent(HOME_TXS),
            difficulty=difficulty(tip.header.bits),
            hash_rate=rate,
            adjustment=adjustment,
            retargets=not self._params.pow_no_retargeting,
            supply=issued(tip.height, self._params) // COIN,
            now=self._clock(),
        )

    def _adjustment(self) -> dict[str, Any]:
        period = read_period(self._reads, self._params.retarget_interval)
        return difficulty_adjustment(period, self._params, self._clock())

    def _hash_rate(self, height: int) -> float | None:
        first, last = self._outlooks.entries(
            self._view.block_hashes_at([max(0, height - HASH_RATE_BLOCKS), height]),
        )
        # The genesis block of a chain may be years older than the first one that was mined here.
        if first.height == 0 and height > 1:
            [first] = self._outlooks.entries(self._view.block_hashes_at([1]))
        return rate_between(first, last)

    def _recent(self, count: int) -> list[TxRecord]:
        return [record for record in self._reads.recent(count) if record.pool]

    def blocks(self, start: str = "") -> str:
        """List the blocks from a height downwards."""
        height = read_number(start) if start else None
        blocks, tip = self._view.at_tip(lambda tip: (self._outlooks.blocks(height, LISTED_BLOCKS), tip.height))
        first, last = blocks[0].entry.height, blocks[-1].entry.height
        newer = min(tip, first + LISTED_BLOCKS) if first < tip else None
        older = last - 1 if last > 0 else None
        return render_template(
            "blocks.html", blocks=blocks, newer=newer, older=older, is_newest=not start, now=self._clock()
        )

    def pool(self) -> str:
        """Show what waits: by feerate, over time, as the blocks that it will make, and what came last."""
        hours = request.args.get("hours", "2")
        if hours not in HISTORY_HOURS:
            raise RequestError(400, f"hours is one of {', '.join(HISTORY_HOURS)}")
        now = int(self._clock())
        pool = self._outlooks.pool()
        start = now - int(hours) * HOUR
        samples = self._view.pool.history(start - SAMPLE_REACH)
        if samples:  # a young chain is shown from its first minute on
            start = max(start, min(samples[0].time, now - SHORTEST_HISTORY))
        return render_template(
            "pool.html",
            pool=pool,
            txs=self._recent(POOL_TXS),
            largest_band=max((band.vsize for band in pool.bands), default=0),
            charts=catalogue.pool_charts(samples, (start, now), pool) if samples else [],
            hours=hours,
            ranges=HISTORY_HOURS,
            now=now,
        )

    def charts(self) -> str:
        """Draw the chain's last blocks."""
        chosen = request.args.get("blocks", CHART_BLOCKS[0])
        if chosen not in CHART_BLOCKS:
            raise RequestError(400, f"blocks is one of {', '.join(CHART_BLOCKS)}")
        past = self._past.read(None if chosen == "all" else int(chosen))
        return render_template(
            "charts.html",
            charts=catalogue.chain_charts(past, self._params) if past.stretches else [],
            chosen=chosen,
            ranges={name: "all" if name == "all" else thousands(int(name)) for name in CHART_BLOCKS},
            past=past,
        )

    def feed(self) -> Response:
        """Tell live pages, where event streams do not work, whether anything happened: each commit has a new number."""
        return jsonify({"seq": self._reads.tip().seq})

    def blueprint(self, name: str) -> Blueprint:
        """Return all pages under their paths."""
        blueprint = Blueprint(name, __name__)
        blueprint.record(_add_to_templates)
        blueprint.add_url_rule("/", "home", self.home)
        blueprint.add_url_rule("/charts", "charts", self.charts)
        blueprint.add_url_rule("/feed", "feed", self.feed)
        for path, endpoint, page, resource in (
            ("/blocks", "blocks", self.blocks, self._api.blocks),
            ("/blocks/", "newest_blocks", self.blocks, self._api.blocks),
            ("/blocks/<start>", "blocks", self.blocks, self._api.blocks),
            ("/mempool", "pool", self.pool, self._api.pool),
        ):
            blueprint.add_url_rule(path, endpoint, PageOrResource(page, resource))
        return blueprint


def _add_to_templates(state: Any) -> None:
    template_filters.install(state.app)

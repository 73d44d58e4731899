"""Pages of the chain as a whole: home, blocks, pool and charts. They work without JavaScript, and are live with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request

from services.explorer.api.parameters import read_number
from services.explorer.api.responses import Api
from services.explorer.chain.queries import ChainQueries
from services.explorer.chain.retarget import difficulty_adjustment
from services.explorer.errors import RequestError
from services.explorer.pages import template_filters
from services.explorer.pages.charts import catalogue
from services.explorer.pages.charts.series import HistoryReader
from services.explorer.pages.page_or_api import PageOrResource
from shared.chain.records import TxRecord
from shared.consensus.limits import COIN
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
"""Seconds before the shown time in which the last sample tells the pool at its start."""
SHORTEST_HISTORY = 600
"""Seconds."""
CHART_BLOCKS = ("144", "1008", "4032", "all")


class Overview:
    """One method for each page."""

    def __init__(self, chain: ChainQueries, clock: Callable[[], float] = time.time) -> None:
        self._chain = chain
        self._clock = clock
        self._history = HistoryReader(chain)

    def home(self) -> str:
        """Show projected and mined blocks, feerates, the state of the chain, and the newest transactions."""
        params = self._chain.params
        blocks, pool, adjustment, rate = self._chain.at_tip(
            lambda tip: (
                self._chain.blocks.mined_page(None, HOME_BLOCKS),
                self._chain.pool.overview(),
                difficulty_adjustment(self._chain.blocks.period(), params, self._clock()),
                self._chain.blocks.hash_rate(tip.height),
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
            retargets=not params.pow_no_retargeting,
            supply=issued(tip.height, params) // COIN,
            now=self._clock(),
        )

    def _recent(self, count: int) -> list[TxRecord]:
        return [record for record in self._chain.pool.newest(count) if record.pool]

    def blocks(self, start: str = "") -> str:
        """List the blocks from a height downwards."""
        height = read_number(start) if start else None
        blocks, tip = self._chain.at_tip(lambda tip: (self._chain.blocks.mined_page(height, LISTED_BLOCKS), tip.height))
        first, last = blocks[0].entry.height, blocks[-1].entry.height
        newer = min(tip, first + LISTED_BLOCKS) if first < tip else None
        older = last - 1 if last > 0 else None
        return render_template(
            "blocks.html", blocks=blocks, newer=newer, older=older, is_newest=not start, now=self._clock()
        )

    def pool(self) -> str:
        """Show the pool: by feerate, over time, as projected blocks, and its newest transactions."""
        hours = request.args.get("hours", "2")
        if hours not in HISTORY_HOURS:
            raise RequestError(400, f"hours is one of {', '.join(HISTORY_HOURS)}")
        now = int(self._clock())
        pool = self._chain.pool.overview()
        start = now - int(hours) * HOUR
        samples = self._chain.pool.history(start - SAMPLE_REACH)
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
        history = self._history.read(None if chosen == "all" else int(chosen))
        return render_template(
            "charts.html",
            charts=catalogue.chain_charts(history, self._chain.params) if history.ranges else [],
            chosen=chosen,
            ranges={name: "all" if name == "all" else thousands(int(name)) for name in CHART_BLOCKS},
            history=history,
        )

    def feed(self) -> Response:
        """Return the number of the last commit: live pages poll it where event streams do not work."""
        return jsonify({"seq": self._chain.tip().seq})

    def blueprint(self, name: str, api: Api) -> Blueprint:
        """Return all pages under their paths; `api` answers there for programs."""
        blueprint = Blueprint(name, __name__)
        blueprint.record(_add_to_templates)
        blueprint.add_url_rule("/", "home", self.home)
        blueprint.add_url_rule("/charts", "charts", self.charts)
        blueprint.add_url_rule("/feed", "feed", self.feed)
        blocks = api.view("/blocks/{start}")
        for path, endpoint, page, resource in (
            ("/blocks", "blocks", self.blocks, blocks),
            ("/blocks/", "newest_blocks", self.blocks, blocks),
            ("/blocks/<start>", "blocks", self.blocks, blocks),
            ("/mempool", "pool", self.pool, api.view("/mempool")),
        ):
            blueprint.add_url_rule(path, endpoint, PageOrResource(page, resource))
        return blueprint


def _add_to_templates(state: Any) -> None:
    template_filters.install(state.app)

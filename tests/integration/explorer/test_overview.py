"""Home, blocks, pool and charts: pages about the whole chain, read from a bounded number of entries."""

from __future__ import annotations

import re
import time

import pytest

from services.explorer.chain.queries import ChainQueries
from services.explorer.pages.charts.series import PLACES, TIME_PLACES, HistoryReader
from shared.consensus.params import REGTEST
from shared.errors import StoreUnavailable
from tests.builders import key, output_of, pay
from tests.integration.explorer.conftest import COIN, client_for, page_reader

ALICE, BOB = key("alice"), key("bob")
BROWSER = {"Accept": "text/html,*/*;q=0.8"}


@pytest.fixture
def get(chain, broker):
    client = client_for(chain.view, broker)

    return page_reader(client)


def places(page):
    """Return the text of each place of the strip by its key."""
    found = re.findall(r'<li class="strip-place" data-key="([^"]+)".*?</li>', page, re.DOTALL)
    texts = re.findall(r'<li class="strip-place".*?</li>', page, re.DOTALL)
    return {name: " ".join(re.sub("<[^>]+>", " ", text).split()) for name, text in zip(found, texts, strict=True)}


def pay_at(chain, rate, vsize=141, when=1_700_000_000):
    """Put a payment into the pool that pays a feerate, from a new block's reward."""
    coin = output_of(chain.mine(ALICE).transactions[0], 0, ALICE)
    tx = pay(coin, BOB, COIN, fee=rate * vsize)
    chain.pool_add(tx, when)
    return tx


def test_the_strip_has_the_next_block_and_the_last_ones_with_their_feerates(get, chain):
    cheap, dear = pay_at(chain, 3), pay_at(chain, 60)
    mined = chain.mine(ALICE, [dear])
    page = get("/")
    shown = places(page)
    assert list(shown)[:2] == ["next-1", mined.hash_hex]
    assert "Next block ~3.0 sat/vB" in shown["next-1"]
    assert "1 payment " in shown["next-1"]
    assert "as block 4" in shown["next-1"]
    assert "Block 3 ~60 sat/vB" in shown[mined.hash_hex]
    assert "8 460 sat" in shown[mined.hash_hex]
    assert "2 transactions" in shown[mined.hash_hex]
    assert "No fees reward only" in shown[chain.blocks[2].hash_hex]
    assert re.search(r'tile-tip rate-6"', page)
    assert cheap.txid_hex in page


def test_an_empty_pool_invites(get, chain):
    chain.mine(ALICE)
    page = get("/")
    assert "No one waits" in places(page)["next-1"]
    assert 'href="http://127.0.0.1:18443/mine"' in page
    assert 'href="http://127.0.0.1:8080/"' in page
    assert "All quiet" in page


def test_home_says_how_the_chain_is_doing(get, chain):
    for _ in range(3):
        chain.mine(ALICE)
    text = " ".join(re.sub("<[^>]+>", " ", get("/")).split())
    assert "Height 3" in text
    assert "Coins issued 150 BTC" in text
    assert "Hash rate 2 H/s" in text  # each block is two hashes of work, a second after the one before
    assert "The same for every block of this chain" in text


def test_the_blocks_list_shows_fees_and_feerates_page_by_page(get, chain):
    for _ in range(30):
        chain.mine(ALICE)
    dear = pay_at(chain, 60)
    chain.mine(ALICE, [dear])
    page = get("/blocks")
    assert page.count("<tr data-key=") == 25
    assert "8\u2009460 sat" in page
    assert re.search(r'class="rate rate-6">60 ', page)
    assert "data-live" in page
    assert 'href="/blocks/7"' in page
    older = get("/blocks/7")
    assert older.count("<tr data-key=") == 8
    assert "data-live" not in older


def test_the_pool_page_shows_bands_projected_blocks_and_its_past(get, chain):
    for rate in (3, 3, 60):
        pay_at(chain, rate, when=int(time.time()))
    page = get("/mempool")
    text = " ".join(re.sub("<[^>]+>", " ", page).split())
    assert "50 – 100 141 vB · 1" in text
    assert "Next 3.0 sat/vB 3.0 – 60" in text
    assert "Size over time virtual bytes Now 423 vB." in text
    for hours in ("24", "168"):
        assert 'id="pool-count"' in get(f"/mempool?hours={hours}")


def test_charts_count_exactly(get, chain):
    coins = [output_of(chain.mine(ALICE).transactions[0], 0, ALICE) for _ in range(5)]
    chain.mine(ALICE, [pay(coin, BOB, COIN, fee=1_410) for coin in coins])
    text = " ".join(re.sub("<[^>]+>", " ", get("/charts")).split())
    assert "11 transactions in 6 blocks: 1.83 each" in text
    assert "Block 6: 7 050 sat, median 10 sat/vB" in text
    assert "300 BTC issued so far, 300 of them by these blocks" in text
    assert "5 blocks in 5 seconds: 3 600 an hour. Each bar is 1 second." in text
    assert "Now about 2 H/s" in text


class Counting:
    """A view that counts the reads of it and of its parts."""

    def __init__(self, view, whole=None):
        self._view = view
        self._whole = whole or self
        self.block_records = 0
        self.calls = 0

    def __getattr__(self, name):
        found = getattr(self._view, name)
        if not callable(found):
            return Counting(found, self._whole)

        def ask(*arguments):
            self._whole.calls += 1
            if name in ("entries", "fees"):
                self._whole.block_records += len(arguments[0])
            return found(*arguments)

        return ask


def test_charts_read_as_much_of_a_long_chain_as_of_a_short_one(chain):
    for _ in range(400):
        chain.mine(ALICE)
    view = Counting(chain.view)
    reader = HistoryReader(ChainQueries(view, REGTEST))
    past = reader.read(None)
    assert past.blocks == 400
    assert past.has_all_fees
    assert sum(span.blocks for span in past.spans) == 399
    assert 0 < view.block_records <= 8 * PLACES + 10 * TIME_PLACES + PLACES + 2
    calls = view.calls
    reader.read(None)
    assert view.calls == calls + 1  # at the tip: what is known is not read again
    assert len(reader.read(144).ranges) == 144


def test_a_reorganisation_is_seen_in_charts(chain):
    for _ in range(3):
        chain.mine(ALICE)
    reader = HistoryReader(ChainQueries(chain.view, REGTEST))
    assert reader.read(144).ranges[-1].last.hash == chain.tip.hash
    chain.replace_tip(BOB)
    past = reader.read(144)
    assert past.ranges[-1].last.hash == chain.tip.hash
    assert past.blocks == 4


def test_a_chain_that_never_rests_is_a_503_and_no_mixture(chain):
    with pytest.raises(StoreUnavailable, match="faster"):
        chain.view.at_tip(lambda tip: chain.mine(ALICE))


def test_the_pool_is_read_once_for_each_state(chain):
    pay_at(chain, 3)
    view = Counting(chain.view)
    pool = ChainQueries(view, REGTEST).pool
    assert pool.overview() is pool.overview()
    pay_at(chain, 5)
    assert pool.overview().count == 2


def test_a_wide_pool_makes_several_projected_blocks(get, chain, monkeypatch):
    monkeypatch.setattr("services.explorer.chain.fee_estimates.MAX_BLOCK_VSIZE", 200)
    for rate in (3, 60, 9):
        pay_at(chain, rate)
    shown = places(get("/"))
    assert list(shown)[:3] == ["next-3", "next-2", "next-1"]
    assert "~60" in shown["next-1"]
    assert "In 3 blocks ~3.0" in shown["next-3"]

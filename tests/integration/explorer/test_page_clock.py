"""Pages tell ages by the clock that they are given."""

from __future__ import annotations

import pytest

from services.explorer.app import create_explorer
from services.explorer.chain.queries import ChainQueries
from services.explorer.pages.address_page import ScriptPage
from services.explorer.pages.block_page import BlockPage
from services.explorer.pages.transaction.tx_page import TxPage
from shared.config import Settings
from shared.consensus.params import REGTEST
from shared.durations import DAY
from tests.integration.explorer.conftest import address_of


@pytest.mark.parametrize("kind", ["block", "tx", "address"])
def test_an_age_is_told_by_the_clock_of_the_page(story, broker, kind):
    chain = ChainQueries(story.chain.view, REGTEST)
    block = chain.blocks.get(chain.tip().hash)
    app = create_explorer(Settings(), REGTEST, story.chain.view, broker, {}).app

    def clock() -> float:
        return block.entry.header.time + 300.5 * DAY

    with app.test_request_context():
        page = {
            "block": lambda: BlockPage(chain, clock).show(block.entry.header.hash_hex),
            "tx": lambda: TxPage(chain, clock).show(story.payment.txid_hex),
            "address": lambda: ScriptPage(chain, clock).address(address_of("bob")),
        }[kind]()
    assert "300 d ago" in page

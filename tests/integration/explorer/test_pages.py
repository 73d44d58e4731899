"""The pages over a real chain: their content and links, and the escaping of data from the chain."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from shared.consensus.params import REGTEST
from shared.crypto.hashes import sha256
from tests.builders import key, p2wpkh
from tests.integration.explorer.conftest import address_of

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
UNKNOWN = "ab" * 32


@pytest.fixture
def get(client):
    def get(path):
        return client.get(path, headers=BROWSER)

    return get


class Links(HTMLParser):
    """Collects the links of a page, and the pictures and scripts that it loads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("href", "src") and value]


def test_home_shows_the_newest_blocks_who_mined_them_and_the_pool(get, story):
    page = get("/").text
    for block in story.chain.blocks[-10:]:
        assert block.hash_hex in page
    assert "rival" in page
    assert story.waiting.txid_hex in page
    assert story.child.txid_hex in page


ELSEWHERE = {"/api/block-template", "/api/events", "/api/getnewaddress", "/api/wait"}
"""Links on the API page that the writer, the event loop or the wallet answers."""


def test_every_link_of_every_page_leads_somewhere(get, story):
    seen: set[str] = set()
    queue = ["/"]
    while queue and len(seen) < 400:
        path = queue.pop(0).split("#")[0]
        if path in seen:
            continue
        seen.add(path)
        if path.split("?")[0] in ELSEWHERE:
            continue
        with get(path) as answer:
            assert answer.status_code in (200, 302), path
            if answer.content_type.startswith("text/html"):
                queue += [link for link in Links(answer.text).found if link.startswith("/")]
    kinds = {path.split("/")[1].split("?")[0] for path in seen}
    assert {"block", "tx", "address", "mempool", "blocks", "charts", "api", "static", "shared"} <= kinds


@pytest.mark.parametrize(
    ("path", "label"), [("/blocks", "Blocks"), ("/mempool", "Pool"), ("/charts", "Charts"), ("/docs", "API")]
)
def test_the_navigation_says_where_one_is(get, path, label):
    page = get(path).text
    assert f'<a href="{path}" aria-current="page">{label}</a>' in page
    assert page.count('aria-current="page"') == 2  # and the explorer among wallet, explorer and mine


def test_a_block_page_shows_its_summary_and_pages_its_transactions(get, story):
    block = story.big
    first = get(f"/block/{block.hash_hex}").text
    assert block.hash_hex in first
    assert "1 to 25 of 31" in first
    assert block.transactions[24].txid_hex in first
    assert block.transactions[25].txid_hex not in first
    second = get(f"/block/{block.hash_hex}?start=25").text
    assert block.transactions[25].txid_hex in second
    assert "26 to 31 of 31" in second


def test_a_height_leads_to_the_block(get, story):
    answer = get("/block/5")
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/block/{story.chain.blocks[5].hash_hex}"


def test_neighbours_and_the_stale_block_are_linked_right(get, story):
    blocks = story.chain.blocks
    page = get(f"/block/{blocks[5].hash_hex}").text
    assert f'rel="prev" href="/block/{blocks[4].hash_hex}"' in page
    assert f'rel="next" href="/block/{blocks[6].hash_hex}"' in page
    stale = get(f"/block/{story.stale.hash_hex}").text
    assert "Stale" in stale
    assert 'rel="next"' not in stale


def test_a_transaction_page_shows_both_sides_and_what_became_of_the_outputs(get, story):
    page = get(f"/tx/{story.payment.txid_hex}").text
    assert address_of("alice") in page
    assert address_of("bob") in page
    assert "being spent in" in page
    assert story.waiting.txid_hex in page
    assert "not spent" in page
    assert '12<span class="amount-zeros">.00000000</span>' in page


def test_what_comes_from_the_chain_is_escaped(get, story):
    page = get(f"/tx/{story.burn.txid_hex}").text
    assert "OP_RETURN" in page
    assert "&lt;b&gt;" in page
    assert "cannot be spent" in page
    assert "<b>" not in page
    coinbase = story.chain.blocks[1].transactions[0]
    assert "miner-0" in get(f"/tx/{coinbase.txid_hex}").text


def test_an_address_page_shows_balance_coins_and_pages_of_history(get, story):
    bob = address_of("bob")
    page = get(f"/address/{bob}").text
    assert '42<span class="amount-zeros">.00000000</span>' in page
    assert story.waiting.txid_hex in page
    oldest_shown = story.big.transactions[6].txid_hex
    assert f"/address/{bob}?after={oldest_shown}#history" in page
    older = get(f"/address/{bob}?after={oldest_shown}").text
    assert story.payment.txid_hex in older
    assert story.waiting.txid_hex not in older.split('id="history"')[1]


def test_an_address_has_a_qr_code(get):
    answer = get(f"/address/{address_of('bob')}/qr.svg")
    assert answer.content_type.startswith("image/svg+xml")
    assert answer.data.startswith(b"<?xml")
    assert get("/address/hello/qr.svg").status_code == 400


@pytest.mark.parametrize("path", ["/blocks", "/mempool"])
def test_lists_are_pages_for_browsers_and_data_for_programs(client, get, path):
    assert get(path).content_type.startswith("text/html")
    assert client.get(path).content_type == "application/json"
    assert get(f"/api{path}").content_type == "application/json"
    assert "Accept" in get(path).headers["Vary"]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/plain", "", "application/json, text/html;q=0.5"])
def test_programs_never_get_a_page(client, story, accept):
    for path in (f"/block/{story.big.hash_hex}", f"/tx/{story.payment.txid_hex}", f"/address/{address_of('bob')}"):
        assert client.get(path, headers={"Accept": accept}).content_type == "application/json"


def test_search_leads_to_what_was_asked_for(get, story):
    bob = address_of("bob")
    expected = {
        "5": f"/block/{story.chain.blocks[5].hash_hex}",
        story.big.hash_hex: f"/block/{story.big.hash_hex}",
        story.stale.hash_hex: f"/block/{story.stale.hash_hex}",
        f" {story.payment.txid_hex} ": f"/tx/{story.payment.txid_hex}",
        story.waiting.txid_hex: f"/tx/{story.waiting.txid_hex}",
        bob: f"/address/{bob}",
        key("bob").public_key.compressed.hex(): f"/address/{bob}",
    }
    for query, target in expected.items():
        answer = get(f"/search?q={query}")
        assert (answer.status_code, answer.headers["Location"]) == (302, target)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("99999", "the chain ends at"),
        (UNKNOWN, "no such transaction is known"),
        ("<script>alert(1)</script>", "&lt;script&gt;"),
        ("", "Type the height or hash"),
    ],
)
def test_a_search_for_nothing_says_what_was_tried(get, query, text):
    answer = get(f"/search?q={query}")
    assert answer.status_code == 404
    assert text in answer.text
    assert "<script>alert" not in answer.text


SCRIPT = sha256(p2wpkh(key("bob"))).hex()
BAD_PAGES = [
    ("/block/xyz", 400),
    ("/block/99999", 404),
    ("/block/²", 400),
    (f"/block/{UNKNOWN}", 404),
    (f"/block/{REGTEST.genesis.hash_hex}?start=x", 400),
    (f"/block/{REGTEST.genesis.hash_hex}?start=-25", 400),
    (f"/block/{REGTEST.genesis.hash_hex}?start=25", 400),
    (f"/block/{REGTEST.genesis.hash_hex}?start={'9' * 20}", 400),
    ("/tx/xyz", 400),
    (f"/tx/{UNKNOWN}", 404),
    ("/address/hello", 400),
    ("/address/<script>", 400),
    (f"/address/{address_of('bob')}?after=xyz", 400),
    ("/blocks/x", 400),
    ("/mempool?hours=3", 400),
    ("/charts?blocks=7", 400),
    ("/blocks/99999", 404),
    ("/blocks/" + "9" * 19, 404),
    ("/nothing/here", 404),
    ("/block-height/x", 400),
    ("/static/../pages.py", 404),
    ("/static/nothing.css", 404),
]


@pytest.mark.parametrize(("path", "status"), BAD_PAGES)
def test_bad_addresses_give_a_readable_page(get, path, status):
    answer = get(path)
    assert answer.status_code == status
    assert answer.content_type.startswith("text/html")
    assert "<h1>" in answer.text
    assert "<script>" not in answer.text


def test_an_after_that_is_not_in_the_history_shows_an_empty_page(get):
    page = get(f"/address/{address_of('bob')}?after={UNKNOWN}")
    assert page.status_code == 200
    assert "No older transactions" in page.text

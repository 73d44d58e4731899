"""The pages of addresses: coins and history a page at a time, as much read as is shown."""

from __future__ import annotations

import re

import pytest

from shared.chain.view.txs import TxReader
from shared.crypto.hashes import sha256
from shared.primitives.transaction import TxOut
from tests.builders import key, output_of, p2wpkh, pay, spend
from tests.integration.explorer.conftest import COIN, address_of, client_for, mined_coin, page_reader

BROWSER = {"Accept": "text/html"}
ALICE, BOB, CAROL = key("alice"), key("bob"), key("carol")
BOBS = f"/address/{address_of('bob')}"


@pytest.fixture
def client(chain, broker):
    return client_for(chain.view, broker)


@pytest.fixture
def get(client):
    return page_reader(client)


def pay_bob(chain, count):
    """Mine one payment to bob of `count` outputs of 1,000, 1,001, … satoshis."""
    tx = spend([mined_coin(chain)], [TxOut(1_000 + number, p2wpkh(BOB)) for number in range(count)])
    chain.mine(CAROL, [tx])
    return tx


def section(page, name):
    return page.split(f'id="{name}"', 1)[1].split("</section>", 1)[0] if f'id="{name}"' in page else ""


def amounts(part):
    """Return the satoshis in the column of amounts; the history's have a sign."""
    cells = re.findall(r'data-label="(?:Amount|Received|Spent)"[^>]*>(.*?)</td>', part, re.S)
    return [int(re.sub(r"<[^>]*>|[^0-9]", "", cell)) for cell in cells]


def next_path(part):
    found = re.search(r'rel="next" href="([^"#]*)#', part)
    return found.group(1) if found else None


# ── coins ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_coin_is_on_one_page(chain, get):
    newest, oldest = 30, 33
    pay_bob(chain, oldest)
    pay_bob(chain, newest)
    path, pages = BOBS, []
    while path:
        pages.append(section(get(path), "coins"))
        path = next_path(pages[-1])
    assert [len(amounts(page)) for page in pages] == [25, 25, 13]
    listed = [amount for page in pages for amount in amounts(page)]
    assert sorted(listed[:newest]) == [1_000 + number for number in range(newest)]
    assert sorted(listed[newest:]) == [1_000 + number for number in range(oldest)]
    assert "1 to 25 of 63 in blocks" in pages[0]
    assert f'rel="prev" href="{BOBS}?coins=25#coins"' in pages[2]


def test_unconfirmed_coins_come_first_and_what_is_being_spent_says_so(chain, get):
    paid = pay_bob(chain, 2)
    spending = spend([output_of(paid, 1, BOB)], [TxOut(600, p2wpkh(BOB)), TxOut(300, p2wpkh(CAROL))])
    chain.pool_add(spending)
    page = get(BOBS)
    coins = section(page, "coins")
    assert "2 unspent" in coins
    assert amounts(coins)[0] == 600
    assert coins.count("Unconfirmed") == 1
    assert re.search(rf'href="/tx/{spending.txid_hex}">Being spent</a>.*?\.0*1<', re.sub(r"\s+", " ", coins))
    chain.pool_add(spend([output_of(spending, 0, BOB)], [TxOut(500, p2wpkh(CAROL))]))
    assert "Unconfirmed" not in section(get(BOBS), "coins")


def test_of_many_unconfirmed_coins_the_newest_are_listed(chain, get):
    alices = spend([mined_coin(chain)], [TxOut(COIN, p2wpkh(ALICE))] * 30)
    chain.mine(CAROL, [alices])
    for vout in range(30):
        chain.pool_add(pay(output_of(alices, vout, ALICE), BOB, 1_000 + vout))
    coins = section(get(BOBS), "coins")
    assert amounts(coins) == list(range(1_029, 1_004, -1))
    assert "The newest 25 of the unconfirmed ones" in coins


@pytest.mark.parametrize(("query", "status"), [("coins=3", 400), ("coins=x", 400), ("coins=-1", 400), ("coins=0", 200)])
def test_only_pages_that_there_are_can_be_asked_for(chain, get, query, status):
    pay_bob(chain, 3)
    get(f"{BOBS}?{query}", status)


def test_a_page_reads_no_more_coins_than_it_shows(chain, client, monkeypatch):
    pay_bob(chain, 120)
    asked = []
    coins = TxReader.coins
    monkeypatch.setattr(TxReader, "coins", lambda txs, found: asked.append(len(found)) or coins(txs, found))
    for path in (BOBS, f"{BOBS}?coins=75"):
        asked.clear()
        assert client.get(path, headers=BROWSER).status_code == 200
        assert sum(asked) == 25


# ── history ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def balances(part):
    cells = re.findall(r'data-label="Balance"[^>]*>(.*?)</td>', part, re.S)
    return [re.sub(r"<[^>]*>|[^0-9.]", "", cell) for cell in cells]


def test_unconfirmed_history_has_pages_of_its_own(chain, get):
    alices = spend([mined_coin(chain)], [TxOut(COIN, p2wpkh(ALICE))] * 60)
    chain.mine(CAROL, [alices])
    chain.mine(CAROL, [pay(output_of(alices, vout, ALICE), BOB, 1_000) for vout in range(30)])
    for vout in range(30, 60):
        chain.pool_add(pay(output_of(alices, vout, ALICE), BOB, 1_000))
    first = section(get(BOBS), "history")
    assert "The newest 25 of 30 unconfirmed transactions" in first
    assert len(amounts(first)) == 50
    assert first.count("Unconfirmed<") == 25
    assert balances(first)[:2] == ["0.00060000", "0.00059000"]
    assert balances(first)[25:27] == ["0.00030000", "0.00029000"]
    rest = section(get(re.search(r'href="([^"#]*)#history">The other', first).group(1)), "history")
    assert rest.count("Unconfirmed<") == 5
    assert balances(rest)[:5] == [""] * 5
    assert balances(rest)[5] == "0.00030000"
    older = section(get(next_path(rest)), "history")
    seen = re.findall(r'href="/tx/([0-9a-f]{64})"', first + rest + older)
    assert len(set(seen)) == 60
    assert next_path(older) is None
    assert section(get(next_path(first)), "history").count("Unconfirmed<") == 0


def test_after_a_transaction_of_another_there_is_nothing(chain, get):
    pay_bob(chain, 1)
    assert "No older transactions" in get(f"{BOBS}?after={'ab' * 32}")
    assert sha256(p2wpkh(BOB)).hex() in get(BOBS)

"""The pages of a transaction, a block and a script, and the search; hostile data stays data."""

from __future__ import annotations

import re

import pytest

from services.explorer.pages.transaction.tx_flow_diagram import MOST_ENDS
from shared.consensus.params import REGTEST
from shared.crypto.address import encode_address
from shared.crypto.hashes import hash160, sha256
from shared.primitives.merkle import merkle_branch
from shared.primitives.transaction import TxOut
from shared.script.opcodes import OP_CHECKSIG
from shared.script.script import push_data, push_number
from shared.script.standard import p2pkh_script, p2sh_script, p2tr_script, p2wsh_script
from tests.builders import key, output_of, p2wpkh, pay, spend
from tests.integration.explorer.conftest import COIN, address_of, client_for, mined_coin, page_reader

BROWSER = {"Accept": "text/html"}
ALICE, BOB, CAROL = key("alice"), key("bob"), key("carol")
HOSTILE = "<script>alert('x')</script>\"&"


@pytest.fixture
def get(chain, broker):
    client = client_for(chain.view, broker)

    return page_reader(client)


def part(page, start, end="</section>"):
    return page.split(start, 1)[1].split(end, 1)[0]


# ── what comes from the chain is data ───────────────────────────────────────────────────────────────────────────────


def test_hostile_text_is_escaped_wherever_it_shows(chain, get):
    coin = mined_coin(chain)
    tx = spend([coin], [TxOut(0, b"\x6a" + push_data(HOSTILE.encode())), TxOut(COIN, b"\x51\x07<b>bold")])
    block = chain.mine(ALICE, [tx], miner=HOSTILE)
    paths = [f"/tx/{tx.txid_hex}", f"/tx/{block.transactions[0].txid_hex}", f"/block/{block.hash_hex}"]
    for path in paths:
        page = get(path)
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page
    assert "<b>" not in get(paths[0])


@pytest.mark.parametrize("path", ["/search?q=", "/nothing/", "/tx/", "/address/", "/block/", "/scripthash/"])
def test_hostile_addresses_are_escaped(get, path):
    for text in ("<script>alert(1)", "'\"><img src=x onerror=alert(1)>"):
        page = get(path + text, 404 if "search" in path or "nothing" in path else 400)
        assert "<script>alert" not in page
        assert "<img src=x" not in page


def test_pages_have_nothing_inline(chain, get):
    coin = mined_coin(chain)
    block = chain.mine(ALICE, [pay(coin, BOB, COIN)])
    paths = ["/", f"/block/{block.hash_hex}", f"/address/{address_of('bob')}", "/search?q=nothing"]
    paths += [f"/tx/{tx.txid_hex}" for tx in block.transactions]
    for path in paths:
        page = get(path, 404 if "search" in path else 200)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
        assert not re.search(r"<script(?![^>]*\bsrc=)", page)


@pytest.mark.parametrize(
    "script", [b"\x4c", b"\x6a\x4c", b"\xff" * 30, b"\x00", bytes(10_001), b"\x6a\x04\xff\xfe\xfd\xfc"]
)
def test_odd_scripts_have_a_page(chain, get, script):
    tx = spend([mined_coin(chain)], [TxOut(COIN, script), TxOut(0, b"")])
    chain.mine(ALICE, [tx])
    page = get(f"/tx/{tx.txid_hex}")
    for found in re.findall(r"/scripthash/[0-9a-f]{64}", page):
        get(found)


# ── a transaction ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_picture_has_a_band_for_each_side_and_the_fee(chain, get):
    tx = pay(mined_coin(chain), BOB, 12 * COIN, fee=5_000)
    chain.mine(ALICE, [tx])
    picture = part(get(f"/tx/{tx.txid_hex}"), '<figure class="flow"', "</figure>")
    assert picture.count("<path") == 4
    assert picture.count("flow-fee") >= 1
    assert "5\u2009000 sat" in picture
    assert "1 input to 2 outputs of 49.99995 BTC together, and a fee of 5\u2009000 satoshis" in picture
    assert f'href="/tx/{tx.inputs[0].prevout.txid[::-1].hex()}#out-0"' in picture


def test_many_sides_are_bundled_and_listed_in_pages(chain, get):
    tx = spend([mined_coin(chain)], [TxOut(COIN // 10, p2wpkh(BOB))] * 52)
    chain.mine(ALICE, [tx])
    page = get(f"/tx/{tx.txid_hex}")
    assert part(page, '<figure class="flow"', "</figure>").count("<path") == 1 + MOST_ENDS + 1
    assert "and 41 more" in page
    assert "1 to 25 of 52" in page
    second = get(f"/tx/{tx.txid_hex}?start=25")
    assert "26 to 50 of 52" in second
    assert '<figure class="flow"' not in second


def test_a_spent_output_leads_to_the_input_that_spends_it(chain, get):
    wide = spend([mined_coin(chain)], [TxOut(COIN, p2wpkh(BOB)) for _ in range(30)])
    chain.mine(ALICE, [wide])
    many = spend([output_of(wide, vout, BOB) for vout in range(30)], [TxOut(COIN, p2wpkh(CAROL))])
    chain.pool_add(many)
    page = get(f"/tx/{wide.txid_hex}?start=25")
    assert f'href="/tx/{many.txid_hex}?start=25#in-29"' in page
    assert 'id="in-29"' in get(f"/tx/{many.txid_hex}?start=25")


def test_numbers_are_explained(chain, get):
    tx = spend([mined_coin(chain)], [TxOut(COIN, p2wpkh(BOB))], lock_time=77, sequence=6)
    chain.mine(ALICE, [tx])
    page = get(f"/tx/{tx.txid_hex}")
    assert "only in a block above height 77" in page
    assert "may be replaced, only 6 blocks after its coin&#39;s" in page
    assert "signalled (BIP125)" in page
    assert tx.serialize().hex() in page
    assert tx.wtxid_hex[:-8] in page


def test_a_transaction_too_large_to_show_in_hex_is_a_click_away(chain, get):
    tx = spend([mined_coin(chain)], [TxOut(1, b"\x51" * 9_999)] * 3)
    chain.mine(ALICE, [tx])
    page = get(f"/tx/{tx.txid_hex}")
    assert tx.serialize().hex() not in page
    assert f'href="/api/tx/{tx.txid_hex}/hex">open the hex' in page


def test_relatives_and_the_effective_feerate_show_while_unconfirmed(chain, get):
    parent = pay(mined_coin(chain), BOB, 12 * COIN, fee=200)
    child = pay(output_of(parent, 0, BOB), CAROL, COIN, fee=30_000)
    for tx in (parent, child):
        chain.pool_add(tx)
    of_parent, of_child = (part(get(f"/tx/{tx.txid_hex}"), 'id="relatives"') for tx in (parent, child))
    assert "Descendants" in of_parent
    assert child.txid_hex in of_parent
    assert "Ancestors" in of_child
    assert parent.txid_hex in of_child
    rate = f">{30_200 / (parent.vsize + child.vsize):.0f} <"
    assert rate in part(get(f"/tx/{parent.txid_hex}"), "Effective feerate", "</dd>")
    assert "next block" in get(f"/tx/{parent.txid_hex}")
    chain.mine(ALICE, [parent, child])
    assert 'id="relatives"' not in get(f"/tx/{parent.txid_hex}")


def test_a_replaced_transaction_keeps_a_page_that_leads_on(chain, get, broker):
    coin = mined_coin(chain)
    first, second, third = (pay(coin, BOB, COIN, fee=fee) for fee in (500, 1_000, 4_000))
    chain.pool_add(first, time=1_700_000_000)
    chain.pool_replace(second, [first], time=1_700_000_060)
    chain.pool_replace(third, [second], time=1_700_000_180)
    page = get(f"/tx/{first.txid_hex}")
    assert f'href="/tx/{second.txid_hex}"' in part(page, "Replaced by", "</p>")
    assert "500" in part(page, "<dt>Fee</dt>", "</dd>")
    assert address_of("bob") in page
    assert "not spent" not in page
    timeline = part(page, 'id="replacements"')
    order = re.findall(r'href="/tx/(\w+)"', timeline)
    assert order == [third.txid_hex, second.txid_hex, first.txid_hex]
    assert "lasted 1 minute" in timeline
    assert "lasted 2 minutes" in timeline
    program = client_for(chain.view, broker)
    assert program.get(f"/tx/{first.txid_hex}").status_code == 404
    last = get(f"/tx/{third.txid_hex}")
    assert "Replaced by" not in last
    assert first.txid_hex in part(last, 'id="replacements"')
    chain.mine(ALICE, [third])
    assert "In a block" in part(get(f"/tx/{second.txid_hex}"), 'id="replacements"')


def test_a_transaction_that_took_the_place_of_several_shows_each(chain, get):
    coins = [mined_coin(chain) for _ in range(2)]
    both = [pay(coin, BOB, COIN, fee=500) for coin in coins]
    for tx in both:
        chain.pool_add(tx)
    last = spend(coins, [TxOut(99 * COIN, p2wpkh(BOB))])
    chain.pool_replace(last, both, time=1_700_000_060)
    timeline = part(get(f"/tx/{last.txid_hex}"), 'id="replacements"')
    assert timeline.count("depth-1") == 2
    assert all(tx.txid_hex in timeline for tx in both)


def test_the_search_finds_a_replaced_transaction(chain, get, broker):
    coin = mined_coin(chain)
    first, second = (pay(coin, BOB, COIN, fee=fee) for fee in (500, 1_000))
    chain.pool_add(first)
    chain.pool_replace(second, [first])
    assert location(chain, broker, first.txid_hex) == f"/tx/{first.txid_hex}"


def test_the_proof_is_written_out_step_by_step(chain, get):
    coins = [mined_coin(chain) for _ in range(4)]
    block = chain.mine(ALICE, [pay(coin, BOB, COIN) for coin in coins])
    tx = block.transactions[2]
    proof = part(get(f"/tx/{tx.txid_hex}"), 'id="proof"')
    branch = merkle_branch([other.txid for other in block.transactions], 2)
    assert re.findall(r'data-sibling="(\w+)"', proof) == [node[::-1].hex() for node in branch]
    assert re.findall(r'data-side="(\w+)"', proof) == ["right", "left", "right"]
    assert re.findall(r'data-result="(\w+)"', proof)[-1] == block.header.merkle_root[::-1].hex()
    assert "By hand" in proof
    assert "Number 2 of 5 in" in proof


def test_a_transaction_alone_in_its_block_is_its_own_root(chain, get):
    page = get(f"/tx/{chain.mine(ALICE).transactions[0].txid_hex}")
    assert "the id is the root" in page


def test_a_transaction_of_a_stale_block_is_found_through_it(chain, get):
    tx = pay(mined_coin(chain), BOB, COIN)
    chain.mine(ALICE, [tx])
    stale, _ = chain.replace_tip(CAROL)
    page = get(f"/block/{stale.hash_hex}")
    assert f"/tx/{tx.txid_hex}?block={stale.hash_hex}" in page
    found = get(f"/tx/{tx.txid_hex}?block={stale.hash_hex}")
    assert "In a stale block" in found
    assert "no longer on the best chain" in found
    assert 'id="proof"' not in found
    get(f"/tx/{tx.txid_hex}", 404)
    get(f"/tx/{tx.txid_hex}?block={chain.tip.hash_hex}", 404)
    get(f"/tx/{tx.txid_hex}?block=xyz", 400)


# ── a block ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_block_says_what_it_earned(chain, get):
    coins = [mined_coin(chain) for _ in range(3)]
    txs = [pay(coin, BOB, COIN, fee=fee) for coin, fee in zip(coins, (1_000, 2_000, 4_000), strict=True)]
    block = chain.mine(ALICE, txs, fees=7_000)
    page = get(f"/block/{block.hash_hex}")
    assert "50.00007" in part(page, "<dt>Reward</dt>", "</dd>")
    assert "0.00007" in part(page, "<dt>Fees</dt>", "</dd>")
    assert f">{2_000 / txs[1].vsize:.0f} <" in part(page, "<dt>Median feerate</dt>", "</dd>")
    rates = (
        [f"{1_000 / txs[0].vsize:.1f}"] * 2 + [f"{2_000 / txs[1].vsize:.0f}"] * 2 + [f"{4_000 / txs[2].vsize:.0f}"] * 3
    )
    assert f"best: {', '.join(rates)}" in part(page, 'class="rates"', ">")
    assert "/miner-1/" in part(page, "<dt>Coinbase text</dt>", "</dd>")
    assert "no payments" in get(f"/block/{chain.mine(ALICE).hash_hex}")


def test_a_stale_block_leads_to_the_one_in_its_place(chain, get):
    chain.mine(ALICE)
    chain.mine(ALICE)
    stale, [instead, _] = chain.replace_tip(CAROL)
    assert f'href="/block/{instead.hash_hex}"' in get(f"/block/{stale.hash_hex}")


# ── an address, or a script without one ─────────────────────────────────────────────────────────────────────────────


def test_an_unused_address_has_a_page(chain, get):
    chain.mine(ALICE)
    page = get(f"/address/{address_of('nobody')}")
    assert "has not been used yet" in page
    assert "P2WPKH" in page
    assert "qr.svg" in page


def balances_on(page):
    return [int(text) for text in re.findall(r'data-label="Balance"[^>]*><span class="amount"\s*>(\d+)', page)]


def test_a_history_has_the_balance_after_each_transaction(chain, get):
    coins = [mined_coin(chain) for _ in range(30)]
    for number, coin in enumerate(coins):
        chain.mine(CAROL, [pay(coin, BOB, (number + 1) * COIN)])
    last = chain.tip.transactions[1]
    chain.pool_add(pay(output_of(last, 0, BOB), CAROL, 5 * COIN, fee=0))
    first_page = get(f"/address/{address_of('bob')}")
    balances = [
        int(text) for text in re.findall(r'data-label="Balance"[^>]*><span class="amount"\s*>(\d+)', first_page)
    ]
    sums = [sum(range(1, count + 1)) for count in range(31)]
    assert balances_on(first_page) == [sums[30] - 5, *sums[30:5:-1]]
    older = part(part(first_page, 'id="history"'), 'rel="next" href="', '"').split("#")[0]
    second_page = get(older)
    balances = [
        int(text) for text in re.findall(r'data-label="Balance"[^>]*><span class="amount"\s*>(\d+)', second_page)
    ]
    assert balances == sums[5:0:-1]


def test_balances_are_left_out_where_too_much_came_later(chain, get, monkeypatch):
    for coin in [mined_coin(chain) for _ in range(26)]:
        chain.mine(CAROL, [pay(coin, BOB, COIN)])
    monkeypatch.setattr("services.explorer.pages.address_page.MAX_WALK", 20)
    history = part(get(f"/address/{address_of('bob')}"), 'id="history"')
    older = part(history, 'rel="next" href="', '"').split("#")[0]
    page = get(older)
    assert "Balance</th>" not in page
    assert page.count('data-label="Received"') == 1


def test_a_script_without_an_address_has_a_page(chain, get):
    script = push_data(BOB.public_key.compressed) + bytes([OP_CHECKSIG])
    tx = spend([mined_coin(chain)], [TxOut(3 * COIN, script)])
    block = chain.mine(ALICE, [tx])
    path = f"/scripthash/{sha256(script).hex()}"
    assert f'href="{path}"' in get(f"/tx/{tx.txid_hex}")
    page = get(path)
    assert "P2PK" in page
    assert tx.txid_hex in page
    assert "qr.svg" not in page
    assert f'href="/block/{block.hash_hex}"' in part(page, "<dt>Used</dt>", "</dd>")
    get("/scripthash/xyz", 400)


def test_programs_get_the_data_of_a_script_hash(chain, broker):
    chain.mine(ALICE)
    answer = client_for(chain.view, broker).get(f"/scripthash/{'ab' * 32}")
    assert answer.json["scripthash"] == "ab" * 32


# ── the search ──────────────────────────────────────────────────────────────────────────────────────────────────────


def location(chain, broker, query):
    answer = client_for(chain.view, broker).get("/search", query_string={"q": query}, headers=BROWSER)
    assert answer.status_code == 302
    return answer.headers["Location"]


def test_an_output_is_found(chain, get, broker):
    tx = spend([mined_coin(chain)], [TxOut(COIN, p2wpkh(BOB))] * 30)
    chain.mine(ALICE, [tx])
    assert location(chain, broker, f"{tx.txid_hex}:3") == f"/tx/{tx.txid_hex}#out-3"
    assert location(chain, broker, f"{tx.txid_hex}:29") == f"/tx/{tx.txid_hex}?start=25#out-29"
    assert "has 30, counted from 0" in get(f"/search?q={tx.txid_hex}:30", 404)
    assert "no such transaction" in get(f"/search?q={'ab' * 32}:0", 404)


def test_a_public_key_leads_to_the_script_that_was_used(chain, broker):
    public_key = BOB.public_key
    scripts = (
        p2wpkh(BOB),
        p2pkh_script(hash160(public_key.uncompressed)),
        p2sh_script(hash160(p2wpkh(CAROL))),
        p2tr_script(key("dave").public_key.taproot_output_key()),
    )
    owners = (BOB, key("bob"), CAROL, key("dave"))
    for script, owner in ((scripts[2], owners[2]), (scripts[3], owners[3]), (scripts[0], owners[0])):
        chain.mine(ALICE, [spend([mined_coin(chain)], [TxOut(COIN, script)])])
        address = encode_address(script, REGTEST.address)
        assert location(chain, broker, owner.public_key.compressed.hex()) == f"/address/{address}"


def test_a_public_key_that_was_used_in_several_ways_offers_them(chain, get):
    p2pk = push_data(BOB.public_key.compressed) + bytes([OP_CHECKSIG])
    outputs = [TxOut(COIN, p2wpkh(BOB)), TxOut(COIN, p2pk)]
    chain.mine(ALICE, [spend([mined_coin(chain)], outputs)])
    page = get(f"/search?q={BOB.public_key.compressed.hex()}")
    assert "Used in several ways" in page
    assert f'href="/address/{address_of("bob")}"' in page
    assert f'href="/scripthash/{sha256(p2pk).hex()}"' in page
    assert page.count("1 transaction<") == 2


def test_an_unused_public_key_offers_each_form(chain, get):
    chain.mine(ALICE)
    page = get(f"/search?q={BOB.public_key.compressed.hex()}")
    assert "Not used yet" in page
    assert page.count('class="choice"') == 7


def test_the_beginning_of_an_address_is_completed(chain, get, broker):
    owners = [key(f"owner {number}") for number in range(40)]
    coin = mined_coin(chain)
    chain.mine(ALICE, [spend([coin], [TxOut(COIN, p2wpkh(owner)) for owner in owners])])
    address = encode_address(p2wpkh(owners[0]), REGTEST.address)
    assert location(chain, broker, address[:20]) == f"/address/{address}"
    page = get("/search?q=bcrt1q")
    assert page.count('class="choice"') == 20
    assert "Only the first 20" in page
    witness_script = encode_address(p2wsh_script(sha256(push_number(1))), REGTEST.address)
    assert "no used address begins so" in get(f"/search?q={witness_script[:20]}", 404)

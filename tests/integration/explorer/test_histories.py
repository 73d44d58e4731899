"""Larger pages and bulk calls over a real chain, as mempool/electrs has them; and merkle proofs."""

from __future__ import annotations

import pytest

from shared.consensus.partial_merkle import decode_proof
from shared.crypto.hashes import sha256
from shared.primitives.hex import display_hash, parse_display_hash
from shared.primitives.merkle import root_from_branch
from tests.builders import key, p2wpkh
from tests.integration.explorer.conftest import COIN, address_of

UNKNOWN = "ab" * 32
GENESIS_TXID = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"


def txids_of(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [tx["txid"] for tx in answer.json]


def bobs_txids(story) -> list[str]:
    """All of bob's, newest first."""
    return [story.waiting.txid_hex, *(tx.txid_hex for tx in story.big.transactions[:0:-1]), story.payment.txid_hex]


@pytest.mark.parametrize("index", [0, 1, 7, 30])
def test_a_merkle_proof_leads_from_the_transaction_to_its_blocks_root(client, story, index):
    tx = story.big.transactions[index]
    proof = client.get(f"/tx/{tx.txid_hex}/merkle-proof").json
    assert list(proof) == ["block_height", "merkle", "pos"]
    assert (proof["block_height"], proof["pos"]) == (story.chain.blocks.index(story.big), index)
    branch = [parse_display_hash(node) for node in proof["merkle"]]
    assert root_from_branch(tx.txid, branch, index) == story.big.header.merkle_root


def test_a_merkle_block_proves_the_transaction_alone(client, story):
    tx = story.big.transactions[9]
    answer = client.get(f"/tx/{tx.txid_hex}/merkleblock-proof")
    assert answer.content_type.startswith("text/plain")
    assert decode_proof(bytes.fromhex(answer.text)) == (story.big.header, 31, [tx.txid])


@pytest.mark.parametrize("proof", ["merkle-proof", "merkleblock-proof"])
def test_only_confirmed_transactions_have_proofs(client, story, proof):
    for txid in (story.waiting.txid_hex, UNKNOWN):
        answer = client.get(f"/tx/{txid}/{proof}")
        assert (answer.status_code, answer.text) == (404, "Transaction not found or is unconfirmed")
    assert client.get(f"/tx/xyz/{proof}").text == "Invalid hex string"


@pytest.mark.parametrize("size", [1, 5, 32])
def test_a_history_is_walked_in_pages_of_any_size(client, story, size):
    path, found, last = f"/address/{address_of('bob')}/txs?max_txs={size}", [], ""
    while page := txids_of(client.get(path + last)):
        assert len(page) <= size
        found += page
        last = f"&after_txid={page[-1]}"
    assert found == bobs_txids(story)


def test_a_cursor_alone_is_followed_by_fifty(client, story):
    path = f"/address/{address_of('bob')}/txs?after_txid="
    assert txids_of(client.get(path + story.waiting.txid_hex)) == bobs_txids(story)[1:]
    assert txids_of(client.get(path + story.payment.txid_hex)) == []


@pytest.mark.parametrize("cursor", [UNKNOWN, GENESIS_TXID])
def test_a_cursor_of_no_such_history_is_refused(client, cursor):
    answer = client.get(f"/address/{address_of('bob')}/txs?after_txid={cursor}")
    assert (answer.status_code, answer.text) == (422, "after_txid not found")
    assert answer.content_type.startswith("text/plain")


def test_a_page_without_a_usable_number_has_fifty(client, story):
    assert txids_of(client.get(f"/address/{address_of('bob')}/txs?max_txs=many")) == bobs_txids(story)


@pytest.mark.parametrize("rest", ["txs", "txs/summary"])
def test_a_page_has_at_least_one(client, story, rest):
    assert len(client.get(f"/address/{address_of('bob')}/{rest}?max_txs=0").json) == 1


def test_several_addresses_or_script_hashes_have_one_history(client, story):
    addresses = [address_of("bob"), address_of("carol")]
    together = txids_of(client.post("/addresses/txs?max_txs=100", json=addresses))
    assert together == [story.child.txid_hex, bobs_txids(story)[0], *carols_and_bobs(story)]
    hashes = [sha256(p2wpkh(key(name))).hex() for name in ("bob", "carol")]
    assert txids_of(client.post("/scripthashes/txs?max_txs=100", json=hashes)) == together
    second = txids_of(client.post(f"/addresses/txs?max_txs=100&after_txid={together[4]}", json=addresses))
    assert second == together[5:]
    assert txids_of(client.post("/addresses/txs", json=[])) == []


def carols_and_bobs(story) -> list[str]:
    rival_coinbases = [block.transactions[0].txid_hex for block in story.chain.blocks[:-3:-1]]
    return rival_coinbases + bobs_txids(story)[1:]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ("[", 400, "Invalid JSON"),
        ('{"a": 1}', 400, "Invalid JSON"),
        ("[1]", 400, "Invalid JSON"),
        ('["hello"]', 400, "Invalid Bitcoin address"),
        ('["x"' + ',"x"' * 300 + "]", 422, "body too long"),
    ],
)
def test_bad_lists_of_addresses_are_refused(client, body, status, text):
    answer = client.post("/addresses/txs", data=body)
    assert answer.status_code == status
    assert answer.text.startswith(text)


def test_a_summary_has_what_each_transaction_did_to_the_balance(client, story):
    summary = client.get(f"/address/{address_of('bob')}/txs/summary").json
    assert [item["txid"] for item in summary] == bobs_txids(story)[1:]
    height = story.chain.blocks.index(story.big)
    assert summary[0] == {
        "txid": story.big.transactions[30].txid_hex,
        "height": height,
        "value": COIN,
        "time": story.big.header.time,
        "tx_position": 30,
    }
    assert summary[-1]["value"] == 12 * COIN
    path = f"/address/{address_of('bob')}/txs/summary"
    assert client.get(f"{path}?max_txs=3").json == summary[:3]
    assert client.get(f"{path}/{summary[2]['txid']}").json == summary[3:]


def test_a_summary_shows_what_was_spent(client, story):
    summary = client.get(f"/address/{address_of('alice')}/txs/summary").json
    [payment] = [item for item in summary if item["txid"] == story.payment.txid_hex]
    assert payment["value"] == -12 * COIN - 1_000
    stats = client.get(f"/address/{address_of('alice')}").json["chain_stats"]
    assert sum(item["value"] for item in summary) == stats["funded_txo_sum"] - stats["spent_txo_sum"]


def test_the_pools_txids_come_in_pages(client, story):
    both = sorted([story.waiting.txid, story.child.txid])
    expected = [display_hash(txid) for txid in both]
    assert client.get("/mempool/txids/page").json == expected
    assert client.get("/mempool/txids/page?max_txs=1").json == expected[:1]
    assert client.get(f"/mempool/txids/page/{expected[0]}?max_txs=1").json == expected[1:]
    assert client.get(f"/mempool/txids/page/{expected[1]}").json == []
    between = display_hash(both[0][:31] + bytes([both[0][31] ^ 1]))
    assert client.get(f"/mempool/txids/page/{between}").json in (expected, expected[1:])
    assert client.get("/mempool/txids/page/xyz").status_code == 400


def test_what_spends_the_outputs_of_several_transactions(client, story):
    names = [story.payment.txid_hex, UNKNOWN, story.child.txid_hex]
    found = client.get(f"/txs/outspends?txids={','.join(names)}").json
    assert found[0] == client.get(f"/tx/{names[0]}/outspends").json
    assert found[0][0]["txid"] == story.waiting.txid_hex
    assert found[1:] == [[], [{"spent": False}] * 2]
    assert client.get("/txs/outspends").json == []


def test_too_many_txids_are_refused(client):
    answer = client.get(f"/txs/outspends?txids={','.join([UNKNOWN] * 51)}")
    assert (answer.status_code, answer.text) == (400, "Too many txids requested")
    assert client.get("/txs/outspends?txids=xyz").text == "Invalid hex string"

"""Esplora's resources of blocks over a real chain."""

from __future__ import annotations

from shared.consensus.params import REGTEST
from shared.primitives.hex import display_hash

UNKNOWN = "ab" * 32


def test_the_tip(client, story):
    tip = story.chain.tip
    assert client.get("/blocks/tip/hash").text == tip.hash_hex
    assert client.get("/api/blocks/tip/height").text == str(len(story.chain.blocks) - 1)


def test_a_height_leads_to_its_block(client, story):
    for height in (0, 7, len(story.chain.blocks) - 1):
        assert client.get(f"/block-height/{height}").text == story.chain.blocks[height].hash_hex
    answer = client.get(f"/block-height/{len(story.chain.blocks)}")
    assert (answer.status_code, answer.text) == (404, "Block not found")


def test_blocks_come_in_tens_newest_first(client, story):
    tip = len(story.chain.blocks) - 1
    assert [block["height"] for block in client.get("/blocks").json] == list(range(tip, tip - 10, -1))
    assert [block["height"] for block in client.get("/blocks/12").json] == list(range(12, 2, -1))
    assert [block["height"] for block in client.get("/blocks/3").json] == [3, 2, 1, 0]
    assert [block["height"] for block in client.get("/blocks/0").json] == [0]
    for start in ("", "soon", str(2**64)):  # none of them a number of 64 bits
        assert client.get(f"/blocks/{start}").json[0]["height"] == tip


def test_a_block_and_its_forms(client, story):
    block = story.big
    summary = client.get(f"/block/{block.hash_hex}").json
    height = story.chain.blocks.index(block)
    times = sorted(other.header.time for other in story.chain.blocks[height - 10 : height + 1])
    assert summary["height"] == height
    assert summary["tx_count"] == 31
    assert (summary["size"], summary["weight"]) == (block.size, block.weight)
    assert summary["previousblockhash"] == display_hash(block.header.prev_hash)
    assert summary["mediantime"] == times[5]
    assert client.get(f"/block/{block.hash_hex}/header").text == block.header.serialize().hex()
    raw = client.get(f"/block/{block.hash_hex}/raw")
    assert (raw.data, raw.content_type) == (block.serialize(), "application/octet-stream")
    assert client.get(f"/block/{block.hash_hex}/txids").json == [tx.txid_hex for tx in block.transactions]
    assert client.get(f"/block/{block.hash_hex}/txid/30").text == block.transactions[30].txid_hex
    answer = client.get(f"/block/{block.hash_hex}/txid/31")
    assert (answer.status_code, answer.text) == (404, "tx index out of range")


def test_the_genesis_block_has_no_previous_one(client):
    genesis = client.get(f"/block/{REGTEST.genesis.hash_hex}").json
    assert (genesis["height"], genesis["previousblockhash"]) == (0, None)


def test_a_blocks_transactions_come_in_pages_of_twenty_five(client, story):
    path = f"/block/{story.big.hash_hex}/txs"
    first, second = client.get(path).json, client.get(f"{path}/25").json
    assert [tx["txid"] for tx in first + second] == [tx.txid_hex for tx in story.big.transactions]
    assert len(first) == 25
    assert [tx["fee"] for tx in first[:3]] == [0, 1_000, 1_001]
    assert all(tx["status"]["block_hash"] == story.big.hash_hex for tx in first)
    for start, text in (("7", "start index must be a multiple of 25"), ("50", "start index out of range")):
        answer = client.get(f"{path}/{start}")
        assert (answer.status_code, answer.text) == (400, text)


def test_a_stale_block_is_known_and_its_transactions_are_unconfirmed(client, story):
    stale = story.stale.hash_hex
    assert client.get(f"/block/{stale}/status").json == {"in_best_chain": False, "height": None, "next_best": None}
    assert client.get(f"/block/{stale}").json["id"] == stale
    [coinbase] = client.get(f"/block/{stale}/txs").json
    assert coinbase["status"] == {"confirmed": False}
    answer = client.get(f"/tx/{coinbase['txid']}")
    assert (answer.status_code, answer.text) == (404, "Transaction not found")


def test_the_status_of_blocks(client, story):
    blocks = story.chain.blocks
    assert client.get(f"/block/{blocks[5].hash_hex}/status").json == {
        "in_best_chain": True,
        "height": 5,
        "next_best": blocks[6].hash_hex,
    }
    assert client.get(f"/block/{blocks[-1].hash_hex}/status").json["next_best"] is None
    assert client.get(f"/block/{UNKNOWN}/status").json["in_best_chain"] is False

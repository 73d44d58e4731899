"""Esplora's resources of addresses and script hashes over a real chain."""

from __future__ import annotations

import pytest

from shared.crypto.hashes import sha256
from tests.builders import key, p2wpkh
from tests.integration.explorer.conftest import COIN, address_of

UNKNOWN = "ab" * 32


def test_addresses_are_found_by_how_they_begin(client, story):
    alice = address_of("alice")
    for end in range(7, len(alice) + 1):
        assert alice in client.get(f"/address-prefix/{alice[:end]}").json
    assert client.get(f"/api/address-prefix/{alice[:14].upper()}").json == [alice]
    assert client.get("/address-prefix/bcrt1").json == sorted(address_of(name) for name in ("alice", "bob", "carol"))
    for nobody in ("bcrt1p", "m", "tb1q", alice[:-1] + "b", "0"):
        assert client.get(f"/address-prefix/{nobody}").json == []


@pytest.mark.parametrize("start", ["a*", "%20", "b" * 91, "%C3%A9"])
def test_what_no_address_begins_with_is_refused(client, start):
    answer = client.get(f"/address-prefix/{start}")
    assert answer.status_code == 400
    assert answer.text.startswith("Invalid address prefix: ")


def test_an_address_and_its_script_hash_say_the_same(client, story):
    bob = address_of("bob")
    by_address = client.get(f"/address/{bob}").json
    script = sha256(p2wpkh(key("bob"))).hex()
    by_script = client.get(f"/scripthash/{script}").json
    assert by_address.pop("address") == bob
    assert by_script.pop("scripthash") == script
    assert by_address == by_script
    assert by_address["chain_stats"] == {
        "tx_count": 31,
        "funded_txo_count": 31,
        "funded_txo_sum": 42 * COIN,
        "spent_txo_count": 0,
        "spent_txo_sum": 0,
    }
    assert by_address["mempool_stats"] == {
        "tx_count": 1,
        "funded_txo_count": 1,
        "funded_txo_sum": 10 * COIN - 5_000,
        "spent_txo_count": 1,
        "spent_txo_sum": 12 * COIN,
    }
    for rest in ("txs", "txs/chain", "txs/mempool", "utxo"):
        assert client.get(f"/address/{bob}/{rest}").json == client.get(f"/scripthash/{script}/{rest}").json


def test_an_unused_address_has_zeros(client):
    answer = client.get(f"/address/{address_of('nobody')}")
    assert answer.status_code == 200
    assert set(answer.json["chain_stats"].values()) == {0}
    for rest in ("txs", "txs/chain", "txs/mempool", "utxo"):
        assert client.get(f"/address/{address_of('nobody')}/{rest}").json == []


def test_a_history_is_walked_page_by_page_without_gap_or_repetition(client, story):
    path = f"/address/{address_of('bob')}/txs"
    first = client.get(path).json
    assert [tx["txid"] for tx in first[:1]] == [story.waiting.txid_hex]
    assert len(first) == 26
    second = client.get(f"{path}/chain/{first[-1]['txid']}").json
    assert len(second) == 6
    expected = [tx.txid_hex for tx in (*story.big.transactions[:0:-1], story.payment)]
    assert [tx["txid"] for tx in first[1:] + second] == expected
    assert client.get(f"{path}/chain/{second[-1]['txid']}").json == []
    assert client.get(f"{path}/chain/{UNKNOWN}").json == []
    assert client.get(f"{path}/chain/garbage").json == first[1:]
    assert client.get(f"{path}/mempool").json == first[:1]


def test_a_page_may_be_larger_where_it_is_asked_for(client, story):
    bob = address_of("bob")
    everything = client.get(f"/address/{bob}/txs/chain?max_txs=1000").json
    assert len(everything) == 31
    assert client.get(f"/address/{bob}/txs/chain").json == everything[:25]
    assert client.get(f"/address/{bob}/txs/chain/{everything[1]['txid']}?max_txs=2").json == everything[2:4]
    assert client.get(f"/address/{bob}/txs/chain?max_txs=x").json == everything[:25]
    assert len(client.get(f"/address/{address_of('carol')}/txs/mempool?max_txs=1").json) == 1


def test_unspent_outputs_include_the_pools_and_leave_out_what_it_spends(client, story):
    unspent = client.get(f"/address/{address_of('bob')}/utxo").json
    assert len(unspent) == 31
    outpoints = {(item["txid"], item["vout"]): item for item in unspent}
    assert (story.payment.txid_hex, 0) not in outpoints
    change = outpoints[(story.waiting.txid_hex, 1)]
    assert change == {
        "txid": story.waiting.txid_hex,
        "vout": 1,
        "status": {"confirmed": False},
        "value": 10 * COIN - 5_000,
    }
    confirmed = outpoints[(story.big.transactions[1].txid_hex, 0)]
    assert confirmed["status"]["block_hash"] == story.big.hash_hex


def test_too_many_unspent_outputs_are_refused_before_they_are_read(client, monkeypatch):
    path = f"/address/{address_of('bob')}/utxo"
    monkeypatch.setattr("services.explorer.api.esplora.scripts.MAX_COINS", 31)
    assert len(client.get(path).json) == 31
    monkeypatch.setattr("services.explorer.api.esplora.scripts.MAX_COINS", 30)
    monkeypatch.setattr("shared.chain.view.scripts.ScriptReader.unspent", lambda *_: pytest.fail("they were read"))
    answer = client.get(path)
    text = "Too many unspent transaction outputs (>30). Contact support to raise limits."
    assert (answer.status_code, answer.text) == (400, text)

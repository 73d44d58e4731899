"""The node's port over a real chain: mined blocks and submitted transactions can be read at once."""

from __future__ import annotations

import http.client
import threading
from base64 import b64encode
from decimal import Decimal

import pytest

from shared.consensus.params import REGTEST
from shared.crypto.address import encode_address
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction
from tests import builders
from tests.integration.rpc.conftest import RunningNode

ALICE, BOB = builders.key("alice"), builders.key("bob")


def address(owner: builders.PrivateKey) -> str:
    encoded = encode_address(builders.p2wpkh(owner), REGTEST.address)
    assert encoded is not None
    return encoded


def first_coin(node: RunningNode) -> builders.Spendable:
    """A mature reward of alice's."""
    hashes = node.call("generatetoaddress", 101, address(ALICE))
    block = Block.parse(bytes.fromhex(node.call("getblock", hashes[0], 0)))
    return builders.output_of(block.transactions[0], 0, ALICE)


def raw(tx: Transaction) -> str:
    return tx.serialize().hex()


def test_a_payment_from_generating_to_its_confirmation(node: RunningNode) -> None:
    coin = first_coin(node)
    assert node.call("getblockcount") == 101
    tx = builders.pay(coin, BOB, 4_000_000_000, fee=2_000)
    (tested,) = node.call("testmempoolaccept", [raw(tx)])
    assert (tested["allowed"], tested["vsize"], tested["fees"]["base"]) == (True, tx.vsize, Decimal("0.00002000"))
    assert node.call("getrawmempool") == []

    assert node.call("sendrawtransaction", raw(tx)) == tx.txid_hex
    assert node.call("getrawmempool") == [tx.txid_hex]
    assert node.call("sendrawtransaction", raw(tx)) == tx.txid_hex
    assert node.call("getmempoolinfo")["size"] == 1
    entry = node.call("getmempoolentry", tx.txid_hex)
    assert (entry["vsize"], entry["fees"]["base"]) == (tx.vsize, Decimal("0.00002000"))
    assert node.call("gettxout", coin.outpoint.txid[::-1].hex(), 0) is None

    (block_hash,) = node.call("generatetoaddress", 1, address(BOB))
    assert node.call("getrawmempool") == []
    block = node.call("getblock", block_hash, 2)
    assert [shown["txid"] for shown in block["tx"]][1:] == [tx.txid_hex]
    assert block["tx"][0]["vout"][0]["value"] == Decimal("50.00002000")
    assert block["tx"][1]["fee"] == Decimal("0.00002000")
    shown = node.call("getrawtransaction", tx.txid_hex, 2)
    assert (shown["blockhash"], shown["confirmations"]) == (block_hash, 1)
    assert shown["vin"][0]["prevout"]["generated"] is True
    assert node.call("gettxout", tx.txid_hex, 0)["scriptPubKey"]["address"] == address(BOB)
    assert node.error("sendrawtransaction", raw(tx)) == (-27, "Transaction outputs already in utxo set")
    info = node.call("getblockchaininfo")
    assert (info["blocks"], info["bestblockhash"]) == (102, block_hash)


def test_a_transaction_is_shown_alike_by_its_index_its_block_and_from_a_block_off_the_chain(node: RunningNode) -> None:
    coin = first_coin(node)
    txs = [builders.pay(coin, BOB, 4_000_000_000, fee=2_000)]
    txs.append(builders.pay(builders.output_of(txs[0], 0, BOB), ALICE, 3_000_000_000, fee=3_000))
    for tx in txs:
        node.call("sendrawtransaction", raw(tx))
        assert node.call("getrawtransaction", tx.txid_hex) == raw(tx)
        assert "blockhash" not in node.call("getrawtransaction", tx.txid_hex, 2)
    (block_hash,) = node.call("generatetoaddress", 1, address(BOB))
    block = node.call("getblock", block_hash, 3)
    short = node.call("getblock", block_hash, 1)
    assert short == block | {"tx": [shown["txid"] for shown in block["tx"]]}
    on_chain = {"blockhash": block_hash, "confirmations": 1, "time": block["time"], "blocktime": block["time"]}
    for shown in block["tx"]:
        txid = shown["txid"]
        assert node.call("getrawtransaction", txid, 2) == shown | on_chain
        assert node.call("getrawtransaction", txid, 2, block_hash) == {"in_active_chain": True} | shown | on_chain
        assert node.call("getrawtransaction", txid, 0, block_hash) == shown["hex"]
        assert node.error("getrawtransaction", txid, 0, node.call("getblockhash", 1))[0] == -5
    node.call("invalidateblock", block_hash)
    off_chain = {"blockhash": block_hash, "confirmations": 0, "in_active_chain": False}
    for shown in block["tx"]:
        assert node.call("getrawtransaction", shown["txid"], 2, block_hash) == shown | off_chain
    assert node.call("getrawtransaction", txs[0].txid_hex) == raw(txs[0]), "it is in the pool again"
    assert node.call("getblock", block_hash, 1)["tx"] == short["tx"]


def test_refusals_have_bitcoinds_codes(node: RunningNode) -> None:
    coin = first_coin(node)
    parent = builders.pay(coin, BOB, 4_000_000_000)
    child = builders.pay(builders.output_of(parent, 0, BOB), ALICE, 1_000_000_000)
    missing = node.error("sendrawtransaction", raw(builders.pay(builders.output_of(child, 0, ALICE), BOB, 1_000)))
    assert missing == (-25, "bad-txns-inputs-missingorspent")
    code, message = node.error("sendrawtransaction", raw(builders.pay(coin, BOB, 4_000_000_000, fee=0)))
    assert (code, message.split(",")[0]) == (-26, "min relay fee not met")
    code, message = node.error("sendrawtransaction", raw(builders.pay(coin, BOB, 1_000_000_000, fee=1_000_000_000)))
    assert (code, message) == (-25, "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)")
    thief = builders.Spendable(coin.outpoint, coin.output, BOB)
    code, message = node.error("sendrawtransaction", raw(builders.pay(thief, BOB, 1_000)))
    assert code == -26
    assert message.startswith("mempool-script-verify-flag-failed (Script failed an OP_EQUALVERIFY operation)")
    node.call("sendrawtransaction", raw(parent))
    rival = builders.pay(coin, ALICE, 1_000_000_000)
    assert node.error("sendrawtransaction", raw(rival)) == (
        -26,
        f"insufficient fee, rejecting replacement {rival.txid_hex}, not enough additional fees to relay; "
        "0.00 < 0.00000015",
    )


def test_a_batch_acts_in_order(node: RunningNode) -> None:
    coin = first_coin(node)
    chain = [builders.pay(coin, ALICE, 4_000_000_000)]
    for _ in range(9):
        previous = builders.output_of(chain[-1], 0, ALICE)
        chain.append(builders.pay(previous, ALICE, previous.output.value - 2_000))
    calls = [{"jsonrpc": "2.0", "method": "sendrawtransaction", "params": [raw(tx)], "id": tx.txid_hex} for tx in chain]
    pool = {"jsonrpc": "2.0", "method": "getrawmempool", "id": "pool"}
    replies = node.rpc([*calls[:5], pool, *calls[5:], pool])
    assert [reply["id"] for reply in replies if reply["id"] != "pool"] == [tx.txid_hex for tx in chain]
    assert [reply["result"] for reply in replies if reply["id"] != "pool"] == [tx.txid_hex for tx in chain]
    first, second = (reply["result"] for reply in replies if reply["id"] == "pool")
    assert first == [tx.txid_hex for tx in chain[:5]]
    assert second == [tx.txid_hex for tx in chain]
    entry = node.call("getmempoolentry", chain[4].txid_hex)
    assert (entry["ancestorcount"], entry["descendantcount"]) == (5, 6)


def test_submitted_blocks(node: RunningNode) -> None:
    best = builders.make_block(REGTEST.genesis.header, 1, builders.p2wpkh(ALICE))
    side = builders.make_block(REGTEST.genesis.header, 1, builders.p2wpkh(BOB), tag=b"side")
    orphan = builders.make_block(side.header, 2, builders.p2wpkh(BOB))
    greedy = builders.make_block(best.header, 2, builders.p2wpkh(ALICE), fees=1)
    assert node.call("submitblock", best.serialize().hex()) is None
    assert node.call("getbestblockhash") == best.hash_hex
    assert node.call("submitblock", best.serialize().hex()) == "duplicate"
    assert node.call("submitblock", orphan.serialize().hex()) == "prev-blk-not-found"
    assert node.call("submitblock", side.serialize().hex()) == "inconclusive"
    assert node.call("getblock", side.hash_hex)["confirmations"] == -1
    assert node.call("submitblock", greedy.serialize().hex()) == "bad-cb-amount"
    assert node.call("submitblock", greedy.serialize().hex()) == "duplicate-invalid"
    assert node.call("submitblock", orphan.serialize().hex()) is None
    assert node.call("getbestblockhash") == orphan.hash_hex
    assert node.call("getblock", best.hash_hex)["confirmations"] == -1
    assert node.error("submitblock", "00") == (-22, "Block decode failed")


def test_the_mine_call_answers_when_the_blocks_are_on_the_chain(node: RunningNode) -> None:
    status, body = node.post(f"/mine?blocks=2&address={address(ALICE)}", b"")
    assert status == 200
    assert b'"message":"success"' in body
    assert node.call("getbestblockhash").encode() in body
    assert node.call("getblockcount") == 2


@pytest.mark.parametrize("path", ["/", "/mine"])
def test_a_body_over_the_limit_is_refused_at_the_door(node: RunningNode, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", node.server.port, timeout=30)
    connection.putrequest("POST", path)
    connection.putheader("Content-Length", str(64 * 1024 * 1024))
    connection.putheader("Authorization", f"Basic {b64encode(node.cookie.encode()).decode()}")
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    assert node.call("getblockcount") == 0


def test_calls_from_many_clients_at_once(node: RunningNode) -> None:
    results: list[int] = []

    def ask() -> None:
        results.extend(node.call("getblockcount") for _ in range(10))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [0] * 160


def test_stop_is_answered_before_the_node_stops(node: RunningNode) -> None:
    assert node.call("stop") == "Warren stopping"
    assert node.stop.is_set()

"""The chain as bitcoind shows it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from shared.primitives.transaction import OutPoint
from tests import builders
from tests.unit.rpc.conftest import ALICE, BOB, FEE, Chain, Rpc, parse

GENESIS = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
GENESIS_TX = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
UNKNOWN = "11" * 32


def test_the_tip(rpc: Rpc, chain: Chain) -> None:
    assert rpc.call("getblockcount") == 3
    assert rpc.call("getbestblockhash") == chain.blocks[3].hash_hex
    assert rpc.call("getblockhash", 0) == GENESIS
    assert rpc.call("getdifficulty") == Decimal("4.656542373906925e-10")


@pytest.mark.parametrize("height", [-1, 4, 1 << 30])
def test_a_height_beyond_the_chain_is_out_of_range(rpc: Rpc, height: int) -> None:
    assert rpc.error("getblockhash", height) == (-8, "Block height out of range")


def test_the_genesis_block_is_what_bitcoind_prints(rpc: Rpc, chain: Chain) -> None:
    assert rpc.call("getblock", GENESIS) == {
        "hash": GENESIS,
        "confirmations": 4,
        "height": 0,
        "version": 1,
        "versionHex": "00000001",
        "merkleroot": GENESIS_TX,
        "time": 1296688602,
        "mediantime": 1296688602,
        "nonce": 2,
        "bits": "207fffff",
        "target": "7fffff" + "00" * 29,
        "difficulty": Decimal("4.656542373906925e-10"),
        "chainwork": "0000000000000000000000000000000000000000000000000000000000000002",
        "nTx": 1,
        "nextblockhash": chain.blocks[1].hash_hex,
        "strippedsize": 285,
        "size": 285,
        "weight": 1140,
        "tx": [GENESIS_TX],
    }


def test_the_fields_of_a_block_are_in_bitcoinds_order(rpc: Rpc, chain: Chain) -> None:
    fields = list(rpc.call("getblock", chain.blocks[1].hash_hex))
    assert fields == [
        "hash", "confirmations", "height", "version", "versionHex", "merkleroot", "time", "mediantime", "nonce", "bits",
        "target", "difficulty", "chainwork", "nTx", "previousblockhash", "nextblockhash", "strippedsize", "size",
        "weight", "tx",
    ]  # fmt: skip


@pytest.mark.parametrize("level", [0, False])
def test_verbosity_0_is_the_raw_block(rpc: Rpc, chain: Chain, level: object) -> None:
    assert rpc.call("getblock", chain.blocks[3].hash_hex, level) == chain.blocks[3].serialize().hex()


def test_verbosity_1_names_the_transactions(rpc: Rpc, chain: Chain) -> None:
    tip = chain.blocks[3]
    for level in (1, True):
        block = rpc.call("getblock", tip.hash_hex, level)
        assert block["tx"] == [tx.txid_hex for tx in tip.transactions]
    assert block["confirmations"] == 1
    assert block["previousblockhash"] == chain.blocks[2].hash_hex
    assert "nextblockhash" not in block


def test_verbosity_2_has_fees_and_3_the_outputs_spent(rpc: Rpc, chain: Chain) -> None:
    coinbase, payment = rpc.call("getblock", chain.blocks[3].hash_hex, 2)["tx"]
    assert "fee" not in coinbase
    assert coinbase["vin"][0]["coinbase"] == chain.blocks[3].transactions[0].inputs[0].script_sig.hex()
    assert payment["fee"] == Decimal("0.00001234")
    assert "prevout" not in payment["vin"][0]
    assert payment["hex"] == chain.payment.serialize().hex()
    payment = rpc.call("getblock", chain.blocks[3].hash_hex, 3)["tx"][1]
    prevout = payment["vin"][0]["prevout"]
    assert (prevout["generated"], prevout["height"], prevout["value"]) == (True, 1, Decimal("50.00000000"))
    assert prevout["scriptPubKey"]["hex"] == builders.p2wpkh(ALICE).hex()


def test_amounts_are_numbers_with_eight_decimals(rpc: Rpc, chain: Chain) -> None:
    body = rpc.post({"method": "getblock", "params": [chain.blocks[1].hash_hex, 2]}).data
    assert b'"value":50.00000000,' in body
    assert b'"value":0.00000000,' in body


def test_a_block_off_the_best_chain_has_minus_one_confirmations(rpc: Rpc, chain: Chain) -> None:
    side = builders.make_block(chain.blocks[1].header, 2, builders.p2wpkh(BOB), tag=b"side", time=1296688700)
    chain.view.add_side_block(side, 2)
    block = rpc.call("getblock", side.hash_hex)
    assert block["confirmations"] == -1
    assert "nextblockhash" not in block
    times = sorted([chain.blocks[0].header.time, chain.blocks[1].header.time, side.header.time])
    assert block["mediantime"] == times[1]


def test_the_median_time_is_of_eleven_blocks(rpc: Rpc, chain: Chain) -> None:
    blocks = list(chain.blocks)
    for height in range(4, 15):
        blocks.append(builders.make_block(blocks[-1].header, height, builders.p2wpkh(ALICE)))
        chain.view.connect(blocks[-1])
    header = rpc.call("getblockheader", blocks[14].hash_hex)
    assert header["mediantime"] == blocks[9].header.time


def test_a_header_as_object_and_as_hex(rpc: Rpc, chain: Chain) -> None:
    block_hash = chain.blocks[2].hash_hex
    header = rpc.call("getblockheader", block_hash)
    assert header == rpc.call("getblockheader", block_hash, True)
    assert header["nTx"] == 1
    assert "tx" not in header
    assert rpc.call("getblockheader", block_hash, False) == chain.blocks[2].header.serialize().hex()


@pytest.mark.parametrize("method", ["getblock", "getblockheader"])
def test_a_block_that_nobody_knows_is_not_found(rpc: Rpc, method: str) -> None:
    assert rpc.error(method, UNKNOWN) == (-5, "Block not found")


@pytest.mark.parametrize(("method", "name"), [("getblock", "blockhash"), ("getblockheader", "hash")])
def test_a_bad_hash_is_named(rpc: Rpc, method: str, name: str) -> None:
    assert rpc.error(method, "12") == (-8, f"{name} must be of length 64 (not 2, for '12')")
    bad = "zz" * 32
    assert rpc.error(method, bad) == (-8, f"{name} must be hexadecimal string (not '{bad}')")


def test_the_state_of_the_chain(rpc: Rpc, chain: Chain) -> None:
    tip = chain.blocks[3]
    assert rpc.call("getblockchaininfo") == {
        "chain": "regtest",
        "blocks": 3,
        "headers": 3,
        "bestblockhash": tip.hash_hex,
        "bits": "207fffff",
        "target": "7fffff" + "00" * 29,
        "difficulty": Decimal("4.656542373906925e-10"),
        "time": tip.header.time,
        "mediantime": chain.blocks[2].header.time,
        "verificationprogress": 1,
        "initialblockdownload": False,
        "chainwork": f"{8:064x}",
        "size_on_disk": sum(block.size for block in chain.blocks),
        "pruned": False,
        "warnings": [],
    }
    following = builders.make_block(tip.header, 4, builders.p2wpkh(ALICE))
    chain.view.connect(following)
    size = sum(block.size for block in (*chain.blocks, following))
    assert rpc.call("getblockchaininfo")["size_on_disk"] == size


def test_a_confirmed_coin(rpc: Rpc, chain: Chain) -> None:
    reward = chain.blocks[2].transactions[0]
    assert rpc.call("gettxout", reward.txid_hex, 0) == {
        "bestblock": chain.blocks[3].hash_hex,
        "confirmations": 2,
        "value": Decimal("50.00000000"),
        "scriptPubKey": {
            "asm": f"0 {ALICE.public_key.hash160.hex()}",
            "desc": rpc.call("gettxout", reward.txid_hex, 0)["scriptPubKey"]["desc"],
            "hex": builders.p2wpkh(ALICE).hex(),
            "address": rpc.call("gettxout", reward.txid_hex, 0)["scriptPubKey"]["address"],
            "type": "witness_v0_keyhash",
        },
        "coinbase": True,
    }


def test_a_coin_that_the_pool_spends_or_makes(rpc: Rpc, chain: Chain) -> None:
    coin = builders.output_of(chain.payment, 0, BOB)
    tx = builders.pay(coin, ALICE, 400_000_000, FEE)
    chain.view.add_to_pool(tx, FEE)
    assert rpc.call("gettxout", chain.payment.txid_hex, 0) is None
    assert rpc.call("gettxout", chain.payment.txid_hex, 0, False)["value"] == Decimal("10.00000000")
    made = rpc.call("gettxout", tx.txid_hex, 0)
    assert (made["confirmations"], made["value"], made["coinbase"]) == (0, Decimal("4.00000000"), False)
    assert rpc.call("gettxout", tx.txid_hex, 0, False) is None


def test_a_coin_that_was_never_there_is_null(rpc: Rpc, chain: Chain) -> None:
    assert rpc.call("gettxout", UNKNOWN, 0) is None
    assert rpc.call("gettxout", chain.payment.txid_hex, 99) is None
    spent = OutPoint(chain.blocks[1].transactions[0].txid, 0)
    assert rpc.call("gettxout", chain.blocks[1].transactions[0].txid_hex, spent.vout) is None


def test_redis_away_is_a_state_that_passes(rpc: Rpc, chain: Chain) -> None:
    chain.view.away = True
    code, message = rpc.error("getblockcount")
    assert code == -28
    assert "Redis is away" in message
    assert rpc.post({"method": "getblockcount"}).headers["Retry-After"] == "1"
    assert "Retry-After" not in rpc.post({"method": "no such method"}).headers
    assert parse(rpc.post({"method": "uptime"}).data)["result"] >= 0

"""Esplora's answers as they are sent: fields, their order, and what is left out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from services.explorer.api.answer import Answer
from services.explorer.api.esplora.build import (
    block_in_chain_of,
    block_of,
    inner_scripts,
    script_type,
    spend_of,
    stats_of,
    transaction_of,
)
from services.explorer.chain.models import BlockInfo, Outspend, TxInfo
from shared.chain.codec import BlockEntry, BlockStatus, Spend
from shared.chain.view import ScriptStats
from shared.consensus.params import REGTEST
from shared.crypto.address import REGTEST_PREFIX
from shared.crypto.hashes import hash160, sha256
from shared.primitives.transaction import OutPoint, TxIn, TxOut
from shared.script.script import push_data
from shared.script.standard import p2sh_script, p2wpkh_script, p2wsh_script
from tests.builders import Spendable, key, p2wpkh, pay

GENESIS = REGTEST.genesis


def sent(answer: Answer) -> Any:
    return json.loads(msgspec.json.encode(answer))


ENTRY = BlockEntry(
    header=GENESIS.header,
    height=0,
    chain_work=2,
    status=BlockStatus.HAVE_DATA,
    tx_count=1,
    size=285,
    weight=1140,
    chain_tx_count=1,
    arrival=0,
)
GENESIS_HEX = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"


def test_a_block_has_esploras_fields_in_its_order():
    assert list(sent(block_of(BlockInfo(ENTRY, 1296688602, True, None))).items()) == list(
        {
            "id": GENESIS_HEX,
            "height": 0,
            "version": 1,
            "timestamp": 1296688602,
            "tx_count": 1,
            "size": 285,
            "weight": 1140,
            "merkle_root": "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
            "previousblockhash": None,
            "mediantime": 1296688602,
            "nonce": 2,
            "bits": 0x207FFFFF,
            "difficulty": 4.6565423739069247e-10,
        }.items()
    )


def test_the_status_of_a_block_off_the_best_chain_says_only_that():
    nothing = {"in_best_chain": False, "height": None, "next_best": None}
    assert sent(block_in_chain_of(None)) == nothing
    assert sent(block_in_chain_of(BlockInfo(ENTRY, 0, False, None))) == nothing
    assert block_in_chain_of(BlockInfo(ENTRY, 0, True, GENESIS.hash)).next_best == GENESIS_HEX


def test_a_coinbase_spends_nothing_and_pays_no_fee():
    tx = sent(transaction_of(TxInfo(GENESIS.transactions[0], {}, ENTRY), REGTEST_PREFIX))
    assert tx["fee"] == 0
    [txin] = tx["vin"]
    assert txin["is_coinbase"]
    assert txin["prevout"] is None
    assert (txin["txid"], txin["vout"]) == ("00" * 32, 0xFFFFFFFF)
    assert "witness" not in txin
    [output] = tx["vout"]
    assert output["scriptpubkey_type"] == "p2pk"
    assert "scriptpubkey_address" not in output
    assert tx["status"] == {
        "confirmed": True,
        "block_height": 0,
        "block_hash": GENESIS_HEX,
        "block_time": 1296688602,
    }


def test_a_payment_shows_what_it_spends():
    alice, bob = key("alice"), key("bob")
    coin = Spendable(OutPoint(b"\x01" + bytes(31), 7), TxOut(100_000, p2wpkh(alice)), alice)
    payment = pay(coin, bob, 60_000, fee=1_000)
    tx = sent(transaction_of(TxInfo(payment, {coin.outpoint: coin.output}), REGTEST_PREFIX))
    assert tx["txid"] == payment.txid_hex
    assert tx["fee"] == 1_000
    assert (tx["size"], tx["weight"]) == (payment.size, payment.weight)
    assert tx["status"] == {"confirmed": False}
    [txin] = tx["vin"]
    assert (txin["txid"], txin["vout"]) == ("00" * 31 + "01", 7)
    assert txin["prevout"]["value"] == 100_000
    assert txin["prevout"]["scriptpubkey_type"] == "v0_p2wpkh"
    assert txin["prevout"]["scriptpubkey_address"].startswith("bcrt1q")
    assert len(txin["witness"]) == 2
    assert txin["scriptsig"] == txin["scriptsig_asm"] == ""
    program = alice.public_key.hash160.hex()
    assert txin["prevout"]["scriptpubkey_asm"] == f"OP_0 OP_PUSHBYTES_20 {program}"
    assert [output["value"] for output in tx["vout"]] == [60_000, 39_000]


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("", "empty"),
        ("6a", "op_return"),
        ("6a04deadbeef", "op_return"),
        ("6aff", "op_return"),
        ("76a914" + "11" * 20 + "88ac", "p2pkh"),
        ("a914" + "11" * 20 + "87", "p2sh"),
        ("0014" + "11" * 20, "v0_p2wpkh"),
        ("0020" + "11" * 32, "v0_p2wsh"),
        ("5120" + "11" * 32, "v1_p2tr"),
        ("21" + "02" * 33 + "ac", "p2pk"),
        ("51024e73", "unknown"),
        ("5220" + "11" * 32, "unknown"),
        ("51", "unknown"),
        ("51" * 10_001, "provably_unspendable"),
    ],
)
def test_script_types_have_esploras_names(script, name):
    assert script_type(bytes.fromhex(script)) == name


def test_inner_scripts_of_nested_witness_are_shown():
    witness_script = b"\x51"
    program = p2wsh_script(sha256(witness_script))
    txin = TxIn(OutPoint(bytes(32), 0), push_data(program), witness=(b"\x01", witness_script))
    assert inner_scripts(txin, TxOut(1, p2sh_script(hash160(program)))) == (program, witness_script)


def test_a_key_path_has_no_inner_script():
    txin = TxIn(OutPoint(bytes(32), 0), b"", witness=(b"signature", b"key"))
    assert inner_scripts(txin, TxOut(1, p2wpkh_script(bytes(20)))) == (None, None)
    assert inner_scripts(txin, None) == (None, None)


def test_a_broken_script_sig_has_no_redeem_script():
    for script_sig in (b"", b"\x4c", b"\x05\x01"):
        assert inner_scripts(TxIn(OutPoint(bytes(32), 0), script_sig), TxOut(1, p2sh_script(bytes(20)))) == (None, None)


def test_counters_have_esploras_names():
    assert sent(stats_of(ScriptStats(5, 4, 300, 2, 100))) == {
        "tx_count": 5,
        "funded_txo_count": 4,
        "funded_txo_sum": 300,
        "spent_txo_count": 2,
        "spent_txo_sum": 100,
    }


def test_an_output_that_nothing_spends_says_only_that():
    assert sent(spend_of(None)) == {"spent": False}
    assert sent(spend_of(Outspend(Spend(b"\x02" + bytes(31), 3), None))) == {
        "spent": True,
        "txid": "00" * 31 + "02",
        "vin": 3,
        "status": {"confirmed": False},
    }

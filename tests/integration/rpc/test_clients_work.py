"""Methods that read the whole node's state: proofs, coins, templates and stored blocks, on real Redis."""

from __future__ import annotations

from decimal import Decimal

from shared.primitives.block import Block
from shared.primitives.transaction import TxOut
from tests import builders
from tests.integration.rpc.conftest import RunningNode
from tests.integration.rpc.test_node import ALICE, BOB, address, first_coin, raw

SEGWIT = {"rules": ["segwit"]}


def test_the_set_of_coins(node: RunningNode) -> None:
    coin = first_coin(node)
    info = node.call("gettxoutsetinfo")
    assert (info["height"], info["txouts"], info["total_amount"]) == (101, 101, Decimal("5050"))
    tx = builders.pay(coin, BOB, 4_000_000_000, fee=2_000)
    node.call("sendrawtransaction", raw(tx))
    node.call("generatetoaddress", 1, address(ALICE))
    after = node.call("gettxoutsetinfo", "muhash")
    assert (after["txouts"], after["transactions"]) == (103, 102)
    assert after["total_amount"] == Decimal("5100")
    found = node.call("scantxoutset", "start", [f"addr({address(BOB)})"])
    assert [(coin["txid"], coin["amount"]) for coin in found["unspents"]] == [(tx.txid_hex, Decimal("40"))]


def test_a_block_of_a_template_is_accepted(node: RunningNode) -> None:
    coin = first_coin(node)
    tx = builders.pay(coin, BOB, 4_000_000_000, fee=2_000)
    node.call("sendrawtransaction", raw(tx))
    template = node.call("getblocktemplate", SEGWIT)
    assert [entry["txid"] for entry in template["transactions"]] == [tx.txid_hex]
    tip = Block.parse(bytes.fromhex(node.call("getblock", template["previousblockhash"], 0)))
    block = builders.make_block(
        tip.header, template["height"], builders.p2wpkh(ALICE), [tx], fees=2_000, time=template["curtime"]
    )
    assert block.transactions[0].outputs[-1].script_pubkey.hex() == template["default_witness_commitment"]
    assert block.transactions[0].outputs[0].value == template["coinbasevalue"]
    assert f"{block.header.bits:08x}" == template["bits"]
    assert node.call("submitblock", block.serialize().hex()) is None
    assert node.call("waitforblock", block.hash_hex, 5_000)["hash"] == block.hash_hex
    assert node.call("verifytxoutproof", node.call("gettxoutproof", [tx.txid_hex])) == [tx.txid_hex]


def test_stored_blocks_are_sound(node: RunningNode) -> None:
    coin = first_coin(node)
    node.call("sendrawtransaction", raw(builders.pay(coin, BOB, 4_000_000_000)))
    node.call("generatetoaddress", 1, address(ALICE))
    assert node.call("verifychain", 4, 0) is True
    (tip,) = node.call("getchaintips")
    assert (tip["height"], tip["status"]) == (102, "active")
    assert node.call("getchaintxstats")["txcount"] == 104
    assert node.call("getblockstats", 102)["totalfee"] == 1_000


def test_orders_move_the_chain_and_the_clock(node: RunningNode) -> None:
    hashes = node.call("generatetoaddress", 3, address(ALICE))
    node.call("invalidateblock", hashes[1])
    assert node.call("getbestblockhash") == hashes[0]
    assert [tip["status"] for tip in node.call("getchaintips")] == ["invalid", "active"]
    node.call("reconsiderblock", hashes[1])
    assert node.call("getbestblockhash") == hashes[2]
    node.call("setmocktime", 2_000_000_000)
    (mined,) = node.call("generatetoaddress", 1, address(ALICE))
    assert node.call("getblockheader", mined)["time"] == 2_000_000_000
    node.call("setmocktime", 0)


def test_a_proposal_and_a_block_of_chosen_transactions(node: RunningNode) -> None:
    coin = first_coin(node)
    tx = builders.pay(coin, BOB, 4_000_000_000, fee=2_000)
    made = node.call("generateblock", address(ALICE), [raw(tx)], False)
    assert node.call("getblocktemplate", {"mode": "proposal", "data": made["hex"]}) is None
    assert node.call("getblockcount") == 101
    mined = node.call("generateblock", address(ALICE), [raw(tx)])
    block = node.call("getblock", mined["hash"], 1)
    assert block["tx"][1:] == [tx.txid_hex]


def test_a_package_and_a_priority(node: RunningNode) -> None:
    coin = first_coin(node)
    parent = builders.pay(coin, BOB, 4_000_000_000)
    child = builders.pay(builders.output_of(parent, 0, BOB), ALICE, 1_000_000_000)
    result = node.call("submitpackage", [raw(parent), raw(child)])
    assert result["package_msg"] == "success"
    assert {entry["txid"] for entry in result["tx-results"].values()} == {parent.txid_hex, child.txid_hex}
    assert node.call("prioritisetransaction", parent.txid_hex, 0, 5_000) is True
    assert node.call("getmempoolentry", parent.txid_hex)["fees"]["modified"] == Decimal("0.00006000")
    code, message = node.error("submitpackage", [raw(child), raw(parent)])
    assert (code, message.split(".")[0]) == (-25, "package topology disallowed")


def test_a_fee_is_bumped(node: RunningNode) -> None:
    coin = first_coin(node)
    quiet = TxOut(coin.output.value - 1_000, builders.p2wpkh(BOB))
    old = builders.spend([coin], [quiet], sequence=0xFFFFFFFF)
    node.call("sendrawtransaction", raw(old))
    assert node.call("getmempoolentry", old.txid_hex)["bip125-replaceable"] is False
    info = node.call("getmempoolinfo")
    assert (info["fullrbf"], info["incrementalrelayfee"]) == (True, Decimal("0.00000100"))
    assert (info["limitclustercount"], info["limitclustersize"]) == (64, 101_000)

    poor, rich = (builders.pay(coin, BOB, 4_000_000_000, fee=fee) for fee in (1_000, 5_000))
    text = (
        f"insufficient fee, rejecting replacement {poor.txid_hex}, "
        "not enough additional fees to relay; 0.00 < 0.00000015"
    )
    assert node.error("sendrawtransaction", raw(poor)) == (-26, text)
    [tried] = node.call("testmempoolaccept", [raw(poor)])
    assert (tried["allowed"], tried["reject-reason"], tried["reject-details"]) == (False, "insufficient fee", text)
    assert node.call("testmempoolaccept", [raw(rich)])[0]["allowed"] is True
    assert node.call("getrawmempool") == [old.txid_hex]

    assert node.call("sendrawtransaction", raw(rich)) == rich.txid_hex
    assert node.call("getrawmempool") == [rich.txid_hex]
    assert node.error("getrawtransaction", old.txid_hex)[0] == -5
    assert node.call("getmempoolentry", rich.txid_hex)["bip125-replaceable"] is True


def test_a_package_replaces_and_says_what(node: RunningNode) -> None:
    coin = first_coin(node)
    old = builders.pay(coin, BOB, 4_000_000_000, fee=2_000)
    node.call("sendrawtransaction", raw(old))
    parent = builders.pay(coin, BOB, 3_000_000_000, fee=0)
    child = builders.pay(builders.output_of(parent, 0, BOB), ALICE, 1_000_000_000, fee=1_500)
    result = node.call("submitpackage", [raw(parent), raw(child)])
    assert result["package_msg"] == (
        f"package RBF failed: insufficient anti-DoS fees, rejecting replacement {child.txid_hex}, "
        "less fees than conflicting txs; 0.000015 < 0.00002"
    )
    assert result["replaced-transactions"] == []
    child = builders.pay(builders.output_of(parent, 0, BOB), ALICE, 1_000_000_000, fee=9_000)
    result = node.call("submitpackage", [raw(parent), raw(child)])
    assert (result["package_msg"], result["replaced-transactions"]) == ("success", [old.txid_hex])
    assert node.call("getrawmempool") == [parent.txid_hex, child.txid_hex]

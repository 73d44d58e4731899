"""Templates, single blocks, orders about work, and the families of the pool."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest

from shared.bus.events import (
    BlockMined,
    BlockVerdict,
    ChainControl,
    ControlAction,
    ControlResult,
    MineRequested,
    MineResult,
    TemplateRequested,
    TxSubmitted,
    TxVerdict,
    TxVerdicts,
)
from shared.primitives.block import Block
from tests import builders
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.rpc.conftest import ALICE, BOB, Chain, Rpc, work_on

SEGWIT = {"rules": ["segwit"]}
SCRIPT = builders.p2wpkh(BOB).hex()


def family(chain: Chain) -> list[builders.Transaction]:
    """A payment and two that follow it, in the pool."""
    txs = [builders.pay(builders.output_of(chain.payment, 0, BOB), BOB, 900_000_000, 1_000)]
    for fee in (5_000, 2_000):
        txs.append(builders.pay(builders.output_of(txs[-1], 0, BOB), BOB, txs[-1].outputs[0].value - 10_000_000, fee))
    for tx, fee in zip(txs, (1_000, 5_000, 2_000), strict=True):
        chain.view.add_to_pool(tx, fee)
    return txs


def test_a_template_is_the_writers(rpc: Rpc, chain: Chain, broker: FakeBroker) -> None:
    template = work_on(chain, family(chain))
    broker.answers[TemplateRequested] = lambda message: template
    shown = rpc.call("getblocktemplate", SEGWIT)
    assert shown == json.loads(msgspec.json.encode(template))
    assert [tx["depends"] for tx in shown["transactions"]] == [[], [1], [2]]
    assert rpc.call("getblocktemplate", {"mode": "template", "rules": ["segwit", "csv"]}) == shown
    assert broker.published == [TemplateRequested()] * 2


def test_a_long_poll_ends_with_a_new_block(rpc: Rpc, chain: Chain, broker: FakeBroker) -> None:
    broker.answers[TemplateRequested] = lambda message: work_on(chain)
    known = rpc.call("getblocktemplate", SEGWIT)["longpollid"]
    chain.view.connect(builders.make_block(chain.blocks[-1].header, 4, builders.p2wpkh(ALICE)))
    assert rpc.call("getblocktemplate", {**SEGWIT, "longpollid": known})["height"] == 5


def test_a_proposal_is_judged_by_the_writer(rpc: Rpc, chain: Chain, broker: FakeBroker) -> None:
    block = builders.make_block(chain.blocks[-1].header, 4, builders.p2wpkh(ALICE))
    raw = block.serialize().hex()
    broker.answers[BlockMined] = lambda message: BlockVerdict(hash=block.hash_hex, accepted=True)
    assert rpc.call("getblocktemplate", {"mode": "proposal", "data": raw}) is None
    assert broker.published[-1] == BlockMined(block=raw, test_only=True)
    broker.answers[BlockMined] = lambda message: BlockVerdict(hash="", accepted=False, reason="bad-cb-amount")
    assert rpc.call("getblocktemplate", {"mode": "proposal", "data": raw}) == "bad-cb-amount"
    known = chain.blocks[1].serialize().hex()
    assert rpc.call("getblocktemplate", {"mode": "proposal", "data": known}) == "duplicate"
    stale = builders.make_block(chain.blocks[1].header, 2, builders.p2wpkh(BOB)).serialize().hex()
    assert rpc.call("getblocktemplate", {"mode": "proposal", "data": stale}) == "inconclusive-not-best-prevblk"


def test_a_block_of_just_these_transactions(rpc: Rpc, chain: Chain, broker: FakeBroker) -> None:
    first = family(chain)[0]
    broker.answers[MineRequested] = lambda message: MineResult(hashes=("ab" * 32,))
    assert rpc.call("generateblock", f"raw({SCRIPT})", [first.txid_hex]) == {"hash": "ab" * 32}
    expected = MineRequested(count=1, script_pubkey=SCRIPT, txs=(first.serialize().hex(),))
    assert broker.published[-1] == expected
    broker.answers[BlockMined] = lambda message: BlockVerdict(hash="", accepted=True)
    made = rpc.call("generateblock", f"raw({SCRIPT})", [first.serialize().hex()], False)
    block = Block.parse(bytes.fromhex(made["hex"]))
    assert made["hash"] == block.hash_hex
    assert block.transactions[1:] == (first,)
    assert block.transactions[0].outputs[0].value == 5_000_000_000
    refusal = "TestBlockValidity failed: bad-txns-nonfinal"
    for error, code in ((refusal, -25), ("no miner found the next block in time", -1)):
        broker.answers[MineRequested] = lambda message, error=error: MineResult(hashes=(), error=error)
        assert rpc.error("generateblock", f"raw({SCRIPT})", []) == (code, error)


def test_blocks_for_a_descriptor(rpc: Rpc, broker: FakeBroker) -> None:
    broker.answers[MineRequested] = lambda message: MineResult(hashes=("ab" * 32,))
    descriptor = f"wpkh({BOB.public_key.compressed.hex()})"
    assert rpc.call("generatetodescriptor", 1, descriptor) == ["ab" * 32]
    assert broker.published[-1] == MineRequested(count=1, script_pubkey=SCRIPT)


def test_headers_and_priorities_are_orders(rpc: Rpc, chain: Chain, broker: FakeBroker) -> None:
    broker.answers[ChainControl] = lambda message: ControlResult(done=True)
    header = builders.make_block(chain.blocks[-1].header, 4, builders.p2wpkh(ALICE)).header
    assert rpc.call("submitheader", header.serialize().hex()) is None
    expected = ChainControl(action=ControlAction.SUBMIT_HEADER, header=header.serialize().hex())
    assert broker.published[-1] == expected
    assert rpc.call("prioritisetransaction", "ab" * 32, 0, -500) is True
    expected = ChainControl(action=ControlAction.PRIORITISE, txid="ab" * 32, fee_delta=-500)
    assert broker.published[-1] == expected
    broker.answers[ChainControl] = lambda message: ControlResult(done=False, reason="high-hash")
    assert rpc.error("submitheader", header.serialize().hex()) == (-25, "high-hash")


def test_relatives_in_the_pool(rpc: Rpc, chain: Chain) -> None:
    first, second, third = family(chain)
    chain.view.priorities[second.txid] = 250
    assert rpc.call("getmempoolancestors", third.txid_hex) == sorted([first.txid_hex, second.txid_hex])
    below = rpc.call("getmempooldescendants", first.txid_hex, True)
    assert set(below) == {second.txid_hex, third.txid_hex}
    assert below[third.txid_hex]["ancestorcount"] == 3
    assert int(below[second.txid_hex]["fees"]["modified"] * 10**8) == 5_250
    place = {"txid": first.txid_hex, "vout": 0}
    free = {"txid": third.txid_hex, "vout": 0}
    assert rpc.call("gettxspendingprevout", [place, free]) == [{**place, "spendingtxid": second.txid_hex}, free]
    assert rpc.call("savemempool")["filename"].startswith("redis:")


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("getblocktemplate", ({},), -8, "getblocktemplate must be called with the segwit rule set"),
        ("getblocktemplate", ({"mode": "other", **SEGWIT},), -8, "Invalid mode"),
        ("getblocktemplate", ({"mode": 1},), -8, "Invalid mode"),
        ("getblocktemplate", ({"mode": "proposal"},), -3, "Missing data String key for proposal"),
        ("getblocktemplate", ({"mode": "proposal", "data": "00"},), -22, "Block decode failed"),
        ("getblocktemplate", (), -1, "getblocktemplate"),
        ("generateblock", ("nowhere", []), -5, "Error: Invalid address or descriptor"),
        ("generateblock", (f"raw({SCRIPT})", ["ab" * 32]), -5, f"Transaction {'ab' * 32} not in mempool."),
        ("generateblock", (f"raw({SCRIPT})", ["zz"]), -22, "Transaction decode failed for zz."),
        ("generateblock", (f"raw({SCRIPT})", [1]), -3, "JSON value of type number is not of expected type string"),
        ("generatetodescriptor", (1, "wpkh(x)"), -5, "'wpkh(x)' is not a valid descriptor function"),
        ("submitheader", ("00",), -22, "Block header decode failed"),
        ("submitheader", ("00" * 80,), -25, f"Must submit previous header ({'00' * 32}) first"),
        ("prioritisetransaction", ("ab" * 32, 1, 5), -8, "Priority is no longer supported"),
        ("prioritisetransaction", ("ab", 0, 5), -8, "txid must be of length 64"),
        ("getmempoolancestors", ("ab" * 32,), -5, "Transaction not in mempool"),
        ("getmempooldescendants", ("ab" * 32, True), -5, "Transaction not in mempool"),
        ("gettxspendingprevout", ([],), -8, "Invalid parameter, outputs are missing"),
        ("gettxspendingprevout", ([{"txid": "ab" * 32, "vout": -1}],), -8, "Invalid parameter, vout cannot be"),
        ("gettxspendingprevout", ([{"txid": "ab" * 32}],), -3, "Missing vout"),
        ("gettxspendingprevout", ([{"txid": "ab" * 32, "vout": 0, "x": 1}],), -3, "Unexpected key x"),
    ],
)
def test_what_is_refused(rpc: Rpc, method: str, params: tuple[object, ...], code: int, message: str) -> None:
    found = rpc.error(method, *params)
    assert (found[0], found[1][: len(message)]) == (code, message)


def test_a_package_is_one_submission(rpc: Rpc, chain: Chain, broker: FakeBroker) -> None:
    parent = builders.pay(builders.output_of(chain.payment, 0, BOB), BOB, 900_000_000)
    child = builders.pay(builders.output_of(parent, 0, BOB), BOB, 800_000_000)
    verdicts = (
        TxVerdict(
            txid=parent.txid_hex,
            wtxid=parent.wtxid_hex,
            accepted=True,
            fee=1_000,
            vsize=141,
            effective_feerate=7_092,
            effective_includes=(parent.wtxid_hex,),
            replaced=("01" + "00" * 30 + "02", "02" + "00" * 30 + "01"),
        ),
        TxVerdict(txid=child.txid_hex, wtxid=child.wtxid_hex, accepted=False, reason="dust", detail="output 1"),
    )
    reply = TxVerdicts(verdicts=verdicts, package_error="transaction failed")
    broker.answers[TxSubmitted] = lambda message: reply
    raws = [tx.serialize().hex() for tx in (parent, child)]
    assert rpc.call("submitpackage", raws) == {
        "package_msg": "transaction failed",
        "tx-results": {
            parent.wtxid_hex: {
                "txid": parent.txid_hex,
                "vsize": 141,
                "fees": {
                    "base": Decimal("0.00001000"),
                    "effective-feerate": Decimal("0.00007092"),
                    "effective-includes": [parent.wtxid_hex],
                },
            },
            child.wtxid_hex: {"txid": child.txid_hex, "error": "dust, output 1"},
        },
        "replaced-transactions": ["02" + "00" * 30 + "01", "01" + "00" * 30 + "02"],
    }
    assert broker.published[-1] == TxSubmitted(txs=tuple(raws), max_feerate=10_000_000, package=True)
    topology = "package topology disallowed. not child-with-parents or parents depend on each other."
    assert rpc.error("submitpackage", raws[::-1]) == (-25, topology)
    assert rpc.error("submitpackage", []) == (-8, "Array must contain between 1 and 25 transactions.")
    assert rpc.error("submitpackage", ["zz"])[0] == -22

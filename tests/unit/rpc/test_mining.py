"""Blocks asked for and blocks brought."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec import structs

from shared.bus.events import BlockMined, BlockVerdict, MineRequested, MineResult
from shared.consensus.params import MAINNET, REGTEST
from shared.crypto.address import encode_address
from shared.primitives.block import Block
from tests import builders
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.rpc.conftest import ALICE, Chain, Rpc

SCRIPT = builders.p2wpkh(ALICE)
ADDRESS = encode_address(SCRIPT, REGTEST.address) or ""
HASHES = ("aa" * 32, "bb" * 32)


def test_generating_asks_the_miners_and_returns_the_hashes(rpc: Rpc, broker: FakeBroker) -> None:
    broker.answers[MineRequested] = lambda message: MineResult(hashes=HASHES)
    assert rpc.call("generatetoaddress", 2, ADDRESS) == list(HASHES)
    assert broker.published == [MineRequested(count=2, script_pubkey=SCRIPT.hex())]


@pytest.mark.parametrize("count", [0, -1])
def test_generating_nothing_asks_nobody(rpc: Rpc, broker: FakeBroker, count: int) -> None:
    assert rpc.call("generatetoaddress", count, ADDRESS) == []
    assert broker.published == []


def test_fewer_blocks_than_asked_for_are_no_success(rpc: Rpc, broker: FakeBroker) -> None:
    broker.answers[MineRequested] = lambda message: MineResult(hashes=HASHES[:1], error="no miner")
    assert rpc.error("generatetoaddress", 2, ADDRESS) == (-1, "no miner (1 of 2 blocks are on the chain)")


@pytest.mark.parametrize("hashes", [(), HASHES[:1], HASHES * 2])
def test_another_number_of_blocks_without_a_reason_is_no_answer(
    rpc: Rpc, broker: FakeBroker, hashes: tuple[str, ...]
) -> None:
    broker.answers[MineRequested] = lambda message: MineResult(hashes=hashes)
    assert rpc.error("generatetoaddress", 2, ADDRESS) == (-32603, "unexpected reply to mine.requested: MineResult")


@pytest.mark.parametrize(
    "address", ["", "x", ADDRESS[:-1], encode_address(SCRIPT, MAINNET.address), ADDRESS.replace("bcrt", "BCRT")]
)
def test_a_bad_address_is_refused(rpc: Rpc, broker: FakeBroker, address: str) -> None:
    assert rpc.error("generatetoaddress", 1, address) == (-5, "Error: Invalid address")
    assert broker.published == []


@pytest.fixture
def block(chain: Chain) -> Block:
    return builders.make_block(chain.blocks[3].header, 4, SCRIPT)


def answer(block: Block, reason: str = "", *, accepted: bool = False) -> BlockVerdict:
    return BlockVerdict(hash=block.hash_hex, accepted=accepted, reason=reason, detail="some detail")


def test_a_valid_block_is_answered_with_null(rpc: Rpc, broker: FakeBroker, block: Block) -> None:
    broker.answers[BlockMined] = lambda message: answer(block, accepted=True)
    assert rpc.call("submitblock", block.serialize().hex()) is None
    assert broker.published == [BlockMined(block=block.serialize().hex())]


@pytest.mark.parametrize(
    ("reason", "accepted"),
    [("inconclusive", True), ("duplicate", False), ("bad-cb-amount", False), ("prev-blk-not-found", False)],
)
def test_any_other_verdict_is_its_word(rpc: Rpc, broker: FakeBroker, block: Block, reason: str, accepted: bool) -> None:
    broker.answers[BlockMined] = lambda message: answer(block, reason, accepted=accepted)
    assert rpc.call("submitblock", block.serialize().hex(), "ignored") == reason


def test_a_refusal_without_a_word_is_rejected(rpc: Rpc, broker: FakeBroker, block: Block) -> None:
    broker.answers[BlockMined] = lambda message: answer(block)
    assert rpc.call("submitblock", block.serialize().hex()) == "rejected"


@pytest.mark.parametrize("text", ["", "00", "zz" * 100])
def test_what_is_no_block_does_not_decode(rpc: Rpc, broker: FakeBroker, text: str) -> None:
    assert rpc.error("submitblock", text) == (-22, "Block decode failed")
    assert broker.published == []


def test_what_only_the_writer_finds_undecodable_is_the_same_error(rpc: Rpc, broker: FakeBroker, block: Block) -> None:
    broker.answers[BlockMined] = lambda message: answer(block, "Block decode failed")
    assert rpc.error("submitblock", block.serialize().hex()) == (-22, "Block decode failed")


def test_a_missing_witness_of_the_coinbase_is_added(rpc: Rpc, broker: FakeBroker, block: Block) -> None:
    broker.answers[BlockMined] = lambda message: answer(block, accepted=True)
    coinbase = block.transactions[0]
    bare = dataclasses.replace(coinbase, inputs=(structs.replace(coinbase.inputs[0], witness=()),))
    stripped = Block(block.header, (bare,))
    assert rpc.call("submitblock", stripped.serialize().hex()) is None
    assert broker.published == [BlockMined(block=block.serialize().hex())]

"""Orders of the operator: their effects, and the texts of refusals."""

from __future__ import annotations

import dataclasses

import pytest

from services.mempool.blocks.accept_block import propose
from services.mempool.blocks.operator import MAX_TIME, control
from shared.bus.events import ChainControl, ControlAction, ControlResult
from shared.chain.codec import BlockStatus
from shared.primitives.block import BlockHeader
from shared.reasons import Reason
from tests.builders import grind, pay
from tests.unit.mempool.memory import ALICE, NOW, MemoryNode

DONE = ControlResult(done=True)


@pytest.fixture
def node() -> MemoryNode:
    return MemoryNode()


def order(node: MemoryNode, action: ControlAction, **fields) -> ControlResult:
    return control(node, ChainControl(action=action, **fields))


def submit_header(node: MemoryNode, header: BlockHeader) -> ControlResult:
    return order(node, ControlAction.SUBMIT_HEADER, header=header.serialize().hex())


@pytest.mark.parametrize(
    ("time", "clock"), [(0, None), (1, 1), (MAX_TIME, MAX_TIME), (MAX_TIME + 1, False), (-1, False)]
)
def test_the_clock_stands_where_it_may_and_runs_at_zero(node: MemoryNode, time: int, clock: int | None) -> None:
    assert MAX_TIME == 0xFFFFFFFF + 0x80000000
    answer = order(node, ControlAction.SET_TIME, time=time)
    if clock is False:
        assert answer == ControlResult(done=False, reason="malformed", detail=f"time must be from 0 to {MAX_TIME}")
        assert (node.now(), node.deltas) == (NOW, [])
    else:
        assert answer == DONE
        assert (node.deltas[-1].clock, node._clock) == (time, clock)


@pytest.mark.parametrize(
    ("before", "delta", "total"),
    [
        (0, (1 << 63) - 1, (1 << 63) - 1),
        (0, -(1 << 63), -(1 << 63)),
        ((1 << 63) - 2, 1, (1 << 63) - 1),
        ((1 << 63) - 1, 1, None),
        (-(1 << 63), -1, None),
        (500, -500, 0),
        (500, 5, 505),
    ],
)
def test_priorities_add_up_within_64_bits(node: MemoryNode, before: int, delta: int, total: int | None) -> None:
    txid = bytes(range(32))
    node.prioritise(txid, before)
    answer = order(node, ControlAction.PRIORITISE, txid=txid[::-1].hex(), fee_delta=delta)
    if total is None:
        assert answer == ControlResult(done=False, reason="malformed", detail="fee_delta is out of range")
        assert (node.prioritised, node.deltas) == ({txid: before}, [])
    else:
        assert answer == DONE
        assert node.deltas[-1].prioritised == {txid: total}
        assert node.prioritised == ({txid: total} if total else {})


def test_what_is_no_hash_is_malformed(node: MemoryNode) -> None:
    for action in (ControlAction.INVALIDATE, ControlAction.RECONSIDER, ControlAction.PRECIOUS):
        assert order(node, action, block="ab").reason == "malformed"
        assert order(node, action, block="ab" * 32) == ControlResult(done=False, reason="Block not found")
    assert order(node, ControlAction.PRIORITISE, txid="").reason == "malformed"
    assert node.deltas == []


def test_headers_are_refused_with_cores_reasons_and_remembered_once(node: MemoryNode) -> None:
    block = node.block()
    header = block.header
    nonces = (dataclasses.replace(header, nonce=nonce) for nonce in range(1_000))
    unsolved = next(tried for tried in nonces if tried.hash[31] & 0x80)
    stranger = grind(dataclasses.replace(header, prev_hash=b"\x07" * 32))
    for bad, reason in (
        (unsolved, Reason.HIGH_HASH),
        (stranger, f"Must submit previous header ({'07' * 32}) first"),
        (grind(dataclasses.replace(header, bits=0x207FFFFE)), Reason.BAD_DIFFBITS),
        (grind(dataclasses.replace(header, time=NOW + 7_201)), Reason.TIME_TOO_NEW),
        (grind(dataclasses.replace(header, version=3)), f"{Reason.BAD_VERSION}(0x00000003)"),
    ):
        assert submit_header(node, bad).reason == reason
    assert order(node, ControlAction.SUBMIT_HEADER, header="00" * 79).reason == "Block header decode failed"
    assert node.deltas == []
    assert submit_header(node, header) == DONE
    assert submit_header(node, header) == DONE
    (delta,) = node.deltas
    (entry,) = delta.entries
    assert (entry.height, entry.status, entry.chain_tx_count) == (1, BlockStatus(0), 0)
    assert entry.chain_work == node.tree.tip.chain_work + 2
    assert node.tree.tip.height == 0
    assert node.accept_block(block).accepted


def test_invalidating_the_tip_gives_its_payments_back_and_reconsidering_takes_them(node: MemoryNode) -> None:
    node.mine()
    tx = pay(node.coin(), ALICE, 1_000_000)
    block = node.mine([tx], fees=1_000)
    assert order(node, ControlAction.INVALIDATE, block=block.hash_hex) == DONE
    assert (node.tree.tip.height, [item.tx for item in node.pool]) == (1, [tx])
    assert propose(node, block).reason == Reason.DUPLICATE_INVALID
    assert submit_header(node, block.header).reason == Reason.DUPLICATE_INVALID
    above = dataclasses.replace(block.header, prev_hash=block.hash)
    assert submit_header(node, grind(above)).reason == Reason.BAD_PREVBLK
    assert order(node, ControlAction.RECONSIDER, block=block.hash_hex) == DONE
    assert (node.tree.tip.hash, len(node.pool)) == (block.hash, 0)
    assert propose(node, block).reason == Reason.DUPLICATE


def test_the_genesis_block_stays(node: MemoryNode) -> None:
    block = node.mine()
    assert order(node, ControlAction.INVALIDATE, block=node.params.genesis.hash_hex) == DONE
    assert node.tree.tip.hash == block.hash
    assert not node.tree.tip.failed


def test_a_precious_block_takes_the_place_of_one_with_the_same_work(node: MemoryNode) -> None:
    first = node.mine()
    (rival,) = node.branch(None, 1)
    assert node.accept_block(rival).reason == Reason.INCONCLUSIVE
    assert order(node, ControlAction.PRECIOUS, block=rival.hash_hex) == DONE
    assert node.tree.tip.hash == rival.hash
    assert order(node, ControlAction.PRECIOUS, block=first.hash_hex) == DONE
    assert node.tree.tip.hash == first.hash
    assert node.mine().header.prev_hash == first.hash
    assert order(node, ControlAction.PRECIOUS, block=rival.hash_hex) == DONE
    assert node.tree.tip.height == 2, "less work is not preferred"

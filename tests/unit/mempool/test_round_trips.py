"""The writer's reads of coins: one round trip for all coins that it needs, whatever their number."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.mempool.blocks import activate
from services.mempool.transactions.submit import submit
from shared.bus.events import TxSubmitted
from shared.primitives.coin import Coin
from shared.primitives.transaction import OutPoint, Transaction, TxOut
from tests.builders import p2wpkh, spend
from tests.unit.mempool.memory import BOB, MemoryNode, MemoryView


class CountingView(MemoryView):
    """Counts the questions for coins."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def coins(self, outpoints: Sequence[OutPoint]) -> list[Coin | None]:
        self.asked += 1
        return super().coins(outpoints)


@pytest.fixture
def view(node: MemoryNode) -> CountingView:
    node.view = CountingView()
    return node.view


@pytest.fixture
def node() -> MemoryNode:
    return MemoryNode()


def payments(node: MemoryNode, count: int) -> list[Transaction]:
    coins = [(node.coin(), node.coin()) for _ in range(count)]
    return [spend(pair, [TxOut(15_000_000, p2wpkh(BOB))]) for pair in coins]


@pytest.mark.parametrize("count", [1, 5])
def test_a_batch_of_transactions_asks_for_its_coins_once(node: MemoryNode, view: CountingView, count: int) -> None:
    messages = [TxSubmitted(txs=(tx.serialize().hex(),)) for tx in payments(node, count)]
    replies, _ = submit(node, messages)
    assert all(reply.verdicts[0].accepted for reply in replies)
    assert view.asked == 1


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_block_asks_for_its_coins_once(node: MemoryNode, view: CountingView, count: int) -> None:
    node.mine(payments(node, count), fees=5_000_000 * count)
    assert view.asked == 1


@pytest.mark.parametrize("length", [2, 4])
def test_a_reorganisation_asks_once_for_all_that_it_disconnects_and_once_for_what_it_connects(
    node: MemoryNode, view: CountingView, length: int
) -> None:
    base = node.mine()
    for _ in range(length):
        node.mine()
    branch = node.branch(base, length + 1)
    for block in branch[:-1]:
        assert node.accept_block(block).accepted
    view.asked = 0
    assert node.accept_block(branch[-1]).accepted
    assert node.tree.tip.hash == branch[-1].hash
    assert view.asked == 2


def test_a_long_reorganisation_asks_once_for_so_many_blocks(
    node: MemoryNode, view: CountingView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activate, "CHUNK", 2)
    base = node.mine()
    for _ in range(4):
        node.mine()
    branch = node.branch(base, 5)
    for block in branch[:-1]:
        assert node.accept_block(block).accepted
    view.asked = 0
    assert node.accept_block(branch[-1]).accepted
    assert view.asked == 2 + 3

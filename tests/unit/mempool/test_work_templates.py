"""The template for other miners follows the pool, and is made anew only when the pool has changed."""

from __future__ import annotations

from dataclasses import dataclass
from unittest.mock import patch

import pytest

from services.mempool.mining import work_templates as module
from services.mempool.mining.work_templates import WorkTemplates
from shared.primitives.transaction import Transaction
from tests.builders import pay
from tests.unit.mempool.memory import BOB, MemoryNode


@dataclass
class Tip:
    seq: int


class Node(MemoryNode):
    """A node whose view tells the number of the newest event, as the store's does."""

    def __init__(self) -> None:
        super().__init__()
        self.view.tip = lambda: Tip(len(self.deltas))  # type: ignore[attr-defined]


@pytest.fixture
def node() -> Node:
    return Node()


def sent(node: Node, fee: int = 1_000) -> Transaction:
    tx = pay(node.coin(), BOB, 1_000_000, fee)
    assert node.send_one(tx).accepted
    return tx


def test_a_template_follows_the_pool_and_the_tip(node: Node) -> None:
    work = WorkTemplates(node)
    assert work.template().transactions == ()
    first, second = sent(node), sent(node, fee=2_000)
    assert [tx.txid for tx in work.template().transactions] == [second.txid_hex, first.txid_hex]
    node.prioritise(first.txid, 5_000)
    assert [tx.txid for tx in work.template().transactions] == [first.txid_hex, second.txid_hex]
    node.mine([first], fees=1_000)
    template = work.template()
    assert [tx.txid for tx in template.transactions] == [second.txid_hex]
    assert (template.height, template.longpollid) == (2, f"{node.tree.tip.header.hash_hex}{len(node.deltas)}")
    for block in node.branch(None, 2):
        assert node.accept_block(block).accepted
    assert {tx.txid for tx in work.template().transactions} == {first.txid_hex, second.txid_hex}


def test_transactions_are_chosen_once_for_a_state_of_the_pool(node: Node) -> None:
    work = WorkTemplates(node)
    sent(node)
    with patch.object(module, "select_txs", wraps=module.select_txs) as choose:
        first = work.template()
        node.set_clock(node.now() + 60)
        again = work.template()
        assert choose.call_count == 1
        assert again.transactions is first.transactions
        assert again.curtime == first.curtime + 60, "its time is new"
        sent(node)
        assert len(work.template().transactions) == 2
        assert choose.call_count == 2

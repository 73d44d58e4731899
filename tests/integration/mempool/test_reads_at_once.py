"""Reads that belong together see one state of chain and pool, though they are no transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.chain.store import StorePipeline
from tests.builders import key, pay
from tests.integration.mempool.conftest import Chain

ALICE = key("alice")


def before_the_last_read(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let another client act while a pipeline is under way; a transaction leaves it no moment for that."""
    whole = StorePipeline.execute

    def execute(pipe: StorePipeline, raise_on_error: bool = True) -> list[Any]:
        if pipe.explicit_transaction or pipe.transaction or len(pipe.command_stack) < 3:
            return whole(pipe, raise_on_error)
        commands = list(pipe.command_stack)
        pipe.command_stack[:] = commands[:-2]
        replies = whole(pipe, raise_on_error)
        monkeypatch.setattr(StorePipeline, "execute", whole)
        act()
        pipe.command_stack.extend(commands[-2:])
        return replies + whole(pipe, raise_on_error)

    monkeypatch.setattr(StorePipeline, "execute", execute)


def test_a_transaction_that_is_mined_between_two_reads_is_in_one_place(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    tx = pay(chain.mature_coins()[0], ALICE, 1_000_000)
    assert chain.submit(tx)[0].accepted
    before_the_last_read(monkeypatch, lambda: chain.mine(1, [tx], fees=1_000))
    (record,) = chain.view.txs.get_with_spent([tx.txid])
    assert record is not None
    assert record.block is not None


def test_a_pool_that_changes_between_two_reads_is_read_again(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    tx = pay(chain.mature_coins()[0], ALICE, 1_000_000)
    before_the_last_read(monkeypatch, lambda: chain.submit(tx))
    txids, seq = chain.view.pool.txids_and_seq()
    assert (txids, seq) == ([tx.txid], chain.view.tip().seq)

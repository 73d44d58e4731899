"""Blocks that a miner finds on top of a template's in one go: which it is given, and which of them join the chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mempool.mining import next_blocks as room
from services.mempool.mining.next_blocks import MAX_NEXT, has_easy_blocks, next_blocks
from services.miner.job import Job, Work
from services.miner.kernels.hashlib_kernel import search
from services.miner.kernels.kernel import NONCES
from shared.bus.events import BlockMined, BlockTemplate, MineResult, SolvedBlock
from shared.consensus.block_check import median_time_past
from shared.consensus.params import MAINNET, REGTEST, SIGNET, ChainParams
from shared.primitives.block import BlockHeader
from shared.primitives.hex import display_hash
from shared.primitives.transaction import Transaction
from shared.reasons import Reason
from tests.builders import pay
from tests.unit.mempool.desk import PAYEE, TIMEOUT, Desk
from tests.unit.mempool.memory import BOB, NOW


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(monkeypatch)


def solved(template: BlockTemplate, seconds: int = 0, change: Callable[[int, Work], Work] | None = None) -> BlockMined:
    """Return the claim of a miner that needs so many seconds; `change` spoils the block of a number."""
    job = Job.from_template(template)

    def nonce_of(work: Work) -> int:
        nonce = search(work.header_76, work.target, 0, NONCES)
        assert nonce is not None
        return nonce

    first = work = job.work(b"x" * template.extranonce_size, 0, seconds)
    nonce = own = nonce_of(work)
    others: list[SolvedBlock] = []
    while (above := job.next_work(work, nonce)) is not None:
        work = change(len(others) + 1, above) if change else above
        nonce = nonce_of(work)
        others.append(work.solved(nonce))
    return first.claim(own, "rig-1", others)


def headers(claim: BlockMined) -> list[BlockHeader]:
    return [
        BlockHeader.parse(bytes.fromhex(item)) for item in (claim.header or "", *(b.header for b in claim.next_blocks))
    ]


def hashes(claim: BlockMined) -> tuple[str, ...]:
    return tuple(header.hash_hex for header in headers(claim))


# ── templates ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("count", "more"), [(1, 0), (2, 1), (64, 63), (65, 63)])
def test_a_template_has_the_blocks_that_are_wanted_beside_its_own(desk: Desk, count: int, more: int) -> None:
    assert MAX_NEXT == 63
    desk.ask(count)
    (template,) = desk.tick()
    assert len(template.next_blocks) == more


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (REGTEST, True),
        (MAINNET, False),
        (SIGNET, False),
        (replace(REGTEST, pow_no_retargeting=False), False),
        (replace(REGTEST, signet_challenge=b"\x51"), False),
        (replace(REGTEST, pow_limit=REGTEST.pow_limit >> 1), False),  # blocks may become easier than the first
    ],
)
def test_only_a_chain_whose_blocks_all_are_easy_has_templates_for_several(params: ChainParams, expected: bool) -> None:
    assert has_easy_blocks(params) is expected


@pytest.mark.parametrize(("limit", "expected"), [(2, True), (1, False)])
def test_a_block_is_easy_up_to_so_many_hashes(limit: int, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "EASY", limit)  # a block of regtest takes two
    assert has_easy_blocks(REGTEST) is expected


def test_the_next_blocks_pay_the_subsidy_of_their_heights() -> None:
    height = REGTEST.halving_interval - 3
    for offset, block in enumerate(next_blocks(4, height, [NOW], PAYEE, NOW, REGTEST), 1):
        coinbase = Transaction.parse(bytes.fromhex(block.coinbase_prefix + "00" * 24 + block.coinbase_suffix))
        assert coinbase.outputs[0].script_pubkey == PAYEE
        assert coinbase.outputs[0].value == REGTEST.subsidy >> (offset >= 3)


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=11), st.integers(0, 1_000))
def test_the_times_of_next_blocks_follow_the_rule_of_the_median(times: list[int], now: int) -> None:
    seen = list(times)
    for block in next_blocks(30, 20, times, PAYEE, now, REGTEST):
        assert block.time == max(now, median_time_past(seen) + 1)
        seen.append(block.time)


# ── solutions ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seconds", [0, 1, 5, 100])
def test_blocks_found_together_join_the_chain_in_one_commit(desk: Desk, seconds: int) -> None:
    desk.ask(100)
    tx = pay(desk.node.coin(), BOB, 1_000_000)
    assert desk.node.send_one(tx).accepted
    found: tuple[str, ...] = ()
    for count in (64, 36):
        (template,) = desk.tick()
        commits = len(desk.node.deltas)
        claim = solved(template, seconds)
        assert desk.mining.solution(claim).accepted
        assert len(desk.node.deltas) == commits + 1
        assert len(hashes(claim)) == count
        found += hashes(claim)
        assert desk.height == len(found)
    desk.tick()
    assert desk.answers == [("m1", MineResult(hashes=found))]
    assert desk.node.view.pool == {}


def test_a_miner_may_leave_the_next_blocks_out(desk: Desk) -> None:
    desk.ask(3)
    found = []
    for left in (2, 1, 0):
        (template,) = desk.tick()
        assert len(template.next_blocks) == left
        found.append(desk.solve(template).hash)
    desk.tick()
    assert desk.answers == [("m1", MineResult(hashes=tuple(found)))]


def spoiled_root(work: Work) -> Work:
    return replace(work, header_76=work.header_76[:36] + bytes(32) + work.header_76[68:])


def too_early(work: Work) -> Work:
    return replace(work, header_76=work.header_76[:68] + bytes(4) + work.header_76[72:])


def greedy(work: Work) -> Work:
    coinbase = Transaction.parse(work.coinbase)
    first = msgspec.structs.replace(coinbase.outputs[0], value=coinbase.outputs[0].value + 1)
    more = replace(coinbase, outputs=(first, *coinbase.outputs[1:]))
    return replace(work, coinbase=more.serialize(), header_76=work.header_76[:36] + more.txid + work.header_76[68:])


@pytest.mark.parametrize("spoil", [spoiled_root, too_early, greedy])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_blocks_before_a_bad_one_join_the_chain_and_the_others_are_asked_for_again(
    desk: Desk, spoil: Callable[[Work], Work], number: int
) -> None:
    desk.ask(5)
    (template,) = desk.tick()
    claim = solved(template, change=lambda at, work: spoil(work) if at == number else work)
    verdict = desk.mining.solution(claim)
    assert verdict.accepted
    good = hashes(claim)[:number]
    assert verdict.hash == good[0]
    assert desk.height == number
    assert desk.node.jobs["m1"].hashes == good
    assert desk.node.jobs["m1"].remaining == 5 - number
    (template,) = desk.tick()
    assert template.previous_hash == good[-1]
    rest = solved(template)
    assert desk.mining.solution(rest).accepted
    desk.tick()
    assert desk.answers == [("m1", MineResult(hashes=(*good, *hashes(rest))))]


def test_a_bad_first_block_is_refused_with_all_that_is_on_top_of_it(desk: Desk) -> None:
    desk.ask(3)
    (template,) = desk.tick()
    claim = solved(template)
    coinbase = bytes.fromhex(claim.coinbase or "")
    before = desk.node.state()
    verdict = desk.mining.solution(msgspec.structs.replace(claim, coinbase=(coinbase[:-1] + b"\x01").hex()))
    assert (verdict.accepted, verdict.reason) == (False, Reason.BAD_TXNMRKLROOT)
    assert desk.node.state() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda blocks: blocks[1:],
        lambda blocks: blocks[::-1],
        lambda blocks: [msgspec.structs.replace(blocks[0], header="00"), *blocks[1:]],
        lambda blocks: [msgspec.structs.replace(blocks[0], coinbase="zz"), *blocks[1:]],
    ],
)
def test_whatever_is_not_on_top_of_the_block_before_is_left_out(
    desk: Desk, change: Callable[[list[SolvedBlock]], list[SolvedBlock]]
) -> None:
    desk.ask(4)
    (template,) = desk.tick()
    claim = solved(template)
    changed = msgspec.structs.replace(claim, next_blocks=tuple(change(list(claim.next_blocks))))
    assert desk.mining.solution(changed).accepted
    assert desk.height == 1
    assert desk.node.jobs["m1"].remaining == 3


def test_no_more_blocks_are_taken_than_are_wanted(desk: Desk) -> None:
    desk.ask(2)
    (template,) = desk.tick()
    many = msgspec.structs.replace(template, next_blocks=next_blocks(5, 1, [NOW], PAYEE, NOW, REGTEST))
    claim = solved(many)
    assert len(claim.next_blocks) == 5
    assert desk.mining.solution(claim).accepted
    assert desk.height == 2
    desk.tick()
    assert desk.answers == [("m1", MineResult(hashes=hashes(claim)[:2]))]


def test_a_solution_that_comes_twice_is_stale(desk: Desk) -> None:
    desk.ask(5)
    (template,) = desk.tick()
    claim = solved(template)
    assert desk.mining.solution(claim).accepted
    again = desk.mining.solution(claim)
    assert (again.accepted, again.reason) == (False, Reason.STALE_PREVBLK)
    assert desk.height == 5
    assert desk.tick(TIMEOUT + 1) == []
    assert display_hash(desk.node.tree.tip.hash) == hashes(claim)[-1]

"""Mining modes over time: when a block is wanted that nobody has requested, and what goes before it."""

from __future__ import annotations

import itertools

import pytest

from services.mempool.blocks.activate import Change, activate
from services.mempool.blocks.operator import control
from services.mempool.mining import requests
from services.mempool.mining.offers import REPEAT_SECONDS
from services.mempool.mining.schedule import GATHER, QUIET, Schedule
from services.mempool.mining.select_txs import select_txs
from services.mempool.pool.pool import Pool
from shared.bus.events import ChainControl, ControlAction
from shared.chain.commit import PoolRecord
from shared.mining_mode import MiningSetting, parse_mode
from shared.reasons import Reason
from shared.script.script import MAX_SCRIPT_SIZE
from tests.builders import p2wpkh
from tests.unit.mempool.desk import PAYEE, START, Desk
from tests.unit.mempool.memory import BOB, MemoryNode
from tests.unit.mempool.mode_steps import OWN, pays, send, set_mode, start_with


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(monkeypatch)
    desk.tick()
    return desk


# ── auto ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_auto_confirms_a_payment_at_once_and_then_rests(desk: Desk) -> None:
    set_mode(desk, "auto")
    assert desk.tick(0) == []
    send(desk)
    assert desk.tick(1) == []
    (template,) = desk.tick(1 + QUIET)
    assert pays(template, OWN)
    assert len(template.merkle_branch) == 1
    assert desk.solve().accepted
    assert len(desk.node.pool) == 0
    assert [desk.tick(at) for at in (1.1, 2, 100)] == [[], [], []]
    assert QUIET == 0.05


def test_auto_waits_for_a_quiet_moment_and_no_longer(desk: Desk) -> None:
    set_mode(desk, "auto")
    send(desk)
    assert desk.tick(1) == []
    assert desk.tick(1.03) == [], "the same pool is no news"
    assert len(desk.tick(1 + QUIET)) == 1
    assert desk.solve().accepted
    desk.tick(2)
    send(desk)
    assert desk.tick(3) == []
    send(desk)
    assert desk.tick(3.03) == []
    assert desk.tick(3 + QUIET) == [], "a second payment came at 3.03"
    send(desk)
    (template,) = desk.tick(3.03 + QUIET + 0.001)
    assert len(template.merkle_branch) == 2, "a third came when the time was over, and is in it"


def test_auto_is_not_put_off_by_a_payment_that_comes_when_the_time_is_over(desk: Desk) -> None:
    set_mode(desk, "auto")
    send(desk)
    desk.tick(0)
    send(desk)
    (template,) = desk.tick(QUIET)
    assert len(template.merkle_branch) == 2


def test_auto_makes_few_blocks_of_a_burst(desk: Desk) -> None:
    set_mode(desk, "auto")
    steps = 200
    for number in range(steps):
        send(desk)
        if desk.tick(number * QUIET / 2):
            assert desk.solve().accepted
    assert desk.tick((steps + 1) * QUIET)
    assert desk.solve().accepted
    assert len(desk.node.pool) == 0
    seconds = steps * QUIET / 2
    assert seconds / GATHER / 2 < desk.height <= seconds / GATHER + 1
    assert GATHER == 0.5


def test_auto_waits_no_longer_though_transactions_keep_coming(desk: Desk) -> None:
    set_mode(desk, "auto")
    send(desk)
    at = 0.0
    while not desk.tick(at):
        send(desk)
        at += QUIET / 2
    assert at == pytest.approx(GATHER)


def test_auto_mines_what_a_full_block_left_behind(desk: Desk) -> None:
    set_mode(desk, "auto")
    send(desk)
    desk.tick(0)
    (template,) = desk.tick(QUIET)
    late = send(desk)
    assert desk.solve(template).accepted
    assert [item.tx for item in desk.node.pool] == [late]
    assert desk.tick(0.1) == []
    assert len(desk.tick(0.1 + QUIET)) == 1
    assert desk.solve().accepted
    assert len(desk.node.pool) == 0


def test_auto_makes_no_block_of_transactions_that_no_block_takes(desk: Desk) -> None:
    set_mode(desk, "auto")
    poor = send(desk)
    desk.node.prioritise(poor.txid, -1_000_000)
    for step in range(100):
        assert desk.tick(step * 0.1) == []
    send(desk)
    (template,) = desk.tick(20)
    assert len(template.merkle_branch) == 1
    assert desk.solve().accepted
    desk.node.prioritise(poor.txid, 0)
    assert [bool(desk.tick(21 + step * GATHER)) for step in range(3)] == [False, True, False]


def test_auto_looks_only_now_and_then_at_a_pool_that_no_block_takes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def look(pool: Pool) -> list[PoolRecord]:
        looks.append(desk.clock.seconds - START)
        return select_txs(pool)

    monkeypatch.setattr(requests, "select_txs", look)
    set_mode(desk, "auto")
    assert [desk.tick(step / 64 - 2) for step in range(100)] == [[]] * 100
    assert looks == [], "the pool is empty"
    poor = send(desk)
    desk.node.prioritise(poor.txid, -1_000_000)
    for step in range(100):
        assert desk.tick(step / 64) == []
    assert [round(later - earlier, 2) for earlier, later in itertools.pairwise(looks)] == [GATHER] * 2


def test_auto_mines_the_pool_that_a_start_finds(desk: Desk) -> None:
    send(desk)
    start_with(desk, "auto")
    desk.tick(0)
    assert len(desk.tick(QUIET)) == 1


def test_auto_mines_again_what_an_invalidated_block_gives_back(desk: Desk) -> None:
    set_mode(desk, "auto")
    tx = send(desk)
    desk.tick(0)
    desk.tick(QUIET)
    block = desk.solve().hash
    assert control(desk.node, ChainControl(action=ControlAction.INVALIDATE, block=block)).done
    assert [item.tx for item in desk.node.pool] == [tx]
    (template,) = desk.tick(1)
    assert template.height == 1
    assert desk.solve(byte=7).accepted


# ── requests go first; changes; stale work ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["auto", "interval:1", "continuous"])
def test_a_request_goes_before_the_mode_and_the_mode_goes_on_after_it(desk: Desk, text: str) -> None:
    set_mode(desk, text)
    send(desk)
    desk.tick(0)
    (own,) = desk.tick(1)
    assert pays(own, OWN)
    desk.ask(2)
    for step in (1, 2):
        (template,) = desk.tick(1 + step / 100)
        assert pays(template, PAYEE)
        assert desk.solve(template).accepted
    desk.tick(1.1)
    assert len(desk.answers[0][1].hashes) == 2
    send(desk)
    desk.tick(3)
    assert pays((desk.tick(3 + QUIET) or [desk.template()])[0], OWN)
    assert desk.solve().accepted


def test_a_block_of_the_mode_on_the_present_tip_counts_though_a_request_has_come(desk: Desk) -> None:
    set_mode(desk, "interval:1")
    desk.tick(0)
    (own,) = desk.tick(1)
    desk.ask()
    desk.tick(1.1)
    assert desk.solve(own).accepted
    (template,) = desk.tick(1.2)
    assert (template.height, pays(template, PAYEE)) == (2, True)


@pytest.mark.parametrize("text", ["manual", "interval:1000", "interval:1"])
def test_work_of_an_earlier_setting_is_stale(desk: Desk, text: str) -> None:
    set_mode(desk, "interval:1")
    desk.tick(0)
    (old,) = desk.tick(1)
    set_mode(desk, text, p2wpkh(BOB))
    for _ in range(2):
        verdict = desk.solve(old)
        assert (verdict.accepted, verdict.reason) == (False, Reason.STALE_WORK)
        assert desk.tick(1.1) == []
    assert desk.height == 0


def test_manual_mining_publishes_nothing(desk: Desk) -> None:
    send(desk)
    assert [desk.tick(at) for at in (0, 1, 100)] == [[], [], []]
    set_mode(desk, "continuous")
    desk.tick(100)
    assert len(desk.tick(101)) == 1
    set_mode(desk, "manual")
    assert [desk.tick(at) for at in (102, 200)] == [[], []]


def test_a_template_of_the_mode_goes_out_again_until_a_miner_comes(desk: Desk) -> None:
    set_mode(desk, "interval:1")
    desk.tick(0)
    (first,) = desk.tick(1)
    assert desk.tick(REPEAT_SECONDS) == []
    assert desk.tick(1 + REPEAT_SECONDS) == [first]
    assert desk.tick(10_000) == [first]
    assert desk.solve(first).accepted


def test_the_second_solution_of_a_template_of_the_mode_is_stale(desk: Desk) -> None:
    set_mode(desk, "interval:1")
    desk.tick(0)
    (template,) = desk.tick(1)
    assert desk.solve(template).accepted
    assert desk.solve(template, byte=1).reason == Reason.STALE_PREVBLK
    desk.node.tree.mark_failed(desk.node.tree.tip)
    desk.node.tree.find_candidates()
    activate(desk.node, Change())
    assert desk.height == 0
    assert desk.solve(template, byte=1).accepted, "the mode still wants blocks, and this one is on the tip"


def test_the_mode_goes_on_after_the_chain_was_loaded_anew(desk: Desk) -> None:
    set_mode(desk, "interval:1")
    desk.tick(0)
    (old,) = desk.tick(1)
    start_with(desk, "interval:1")
    assert desk.solve(old).reason == Reason.STALE_WORK
    assert len(desk.tick(1.5)) == 1, "the tip is older than a second"
    assert desk.solve().accepted


def test_each_block_of_the_mode_begins_a_trace_of_its_own(desk: Desk) -> None:
    set_mode(desk, "interval:1")
    desk.tick(0)
    desk.tick(1)
    assert desk.broker.traceparents[-1]


# ── the order ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_is_stored_in_a_commit_and_keeps_the_payee_that_it_does_not_name(desk: Desk) -> None:
    assert set_mode(desk, "auto").done
    assert desk.node.deltas[-1].mining == desk.node.mining == MiningSetting(parse_mode("auto"), OWN)
    assert set_mode(desk, "interval:7", b"").done
    assert desk.node.deltas[-1].mining == MiningSetting(parse_mode("interval:7"), OWN)
    assert set_mode(desk, "manual", b"").done
    assert desk.node.mining == MiningSetting(parse_mode("manual"), OWN)


@pytest.mark.parametrize(
    ("mode", "script", "detail"),
    [
        ("sometimes", OWN.hex(), "a mining mode is"),
        ("auto", "", "script_pubkey is missing"),
        ("auto", "zz", "script_pubkey is not hex"),
        ("auto", "6a" * (MAX_SCRIPT_SIZE + 1), "script_pubkey is longer than 10000 bytes"),
    ],
)
def test_a_wrong_order_changes_nothing(desk: Desk, mode: str, script: str, detail: str) -> None:
    answer = control(desk.node, ChainControl(action=ControlAction.SET_MINING, mode=mode, script_pubkey=script))
    assert (answer.done, answer.reason) == (False, "malformed")
    assert answer.detail.startswith(detail)
    assert desk.node.deltas == []
    assert desk.tick(100) == []


def test_manual_needs_no_payee_and_the_longest_script_is_one() -> None:
    node = MemoryNode()
    assert control(node, ChainControl(action=ControlAction.SET_MINING, mode="manual")).done
    longest = "6a" * MAX_SCRIPT_SIZE
    assert control(node, ChainControl(action=ControlAction.SET_MINING, mode="auto", script_pubkey=longest)).done


def test_the_same_order_again_begins_its_interval_anew(desk: Desk) -> None:
    set_mode(desk, "interval:10")
    desk.tick(0)
    set_mode(desk, "interval:10")
    desk.tick(5)
    assert desk.tick(14.9) == []
    assert len(desk.tick(15)) == 1


def test_a_schedule_that_was_not_asked_yet_wants_nothing() -> None:
    node = MemoryNode()
    schedule = Schedule(node)
    assert not schedule.wants("")
    assert not schedule.is_due(START)
    assert schedule.wants(schedule.id)

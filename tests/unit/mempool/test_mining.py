"""Mining requests over time: deadlines, templates that are sent again, and how long jobs are kept."""

from __future__ import annotations

import msgspec
import pytest

from services.mempool import mining_job
from services.mempool.blocks.activate import Change, activate
from services.mempool.mining.offers import REFRESH_SECONDS, REPEAT_SECONDS
from services.mempool.mining.requests import KEEP_TEMPLATES, MAX_COUNT
from shared import trace
from shared.bus.broker import ReplyAddress
from shared.bus.events import BlockMined, MineRequested, MineResult, MinerReport, WorkEnded
from shared.consensus.limits import MAX_BLOCK_WEIGHT
from shared.reasons import Reason
from shared.script.script import MAX_SCRIPT_SIZE
from tests.builders import p2wpkh, pay
from tests.unit.mempool.desk import PAYEE, START, TIMEOUT, Desk
from tests.unit.mempool.memory import ALICE, BOB, NOW

GIVEN_UP = "no miner found the next block in time; {} blocks are missing"


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(monkeypatch)


# ── deadlines ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_solution_after_the_request_was_given_up_is_stale_and_mines_nothing(desk: Desk) -> None:
    desk.ask(2)
    desk.tick()
    first = desk.solve()
    desk.tick(1)
    late = desk.template()
    desk.tick(TIMEOUT + 1)
    assert desk.answers == [("m1", MineResult(hashes=(first.hash,), error=GIVEN_UP.format(1)))]
    before = desk.node.state()
    verdict = desk.solve(late)
    assert (verdict.accepted, verdict.reason) == (False, Reason.STALE_WORK)
    assert desk.node.state() == before
    desk.tick(TIMEOUT + 2)
    assert len(desk.answers) == 1
    assert desk.height == 1


def test_a_request_has_its_whole_time(desk: Desk) -> None:
    desk.ask()
    desk.tick(TIMEOUT)
    assert desk.answers == []
    desk.tick(TIMEOUT + 0.9)
    assert desk.answers == []
    desk.tick(TIMEOUT + 1)
    assert desk.answers == [("m1", MineResult(hashes=(), error=GIVEN_UP.format(1)))]


def test_a_solution_that_comes_before_the_request_is_given_up_counts(desk: Desk) -> None:
    desk.ask()
    desk.tick()
    desk.clock.seconds = START + TIMEOUT + 5
    verdict = desk.solve()
    assert verdict.accepted
    desk.tick(TIMEOUT + 5)
    assert desk.answers == [("m1", MineResult(hashes=(verdict.hash,)))]


def test_a_solution_for_a_finished_request_is_stale_even_on_the_same_tip(desk: Desk) -> None:
    desk.ask()
    desk.tick()
    assert desk.solve().accepted
    assert desk.solve(byte=1).reason == Reason.STALE_PREVBLK
    desk.node.tree.mark_failed(desk.node.tree.tip)
    desk.node.tree.find_candidates()
    activate(desk.node, Change())
    assert desk.height == 0
    assert desk.solve(byte=1).reason == Reason.STALE_WORK


def test_a_request_that_is_given_up_makes_way_for_the_next(desk: Desk) -> None:
    desk.ask(id_="first")
    desk.clock.seconds = START + 10
    desk.ask(id_="second", script_pubkey=p2wpkh(BOB).hex())
    desk.tick(10)
    (template,) = desk.tick(TIMEOUT + 1)
    assert PAYEE.hex() not in template.coinbase_suffix
    assert p2wpkh(BOB).hex() in template.coinbase_suffix
    verdict = desk.solve()
    desk.tick(TIMEOUT + 2)
    assert [(queue, reply.hashes) for queue, reply in desk.answers] == [("first", ()), ("second", (verdict.hash,))]
    assert desk.tick(TIMEOUT + 10) == [], "nobody asks for anything"


# ── what goes out again ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_template_goes_out_once_and_again_before_miners_drop_it(desk: Desk) -> None:
    desk.ask(id_="m1")
    (first,) = desk.tick()
    desk.mining._timeout = 10 * REPEAT_SECONDS
    desk.node.jobs.put(msgspec.structs.replace(desk.node.jobs["m1"], deadline=int(START + 10 * REPEAT_SECONDS)))
    assert desk.tick(REPEAT_SECONDS - 0.01) == []
    assert desk.tick(REPEAT_SECONDS) == [first]
    assert desk.tick(2 * REPEAT_SECONDS - 0.01) == []
    assert desk.tick(2 * REPEAT_SECONDS) == [first]


def test_a_template_is_made_anew_when_the_pool_or_the_chain_moved_on(desk: Desk) -> None:
    desk.ask(2)
    (empty,) = desk.tick()
    tx = pay(desk.node.coin(), ALICE, 1_000_000)
    assert desk.node.send_one(tx).accepted
    assert desk.tick(REFRESH_SECONDS - 0.1) == []
    (filled,) = desk.tick(REFRESH_SECONDS)
    assert (len(empty.merkle_branch), len(filled.merkle_branch)) == (0, 1)
    assert desk.solve(filled).accepted
    (next_,) = desk.tick(REFRESH_SECONDS + 0.1)
    assert (next_.height, next_.merkle_branch) == (2, ())


def test_a_template_is_made_anew_when_a_fee_counts_for_more_or_less(desk: Desk) -> None:
    tx = pay(desk.node.coin(), ALICE, 1_000_000)
    assert desk.node.send_one(tx).accepted
    desk.ask()
    (filled,) = desk.tick()
    desk.node.prioritise(tx.txid, -1_000_000)
    (empty,) = desk.tick(REFRESH_SECONDS)
    assert (len(filled.merkle_branch), len(empty.merkle_branch)) == (1, 0)


def test_an_older_template_of_the_same_tip_is_still_good(desk: Desk) -> None:
    desk.ask()
    (first,) = desk.tick()
    assert desk.node.send_one(pay(desk.node.coin(), ALICE, 1_000_000)).accepted
    assert len(desk.tick(REFRESH_SECONDS)) == 1
    assert desk.solve(first).accepted


@pytest.mark.parametrize(("newer", "reason"), [(KEEP_TEMPLATES - 1, ""), (KEEP_TEMPLATES, Reason.STALE_WORK)])
def test_the_last_sixteen_templates_are_remembered(desk: Desk, newer: int, reason: str) -> None:
    assert KEEP_TEMPLATES == 16
    desk.ask()
    (first,) = desk.tick()
    for number in range(1, newer + 1):
        assert desk.node.send_one(pay(desk.node.coin(), ALICE, 1_000_000)).accepted
        assert len(desk.tick(number * REFRESH_SECONDS)) == 1
    assert desk.solve(first).reason == reason


def test_templates_are_forgotten_when_the_chain_is_loaded_anew(desk: Desk) -> None:
    desk.ask()
    (first,) = desk.tick()
    desk.mining.forget()
    assert desk.solve(first).reason == Reason.STALE_WORK
    (second,) = desk.tick(0.1)
    assert second.id != first.id
    assert desk.solve(second).accepted


def test_a_template_that_could_not_be_sent_is_sent_when_the_broker_is_back(desk: Desk) -> None:
    desk.ask()
    desk.broker.away = True
    assert desk.tick() == []
    desk.broker.away = False
    assert len(desk.tick(0.1)) == 1


# ── miners ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def report(desk: Desk, name: str, template_id: str = "", at: float = 0.0) -> None:
    """Let the writer hear of a miner that knows this template."""
    desk.clock.seconds = START + at
    desk.mining._offers._workers.hear(
        MinerReport(
            name=name, worker="00", kernel="hashlib", hash_rate=1e6, blocks=0, state="", template_id=template_id
        )
    )


def ends(desk: Desk) -> int:
    return sum(isinstance(message, WorkEnded) for message in desk.broker.published)


def test_a_template_of_an_easy_chain_names_the_miner_whose_turn_it_is(desk: Desk) -> None:
    for name in ("a", "b"):
        report(desk, name)
    desk.ask(3)
    turns = []
    for step in range(3):
        (template,) = desk.tick(step / 10)
        turns.append(template.turn)
        assert desk.solve(template, miner=template.turn[0]).accepted
    assert turns == [("a",), ("b",), ("a",)]


def test_another_miner_that_solves_a_template_costs_the_one_whose_turn_it_was_its_next_turns(desk: Desk) -> None:
    for name in ("a", "b", "c"):
        report(desk, name)
    desk.ask(3)
    (template,) = desk.tick()
    assert template.turn == ("a",)
    assert desk.solve(miner="c").accepted
    assert [desk.tick(0.1)[0].turn, desk.solve(miner="b").accepted, desk.tick(0.2)[0].turn] == [("b",), True, ("c",)]


def test_a_miner_that_reports_another_template_gets_the_present_one(desk: Desk) -> None:
    desk.ask()
    (template,) = desk.tick()
    report(desk, "late", at=0.6)
    assert desk.tick(0.6) == [template]
    report(desk, "late", template.id, at=5.6)
    assert desk.tick(5.6) == []


def test_miners_are_told_once_that_there_is_no_work_and_again_if_one_has_missed_it(desk: Desk) -> None:
    assert [desk.tick(at) for at in (0, 0.1)] == [[], []]
    assert ends(desk) == 1, "a new writer does not know what the last one said"
    desk.ask()
    (template,) = desk.tick(0.2)
    assert desk.solve().accepted
    assert [desk.tick(at) for at in (0.3, 0.4)] == [[], []]
    assert ends(desk) == 2
    report(desk, "a", "", at=1.0)
    desk.tick(1.0)
    assert ends(desk) == 2
    report(desk, "a", template.id, at=6.0)
    desk.tick(6.0)
    desk.tick(6.1)
    assert ends(desk) == 3


def test_the_end_of_work_is_told_when_the_broker_is_back(desk: Desk) -> None:
    desk.broker.away = True
    desk.tick()
    desk.broker.away = False
    desk.tick(0.1)
    assert ends(desk) == 1


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_waits_for_the_broker_and_is_sent_once(desk: Desk) -> None:
    desk.ask()
    desk.tick()
    verdict = desk.solve()
    desk.broker.away = True
    desk.tick(1)
    desk.broker.away = False
    for at in (2, 3):
        desk.tick(at)
        assert desk.answers == [("m1", MineResult(hashes=(verdict.hash,)))]
    assert desk.node.jobs["m1"].answered


@pytest.mark.parametrize(
    ("late", "remembered"), [(mining_job.KEEP_FINISHED, True), (mining_job.KEEP_FINISHED + 1, False)]
)
def test_a_finished_request_is_remembered_for_ten_minutes(desk: Desk, late: int, remembered: bool) -> None:
    assert mining_job.KEEP_FINISHED == 600
    desk.ask()
    desk.tick()
    desk.solve()
    desk.tick(1)
    desk.tick(TIMEOUT + late)
    assert ("m1" in desk.node.jobs) is remembered
    assert (desk.node.deltas[-1].jobs == {"m1": None}) is not remembered
    desk.ask()
    assert desk.node.jobs["m1"].finished is remembered


def test_a_request_that_was_not_answered_is_never_forgotten(desk: Desk) -> None:
    desk.ask()
    desk.tick()
    desk.solve()
    desk.broker.away = True
    desk.tick(10 * mining_job.KEEP_FINISHED)
    assert not desk.node.jobs["m1"].answered
    desk.broker.away = False
    desk.tick(10 * mining_job.KEEP_FINISHED)
    assert len(desk.answers) == 1


def test_a_request_without_an_address_is_done_without_an_answer(desk: Desk) -> None:
    desk.mining.request(MineRequested(count=1, script_pubkey=PAYEE.hex()), "m1", None)
    desk.tick()
    desk.solve()
    desk.tick(1)
    assert desk.node.jobs["m1"].answered
    assert desk.broker.replies == []


def test_a_block_and_the_request_it_is_for_are_one_commit(desk: Desk) -> None:
    desk.ask(2)
    desk.tick()
    verdict = desk.solve()
    delta = desk.node.deltas[-1]
    stored = mining_job.decode(delta.jobs["m1"] or b"")
    assert delta.new_tip is not None
    assert delta.new_tip.header.hash_hex == verdict.hash
    assert (stored.remaining, stored.hashes) == (1, (verdict.hash,))
    assert stored == desk.node.jobs["m1"]


def test_a_refused_solution_leaves_the_request_as_it_was(desk: Desk) -> None:
    desk.ask()
    desk.tick()
    before = desk.node.jobs["m1"]
    broken = msgspec.structs.replace(desk.template(), time=NOW + 7_201)
    assert desk.solve(broken).reason == Reason.TIME_TOO_NEW
    assert desk.node.jobs["m1"] is before
    assert desk.solve().accepted


# ── what may be asked for ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"count": MAX_COUNT}, None),
        ({"count": MAX_COUNT + 1}, "count must be from 1 to 10000"),
        ({"count": 0}, "count must be from 1 to 10000"),
        ({"script_pubkey": "6a" * MAX_SCRIPT_SIZE}, None),
        ({"script_pubkey": "6a" * (MAX_SCRIPT_SIZE + 1)}, "script_pubkey is longer than 10000 bytes"),
        ({"script_pubkey": "6"}, "script_pubkey is not hex"),
        ({"script_pubkey": ""}, None),
        ({"count": 2, "txs": ()}, "transactions are chosen for one block only"),
        ({"count": 1, "txs": ()}, None),
    ],
)
def test_a_request_is_for_what_is_possible(desk: Desk, options: dict[str, object], error: str | None) -> None:
    answer = desk.ask(**options)  # type: ignore[arg-type]
    assert answer == (None if error is None else MineResult(hashes=(), error=error))
    assert len(desk.node.jobs) == len(desk.node.deltas) == (1 if error is None else 0)


def test_a_block_that_the_sender_has_parsed_is_not_parsed_again_and_its_size_is_checked_all_the_same(
    desk: Desk,
) -> None:
    block = desk.node.block()
    too_long = BlockMined(block="00" * (MAX_BLOCK_WEIGHT + 1)).with_parsed(block)
    assert desk.mining.solution(too_long).reason == "Block decode failed"
    assert desk.mining.solution(BlockMined(block="not read").with_parsed(block)).accepted


def test_a_block_is_as_long_as_a_block_may_be(desk: Desk) -> None:
    for size, is_over in ((MAX_BLOCK_WEIGHT, False), (MAX_BLOCK_WEIGHT + 1, True)):
        verdict = desk.mining.solution(BlockMined(block="ff" * size))
        assert verdict.reason == "Block decode failed"
        assert ("over the limit" in verdict.detail) is is_over


def test_a_template_has_the_time_of_the_clock_but_never_one_that_is_too_old(desk: Desk) -> None:
    desk.ask()
    (template,) = desk.tick()
    median = desk.node.tree.median_time_past(desk.node.tree.tip)
    assert (template.time, template.min_time) == (NOW, median + 1)
    desk.node.set_clock(1_000)
    desk.mining.forget()
    (template,) = desk.tick(1)
    assert (template.time, template.min_time) == (median + 1, median + 1)


def test_a_request_that_comes_again_is_told_in_the_log(desk: Desk, caplog) -> None:
    caplog.set_level("INFO")
    desk.ask()
    assert "came again" not in caplog.text
    desk.ask()
    assert "came again" in caplog.text
    assert len(desk.node.jobs) == 1


def test_a_request_that_is_asked_again_from_another_place_is_mined_once_and_answered_there(desk: Desk) -> None:
    desk.ask(id_="local 1")
    again = ReplyAddress("elsewhere", "local 1")  # its message has a new id
    message = MineRequested(count=1, script_pubkey=PAYEE.hex())
    assert desk.mining.request(message, "m2", again) is None
    assert list(desk.node.jobs) == ["local 1"]
    assert desk.node.deltas[-1].jobs["local 1"] == mining_job.encode(desk.node.jobs["local 1"])
    desk.tick()
    assert desk.solve().accepted
    desk.tick()
    assert [reply_to for reply_to, _ in desk.answers] == ["elsewhere"]
    assert desk.mining.request(message, "m3", again) == desk.answers[0][1], "its answer may have gone astray"
    assert desk.height == 1


def test_templates_replies_and_blocks_belong_to_the_trace_of_the_mining_request(desk: Desk) -> None:
    given = trace.new()
    with trace.within(given):
        desk.ask(count=1)
    desk.tick()
    assert desk.broker.traceparents == [given]
    with trace.within(trace.new()):  # the miner's own idea of it does not matter
        assert desk.solve().accepted
    assert desk.node.jobs["m1"].traceparent == given
    assert desk.node.traces[-1] == given

"""Mining requests: templates go out, solutions come in, requests are answered once and survive the writer."""

from __future__ import annotations

import dataclasses
import time

import msgspec
import pytest

from services.mempool import mining_job
from services.mempool.mining import requests as mining_module
from services.mempool.mining.offers import REFRESH_SECONDS
from services.mempool.mining.requests import MAX_COUNT, Mining
from shared.bus.broker import ReplyAddress
from shared.bus.events import BlockMined, BlockTemplate, BlockVerdict, MineRequested, MineResult
from shared.consensus.pow import bits_to_target
from shared.crypto.hashes import sha256d
from shared.primitives.block import Block, BlockHeader
from shared.primitives.hex import parse_display_hash
from shared.primitives.merkle import root_from_branch
from shared.reasons import Reason
from tests.builders import coinbase, grind, key, output_of, p2wpkh, pay
from tests.integration.mempool.conftest import Chain
from tests.unit.bus.fake_broker import FakeBroker

ADDRESS = ReplyAddress("somebody", "1")
PAYEE = p2wpkh(key("payee"))


def solve(template: BlockTemplate, extranonce: bytes | None = None, **changes: int) -> BlockMined:
    """Return the block that a miner makes from a template."""
    extranonce = bytes(template.extranonce_size) if extranonce is None else extranonce
    coinbase = bytes.fromhex(template.coinbase_prefix) + extranonce + bytes.fromhex(template.coinbase_suffix)
    root = root_from_branch(sha256d(coinbase), [bytes.fromhex(node) for node in template.merkle_branch], 0)
    header = BlockHeader(
        changes.get("version", template.version),
        parse_display_hash(template.previous_hash),
        root,
        changes.get("time", template.time),
        template.bits,
        0,
    )
    return BlockMined(
        template_id=template.id, header=grind(header).serialize().hex(), coinbase=coinbase.hex(), miner="tester"
    )


class Desk:
    """A mining desk with a fake broker."""

    def __init__(self, chain: Chain, timeout: float = 60) -> None:
        self.chain = chain
        self.broker = FakeBroker()
        self.mining = Mining(chain.node, self.broker, timeout)

    def ask(self, count: int = 1, id_: str = "m1", script: str = PAYEE.hex()) -> MineResult | None:
        return self.mining.request(MineRequested(count=count, script_pubkey=script), id_, ADDRESS)

    def templates(self) -> list[BlockTemplate]:
        return [message for message in self.broker.published if isinstance(message, BlockTemplate)]

    def step(self) -> BlockVerdict:
        """Solve the template that goes out now."""
        self.mining.tick()
        verdict = self.mining.solution(solve(self.templates()[-1]))
        self.mining.tick()
        return verdict

    def answers(self) -> list[MineResult]:
        return [reply for _, reply in self.broker.replies if isinstance(reply, MineResult)]


@pytest.fixture
def desk(chain: Chain) -> Desk:
    return Desk(chain)


def test_a_request_is_answered_when_its_blocks_are_on_the_chain(desk: Desk) -> None:
    assert desk.ask(3) is None
    verdicts = [desk.step() for _ in range(3)]
    assert all(verdict.accepted for verdict in verdicts)
    assert desk.answers() == [MineResult(hashes=tuple(verdict.hash for verdict in verdicts))]
    assert desk.chain.view.tip().height == 3
    (unspent, *_) = desk.chain.view.scripts.unspent_paying([PAYEE])
    assert unspent.output.value == 50 * 100_000_000


def test_a_template_carries_the_pool_with_parents_first_and_its_fees(desk: Desk) -> None:
    chain = desk.chain
    first, second = chain.mature_coins(2)
    poor = pay(first, key("alice"), 1_000_000, fee=100)
    rich = pay(output_of(poor, 0, key("alice")), key("bob"), 500_000, fee=50_000)
    middle = pay(second, key("alice"), 1_000_000, fee=2_000)
    for tx in (middle, poor, rich):
        assert chain.submit(tx)[0].accepted
    desk.ask()
    assert desk.step().accepted
    block = chain.view.blocks.get(chain.view.tip().hash)
    assert block is not None
    assert [tx.txid for tx in block.transactions[1:]] == [poor.txid, rich.txid, middle.txid]
    assert block.transactions[0].outputs[0].value == 50 * 100_000_000 + 100 + 50_000 + 2_000
    assert chain.view.pool.txids() == []


def test_the_second_solution_of_a_template_is_stale_and_changes_nothing(desk: Desk) -> None:
    desk.ask(2)
    desk.mining.tick()
    template = desk.templates()[-1]
    assert desk.mining.solution(solve(template)).accepted
    before = desk.chain.dump()
    verdict = desk.mining.solution(solve(template, extranonce=bytes([1] * template.extranonce_size)))
    assert (verdict.accepted, verdict.reason) == (False, Reason.STALE_PREVBLK)
    assert desk.chain.dump() == before


def test_the_solution_of_an_unknown_template_is_stale_and_changes_nothing(desk: Desk) -> None:
    desk.ask()
    desk.mining.tick()
    solution = msgspec.structs.replace(solve(desk.templates()[-1]), template_id="feed")
    before = desk.chain.dump()
    assert desk.mining.solution(solution).reason == Reason.STALE_WORK
    assert desk.chain.dump() == before


@pytest.mark.parametrize(
    "change",
    [
        {"header": "00"},
        {"header": "zz"},
        {"coinbase": "00"},
        {"coinbase": ""},
        {"header": "00" * 81},
    ],
)
def test_a_solution_that_does_not_decode_is_refused_and_changes_nothing(desk: Desk, change: dict[str, str]) -> None:
    desk.ask()
    desk.mining.tick()
    solution = msgspec.structs.replace(solve(desk.templates()[-1]), **change)
    before = desk.chain.dump()
    verdict = desk.mining.solution(solution)
    assert (verdict.accepted, verdict.reason) == (False, "Block decode failed")
    assert desk.chain.dump() == before


@pytest.mark.parametrize("raw", ["", "00", "zz", "00" * 4_000_001], ids=["empty", "short", "no hex", "huge"])
def test_a_block_that_does_not_decode_is_refused_and_changes_nothing(desk: Desk, raw: str) -> None:
    before = desk.chain.dump()
    assert desk.mining.solution(BlockMined(block=raw)).reason == "Block decode failed"
    assert desk.chain.dump() == before


def test_a_miner_that_moves_the_time_into_the_future_is_refused(desk: Desk) -> None:
    desk.ask()
    desk.mining.tick()
    verdict = desk.mining.solution(solve(desk.templates()[-1], time=4_000_000_000))
    assert verdict.reason == Reason.TIME_TOO_NEW
    assert desk.step().accepted, "the request goes on"


def test_a_whole_block_is_taken_too(desk: Desk) -> None:
    block = desk.chain.block()
    verdict = desk.mining.solution(BlockMined(block=block.serialize().hex()))
    assert (verdict.accepted, verdict.hash) == (True, block.hash_hex)


def test_the_same_request_twice_is_mined_once(desk: Desk) -> None:
    desk.ask()
    desk.step()
    desk.ask()
    desk.mining.tick()
    assert desk.chain.view.tip().height == 1
    assert len(desk.templates()) == 1


def test_a_request_goes_on_with_the_next_writer(desk: Desk) -> None:
    desk.ask(3)
    first = desk.step()
    desk.chain.node = desk.chain.new_writer()
    after = Desk(desk.chain)
    verdicts = [after.step() for _ in range(2)]
    assert after.answers() == [MineResult(hashes=(first.hash, *(verdict.hash for verdict in verdicts)))]


def test_an_answer_that_was_not_sent_is_sent_by_the_next_writer(desk: Desk) -> None:
    desk.ask()
    desk.mining.tick()
    template = desk.templates()[-1]
    desk.broker.away = True
    desk.mining.solution(solve(template))
    desk.mining.tick()
    assert desk.answers() == []
    desk.chain.node = desk.chain.new_writer()
    after = Desk(desk.chain)
    after.mining.tick()
    assert len(after.answers()) == 1
    after.mining.tick()
    assert len(after.answers()) == 1


def test_requests_are_worked_on_in_order(desk: Desk) -> None:
    desk.ask(1, "b")
    desk.ask(1, "a", p2wpkh(key("other")).hex())
    desk.step()
    assert [len(answer.hashes) for answer in desk.answers()] == [1]
    assert len(desk.chain.view.scripts.unspent_paying([PAYEE])) == 1
    desk.step()
    assert len(desk.answers()) == 2


def test_without_a_miner_a_request_is_answered_with_an_error_in_time(desk: Desk, monkeypatch) -> None:
    desk.ask(2)
    desk.step()
    later = time.time() + 61
    monkeypatch.setattr(mining_module.time, "time", lambda: later)
    desk.mining.tick()
    (answer,) = desk.answers()
    assert len(answer.hashes) == 1
    assert "1 blocks are missing" in answer.error
    monkeypatch.setattr(mining_module.time, "time", lambda: later + mining_job.KEEP_FINISHED + 60)
    desk.mining.tick()
    assert desk.chain.client.hlen(desk.chain.keys.jobs) == 0, "old requests are forgotten"


@pytest.mark.parametrize("count", [0, -1, MAX_COUNT + 1])
def test_an_impossible_count_is_refused_and_changes_nothing(desk: Desk, count: int) -> None:
    before = desk.chain.dump()
    answer = desk.ask(count)
    assert answer is not None
    assert "count must be" in answer.error
    assert desk.chain.dump() == before


@pytest.mark.parametrize("script", ["zz", "0", "00" * 10_001])
def test_an_impossible_script_is_refused_and_changes_nothing(desk: Desk, script: str) -> None:
    before = desk.chain.dump()
    answer = desk.ask(script=script)
    assert answer is not None
    assert "script_pubkey" in answer.error
    assert desk.chain.dump() == before


def test_a_template_that_goes_out_again_has_what_entered_the_pool_meanwhile(desk: Desk, monkeypatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(mining_module.time, "monotonic", lambda: clock[0])
    (coin,) = desk.chain.mature_coins()
    desk.ask()
    desk.mining.tick()
    assert desk.chain.submit(pay(coin, key("alice"), 1_000_000))[0].accepted
    clock[0] += REFRESH_SECONDS
    desk.mining.tick()
    first, second = desk.templates()
    assert (len(first.merkle_branch), len(second.merkle_branch)) == (0, 1)
    assert desk.mining.solution(solve(first)).accepted, "the older template is still good"


def test_a_target_is_met_by_what_the_template_asks_for(desk: Desk) -> None:
    desk.ask()
    desk.mining.tick()
    template = desk.templates()[-1]
    header = BlockHeader.parse(bytes.fromhex(solve(template).header or ""))
    assert int.from_bytes(header.hash, "little") <= bits_to_target(template.bits)
    assert template.time >= template.min_time


def choose(desk: Desk, *names: str, id_: str = "m1") -> MineResult | None:
    return desk.mining.request(MineRequested(count=1, script_pubkey=PAYEE.hex(), txs=names), id_, ADDRESS)


def test_a_block_of_chosen_transactions_has_these_and_no_others(desk: Desk) -> None:
    chain = desk.chain
    first, second, third = chain.mature_coins(3)
    pooled, raw, other = (pay(coin, key("alice"), 1_000_000) for coin in (first, second, third))
    for tx in (pooled, other):
        assert chain.submit(tx)[0].accepted
    assert choose(desk, pooled.txid_hex, raw.serialize().hex()) is None
    desk.chain.node = chain.new_writer()
    after = Desk(chain)
    assert after.step().accepted, "the choice outlives the writer"
    block = chain.view.blocks.get(chain.view.tip().hash)
    assert block is not None
    assert block.transactions[1:] == (pooled, raw)
    assert block.transactions[0].outputs[0].value == 50 * 100_000_000, "as in bitcoind, nobody takes the fees"
    assert chain.view.pool.txids() == [other.txid]
    assert len(after.answers()) == 1


def test_transactions_that_make_no_valid_block_are_refused_and_change_nothing(desk: Desk) -> None:
    (coin,) = desk.chain.mature_coins()
    parent = pay(coin, key("alice"), 1_000_000)
    child = pay(output_of(parent, 0, key("alice")), key("bob"), 500_000)
    before = desk.chain.dump()
    for names, error in (
        (("ab" * 32,), f"Transaction {'ab' * 32} not in mempool."),
        (("zz",), "Transaction decode failed for zz. Make sure the tx has at least one input."),
        ((child.serialize().hex(), parent.serialize().hex()), "TestBlockValidity failed: bad-txns-inputs-missingors"),
    ):
        answer = choose(desk, *names)
        assert answer is not None
        assert answer.error.startswith(error)
    assert desk.chain.dump() == before


def test_a_choice_that_the_chain_has_overtaken_is_answered_with_the_reason(desk: Desk) -> None:
    (coin,) = desk.chain.mature_coins()
    tx = pay(coin, key("alice"), 1_000_000)
    assert choose(desk, tx.serialize().hex()) is None
    desk.chain.mine(txs=[pay(coin, key("bob"), 1_000_000)], fees=1_000)
    desk.mining.tick()
    desk.mining.tick()
    (answer,) = desk.answers()
    assert answer.error.startswith("TestBlockValidity failed: bad-txns-inputs-missingorspent")


def test_a_proposal_is_checked_without_work_and_changes_nothing(desk: Desk) -> None:
    chain = desk.chain
    (base,) = chain.mine()
    (tip,) = chain.mine()
    side = chain.block(on=base, tag=b"side")
    assert chain.accept(side).reason == Reason.INCONCLUSIVE
    solved = chain.block()
    unsolved = next(
        Block(header, solved.transactions)
        for nonce in range(1_000)
        if int.from_bytes((header := dataclasses.replace(solved.header, nonce=nonce)).hash, "little") >> 255
    )
    greedy = chain.block(first=coinbase(3, PAYEE, 51 * 100_000_000, [], b"greedy"))
    before = chain.dump()
    for proposed, reason in (
        (unsolved, ""),
        (tip, Reason.DUPLICATE),
        (side, Reason.DUPLICATE_INCONCLUSIVE),
        (chain.block(on=base, tag=b"other"), Reason.INCONCLUSIVE_NOT_BEST_PREVBLK),
        (greedy, Reason.BAD_CB_AMOUNT),
    ):
        verdict = desk.mining.solution(BlockMined(block=proposed.serialize().hex(), test_only=True))
        assert (verdict.accepted, verdict.reason) == (not reason, reason)
    assert chain.dump() == before

"""The faucet: payments, refusals, and a repeated request that is paid once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from services.wallet.bootstrap import PASSWORD_FILE, Bootstrap
from services.wallet.faucet import Faucet, requests
from services.wallet.payments.payments import Payments
from shared.bus import worker
from shared.bus.events import (
    AddressRequested,
    AddressResult,
    CoinsRequested,
    CoinsResult,
    MineRequested,
    MineResult,
    TxSubmitted,
)
from shared.bus.topics import WALLET_REQUESTS
from shared.bus.worker import Incoming, Worker
from shared.crypto.hashes import sha256
from shared.errors import BrokerUnavailable, RequestTimeout
from shared.policy import MAX_CLUSTER_COUNT
from shared.process.shutdown import ExitFlag
from tests.builders import key, p2wpkh
from tests.integration.wallet.conftest import COIN, PARAMS, Stack

BLOCKS = 6
ALICE = p2wpkh(key("alice"))


def faucet(stack: Stack, directory: Path, *, may_mine: bool = False) -> Faucet:
    """One instance of the service, with its own memory."""
    wallets = stack.new_service()
    payments = Payments(wallets, stack.broker, timeout=0.2)
    return Faucet(wallets, payments, directory / PASSWORD_FILE, may_mine=may_mine)


@pytest.fixture
def directory(stack: Stack, tmp_path: Path) -> Path:
    """Where the password of a creator with three mature rewards lies."""
    Bootstrap(stack.new_service(), stack.view, tmp_path / PASSWORD_FILE, BLOCKS, ExitFlag()).run()
    return tmp_path


def ask(one: Faucet, amount: int, message_id: str = "m1", script: bytes = ALICE) -> CoinsResult:
    request = CoinsRequested(script_pubkey=script.hex(), amount=amount)
    [answer] = one.pay([Incoming(request, message_id, None)])
    assert answer is not None
    return answer


def received(stack: Stack, script: bytes = ALICE) -> int:
    return sum(coin.output.value for coin in stack.view.scripts.unspent([sha256(script)]))


def test_it_pays_any_script_to_the_satoshi(stack: Stack, directory: Path) -> None:
    answer = ask(faucet(stack, directory), 123_456)
    assert answer.reason == ""
    assert received(stack) == 123_456
    assert stack.view.txs.get(bytes.fromhex(answer.txid)[::-1]) is not None
    p2sh = b"\xa9\x14" + bytes(20) + b"\x87"
    assert ask(faucet(stack, directory), 5_000, "m2", p2sh).reason == ""
    assert received(stack, p2sh) == 5_000


def test_a_request_that_comes_twice_is_paid_once(stack: Stack, directory: Path) -> None:
    one = faucet(stack, directory)
    answers = [ask(one, COIN), ask(one, COIN), ask(faucet(stack, directory), COIN)]
    assert len(set(answers)) == 1
    assert received(stack) == COIN
    assert ask(one, COIN, "m2").txid != answers[0].txid
    assert received(stack) == 2 * COIN
    stack.mine()
    stack.deliver()
    assert ask(faucet(stack, directory), COIN) == answers[0]
    assert received(stack) == 2 * COIN


def test_two_instances_that_get_the_same_request_at_once_pay_once(stack: Stack, directory: Path) -> None:
    instances = [faucet(stack, directory) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda one: ask(one, COIN), instances))
    assert answers[0] == answers[1]
    assert answers[0].txid
    assert received(stack) == COIN


def test_two_instances_that_take_the_same_coins_both_pay(stack: Stack, directory: Path) -> None:
    instances = [faucet(stack, directory) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda place: ask(instances[place], COIN, f"m{place}"), range(2)))
    assert len({answer.txid for answer in answers}) == 2
    assert received(stack) == 2 * COIN


def test_a_payment_whose_verdict_was_lost_is_handed_over_again(stack: Stack, directory: Path) -> None:
    def lose(message: TxSubmitted) -> CoinsResult:
        stack.submit(message)
        raise RequestTimeout("no answer")

    stack.broker.answers[TxSubmitted] = lose
    lost = ask(faucet(stack, directory), COIN)
    assert (lost.txid, lost.reason) == ("", "outcome-unknown")
    stack.broker.answers[TxSubmitted] = stack.submit
    assert ask(faucet(stack, directory), COIN).txid in lost.detail
    assert received(stack) == COIN


def test_a_payment_that_was_made_but_never_arrived_is_handed_over(stack: Stack, directory: Path) -> None:
    def drop(message: TxSubmitted) -> CoinsResult:
        raise RequestTimeout("no answer")

    stack.broker.answers[TxSubmitted] = drop
    lost = ask(faucet(stack, directory), COIN)
    assert received(stack) == 0
    stack.broker.answers[TxSubmitted] = stack.submit
    assert ask(faucet(stack, directory), COIN).txid in lost.detail
    assert received(stack) == COIN


def test_without_enough_mature_coins_it_has_blocks_mined_where_they_cost_nothing(stack: Stack, directory: Path) -> None:
    mature = (BLOCKS - PARAMS.coinbase_maturity + 1) * 50 * COIN
    refused = ask(faucet(stack, directory), mature + COIN)
    assert (refused.txid, refused.reason) == ("", "insufficient-funds")
    assert stack.view.tip().height == BLOCKS
    assert ask(faucet(stack, directory, may_mine=True), mature + COIN).reason == ""
    assert stack.view.tip().height == BLOCKS + PARAMS.coinbase_maturity
    assert received(stack) == mature + COIN


def test_it_mines_nothing_for_more_than_mining_could_bring(stack: Stack, directory: Path) -> None:
    answer = ask(faucet(stack, directory, may_mine=True), 20_000_000 * COIN)
    assert answer.reason == "insufficient-funds"
    assert stack.view.tip().height == BLOCKS


def test_a_cluster_of_payments_that_is_too_large_ends_in_a_block(stack: Stack, tmp_path: Path) -> None:
    blocks = PARAMS.coinbase_maturity  # so that one coin is mature, and each payment spends the change of the last
    Bootstrap(stack.new_service(), stack.view, tmp_path / PASSWORD_FILE, blocks, ExitFlag()).run()
    one = faucet(stack, tmp_path, may_mine=True)
    for number in range(MAX_CLUSTER_COUNT):
        assert ask(one, COIN // 10, f"m{number}").reason == ""
    assert stack.view.tip().height == blocks
    refused = ask(faucet(stack, tmp_path), COIN // 10, "more")
    assert (refused.txid, refused.reason) == ("", "refused")
    assert ask(one, COIN // 10, "more").reason == ""
    assert stack.view.tip().height == blocks + 1
    assert received(stack) == (MAX_CLUSTER_COUNT + 1) * COIN // 10


@pytest.mark.parametrize(
    ("amount", "script", "code"),
    [
        (0, ALICE.hex(), "amount-out-of-range"),
        (-5, ALICE.hex(), "amount-out-of-range"),
        (21_000_001 * COIN, ALICE.hex(), "amount-out-of-range"),
        (100, ALICE.hex(), "amount-dust"),
        (COIN, "zz", "script-not-hex"),
        (COIN, "", "script-size"),
        (COIN, "00" * 10_001, "script-size"),
    ],
)
def test_what_cannot_be_paid_changes_nothing(
    stack: Stack, directory: Path, amount: int, script: str, code: str
) -> None:
    before = stack.wallet_records()
    request = CoinsRequested(script_pubkey=script, amount=amount)
    [answer] = faucet(stack, directory).pay([Incoming(request, "m1", None)])
    assert (answer.txid, answer.reason) == ("", code)
    assert answer.detail
    assert stack.wallet_records() == before


def test_a_chain_without_a_creator_has_no_faucet(stack: Stack, tmp_path: Path) -> None:
    one = faucet(stack, tmp_path)
    assert ask(one, COIN).reason == "no-faucet"
    assert one.address(AddressRequested()).reason == "no-faucet"
    assert "creator" in ask(one, COIN).detail


def test_without_the_password_file_there_is_no_faucet(stack: Stack, directory: Path) -> None:
    one = faucet(stack, directory)
    (directory / PASSWORD_FILE).unlink()
    assert ask(one, COIN).reason == "no-faucet"


def test_a_password_that_is_not_the_creators_is_a_refusal(stack: Stack, directory: Path) -> None:
    (directory / PASSWORD_FILE).write_text("another")
    answer = ask(faucet(stack, directory), COIN)
    assert answer.reason == "wrong-password"
    assert "another" not in answer.detail


def test_fresh_addresses_differ_and_the_newest_is_told_again(stack: Stack, directory: Path) -> None:
    one = faucet(stack, directory)
    first, second = (one.address(AddressRequested()).address for _ in range(2))
    assert first != second
    again = [one.address(AddressRequested(fresh=False)).address for _ in range(2)]
    assert again == [second, second]
    assert stack.get("/creator").json["address"] == second


def test_mining_that_stops_is_a_refusal_for_now(stack: Stack, directory: Path) -> None:
    stack.broker.answers[MineRequested] = lambda message: MineResult(hashes=(), error="no miner")
    answer = ask(faucet(stack, directory, may_mine=True), 250 * COIN)
    assert (answer.reason, answer.detail) == ("mining-stopped", "no miner")


def test_requests_that_wait_in_the_queue_are_answered_each_with_its_own(stack: Stack, directory: Path) -> None:
    consumer = stack.broker.consumer([WALLET_REQUESTS])
    stop = ExitFlag()
    worker = Worker(
        stack.broker,
        consumer,
        requests(faucet(stack, directory)),
        name="faucet",
        stop=stop,
        max_batch=1,
        idle_wait=0.01,
    )
    asked = [CoinsRequested(script_pubkey=ALICE.hex(), amount=COIN), AddressRequested()]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(worker.run)
        answers = stack.broker.request_many(asked, 30)
        stop.set()
        running.result()
    assert [type(answer) for answer in answers] == [CoinsResult, AddressResult]
    assert received(stack) == COIN
    assert len(consumer.acked) == 2


def test_while_the_broker_is_away_a_request_is_kept(stack: Stack, directory: Path) -> None:
    one = faucet(stack, directory)
    stack.broker.away = True
    with pytest.raises(BrokerUnavailable):
        ask(one, COIN)
    stack.broker.away = False
    assert ask(one, COIN).reason == ""
    assert received(stack) == COIN


def test_only_chains_with_addresses_of_a_test_network_have_a_faucet() -> None:
    from shared.consensus.params import MAINNET, REGTEST, SIGNET, TESTNET4

    assert [chain.is_test_chain for chain in (MAINNET, TESTNET4, SIGNET, REGTEST)] == [False, True, True, True]
    ledger = replace(REGTEST, name="ledger", address=replace(REGTEST.address, hrp="led"))
    assert not ledger.is_test_chain


def test_a_request_whose_requester_has_stopped_waiting_is_not_paid(stack: Stack, directory: Path) -> None:
    request = CoinsRequested(script_pubkey=ALICE.hex(), amount=COIN)
    late, in_time = (Incoming(request, f"m{now}", None, "", time.time() + now) for now in (-60, 60))
    [nothing, answer] = faucet(stack, directory).pay([late, in_time])
    assert nothing is None
    assert answer is not None
    assert answer.txid
    assert received(stack) == COIN


def test_coins_that_are_mature_only_after_their_requester_has_gone_are_not_paid(
    stack: Stack, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next requester gets them."""
    now = time.time()
    monkeypatch.setattr(worker, "time", SimpleNamespace(time=lambda: now))
    mine = stack.broker.answers[MineRequested]

    def slowly(message: MineRequested) -> MineResult:
        nonlocal now
        now += 60
        return mine(message)

    stack.broker.answers[MineRequested] = slowly
    mature = (BLOCKS - PARAMS.coinbase_maturity + 1) * 50 * COIN
    request = CoinsRequested(script_pubkey=ALICE.hex(), amount=mature + COIN)
    one = faucet(stack, directory, may_mine=True)
    assert one.pay([Incoming(request, "m1", None, "", now + 30)]) == [None]
    assert received(stack) == 0
    [answer] = one.pay([Incoming(request, "m2", None, "", now + 30)])
    assert answer is not None
    assert answer.txid
    assert received(stack) == mature + COIN

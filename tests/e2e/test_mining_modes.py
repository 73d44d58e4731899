"""A stack that mines unasked, and mining programs of other people beside its own miners."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.consensus.params import REGTEST
from shared.crypto.address import encode_address
from shared.primitives.transaction import OutPoint, TxOut
from tests.builders import Spendable, key, p2wpkh, spend
from tests.e2e.conftest import COIN, Stack, StartStack, eventually
from tests.e2e.gbt_miner import GbtMiner

ALICE, MINER = key("alice of the modes"), key("a miner of her own")
ADDRESS = encode_address(p2wpkh(ALICE), REGTEST.address)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("modes")


@pytest.fixture(scope="module")
def stack(start_stack: StartStack, folder: Path) -> Iterator[Stack]:
    """A stack that was told to confirm payments at once."""
    with start_stack(folder, "--miners", "2", "--mining", "auto") as state:
        yield Stack(state)


@pytest.fixture
def manual(stack: Stack) -> Iterator[None]:
    """Only requests and the test itself make blocks."""
    stack.rpc("warren_setminingmode", "manual")
    yield
    stack.rpc("warren_setminingmode", "auto")


@pytest.fixture
def outsider(stack: Stack) -> GbtMiner:
    cookie = Path(stack.state.cookie_file).read_text(encoding="ascii").strip()
    return GbtMiner(stack.state.rpc_url, cookie, p2wpkh(MINER))


def coins(stack: Stack, count: int) -> list[Spendable]:
    """Confirmed coins of alice."""
    txid = stack.explorer.post("/faucet", {"address": ADDRESS, "amount": 1})["txId"]
    outputs = stack.rpc("getrawtransaction", txid, True)["vout"]
    (vout,) = (index for index, output in enumerate(outputs) if output["scriptPubKey"].get("address") == ADDRESS)
    first = Spendable(OutPoint(bytes.fromhex(txid)[::-1], vout), TxOut(COIN, p2wpkh(ALICE)), ALICE)
    parts = [TxOut(100_000, p2wpkh(ALICE)) for _ in range(count)]
    split = spend([first], [*parts, TxOut(COIN - count * 100_000 - 100_000, p2wpkh(ALICE))])
    stack.rpc("sendrawtransaction", split.serialize().hex())
    (address,) = {stack.balance("creator")["address"]}
    stack.mine(address)
    return [Spendable(OutPoint(split.txid, index), output, ALICE) for index, output in enumerate(parts)]


def payment(coin: Spendable) -> str:
    return spend([coin], [TxOut(99_000, p2wpkh(ALICE))]).serialize().hex()


def confirmations(stack: Stack, txid: str) -> int:
    return int(stack.rpc("getrawtransaction", txid, True).get("confirmations", 0))


def test_up_sets_the_mode_and_payments_are_confirmed_without_a_request(stack: Stack) -> None:
    setting = stack.rpc("warren_getminingmode")
    assert setting["mode"] == "auto"
    assert stack.explorer.get(f"/api/address/{setting['address']}")["address"] == setting["address"]
    (coin,) = coins(stack, 1)
    before = stack.height()
    txid = stack.rpc("sendrawtransaction", payment(coin))
    eventually(lambda: confirmations(stack, txid) == 1, what="a block")
    assert stack.height() == before + 1


def test_a_burst_of_payments_is_confirmed_in_few_blocks(stack: Stack) -> None:
    spendable = coins(stack, 150)
    before = stack.height()
    txids = stack.rpc_batch("sendrawtransaction", [(payment(coin),) for coin in spendable])
    eventually(lambda: all(confirmations(stack, txid) for txid in txids[-1:]), what="the last block")
    assert stack.rpc("getrawmempool") == []
    assert stack.height() - before <= 3  # one, unless the machine pauses in the middle of the burst


@pytest.mark.usefixtures("manual")
def test_a_program_for_getblocktemplate_mines_the_pool_and_is_paid(stack: Stack, outsider: GbtMiner) -> None:
    (coin,) = coins(stack, 1)
    txid = stack.rpc("sendrawtransaction", payment(coin))
    work = outsider.work()
    assert work.txids == [txid]
    assert outsider.submit(work.solve()) is None
    block = stack.rpc("getblock", stack.rpc("getbestblockhash"), 2)
    assert (block["height"], [tx["txid"] for tx in block["tx"][1:]]) == (work.height, [txid])
    assert block["tx"][0]["vout"][0]["scriptPubKey"]["hex"] == p2wpkh(MINER).hex()
    assert outsider.submit(work.solve()) == "duplicate"


@pytest.mark.usefixtures("manual")
def test_a_long_poll_brings_the_next_work_as_soon_as_others_have_found_a_block(
    stack: Stack, outsider: GbtMiner
) -> None:
    old = outsider.work()
    found = []

    def poll() -> None:
        found.append((outsider.work(old.long_poll_id), time.monotonic()))

    polling = threading.Thread(target=poll)
    polling.start()
    polling.join(0.5)
    assert polling.is_alive(), "there is nothing new"
    mined = time.monotonic()
    (block_hash,) = stack.mine(ADDRESS or "")
    polling.join(60)
    ((work, at),) = found
    assert (work.previous, work.height) == (block_hash, old.height + 1)
    assert at - mined < 10
    assert outsider.submit(old.solve()) == "inconclusive"
    assert outsider.submit(work.solve()) is None


def test_other_programs_and_the_stacks_own_miners_share_a_chain(stack: Stack, outsider: GbtMiner) -> None:
    stack.rpc("warren_setminingmode", "interval:0.5")
    mine, theirs = 0, 0
    first = work = outsider.work()
    deadline = time.monotonic() + 60
    while (mine < 3 or theirs < 3) and time.monotonic() < deadline:
        if (work.height - first.height) % 2 == 0:
            mine += outsider.submit(work.solve()) is None
        work = outsider.work(work.long_poll_id)
        theirs = work.height - first.height - mine
    stack.rpc("warren_setminingmode", "auto")
    assert mine >= 3
    assert theirs >= 3


def test_a_restart_keeps_the_mode(start_stack: StartStack, tmp_path: Path) -> None:
    with start_stack(tmp_path, "--mining", "interval:0.3-0.5", "--mining-address", ADDRESS) as state:
        first = Stack(state).height()
        eventually(lambda: Stack(state).height() >= first + 3, what="three blocks")
    with start_stack(tmp_path) as state:
        stack = Stack(state)
        assert stack.rpc("warren_getminingmode") == {
            "mode": "interval:0.3-0.5",
            "address": ADDRESS,
            "scriptPubKey": p2wpkh(ALICE).hex(),
        }
        first = stack.height()
        eventually(lambda: stack.height() >= first + 3, what="three blocks")
        paid = stack.rpc("getblock", stack.rpc("getbestblockhash"), 2)["tx"][0]["vout"][0]["scriptPubKey"]
        assert paid["address"] == ADDRESS

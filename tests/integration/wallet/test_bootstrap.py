"""The first start makes the creator wallet and its blocks despite all faults on the way."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.wallet.bootstrap import PASSWORD_FILE, Bootstrap, write_once
from shared.bus.events import MineRequested, MineResult
from shared.process import waiting
from shared.process.shutdown import ExitFlag
from tests.integration.wallet.conftest import COIN, Stack

BLOCKS = 6


def bootstrap(stack: Stack, directory: Path, blocks: int = BLOCKS, stop: ExitFlag | None = None) -> Bootstrap:
    return Bootstrap(stack.new_service(), stack.view, directory / PASSWORD_FILE, blocks, stop or ExitFlag())


def mined(stack: Stack) -> int:
    return sum(message.count for message in stack.broker.published if isinstance(message, MineRequested))


def test_a_first_start_makes_the_creator_and_its_coins(stack: Stack, tmp_path: Path) -> None:
    directory = tmp_path / "data" / "regtest"
    task = bootstrap(stack, directory)
    assert not task.is_done()
    task.run()
    assert task.is_done()
    assert stack.view.tip().height == BLOCKS
    assert stack.get("/creator").json["balance"] == BLOCKS * 50 * COIN
    file = directory / "creator-password"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    password = file.read_text().strip()
    assert len(password) >= 20
    assert stack.post("/creator/unlock", password=password).status_code == 200
    assert [path.name for path in directory.iterdir()] == ["creator-password"]


def test_a_later_start_does_nothing(stack: Stack, tmp_path: Path) -> None:
    bootstrap(stack, tmp_path).run()
    before, requested = stack.wallet_records(), mined(stack)
    again = bootstrap(stack, tmp_path, blocks=BLOCKS + 5)
    again.run()
    assert again.is_done()
    assert (stack.wallet_records(), mined(stack)) == (before, requested)


def test_zero_blocks_mean_no_creator(stack: Stack, tmp_path: Path) -> None:
    task = bootstrap(stack, tmp_path, blocks=0)
    task.run()
    assert task.is_done()
    assert stack.wallet_records() == {}
    assert list(tmp_path.iterdir()) == []


def test_a_password_written_before_a_crash_is_used(stack: Stack, tmp_path: Path) -> None:
    assert write_once(tmp_path / "creator-password", "from before")
    bootstrap(stack, tmp_path).run()
    assert (tmp_path / "creator-password").read_text() == "from before\n"
    assert stack.post("/creator/unlock", password="from before").status_code == 200


def test_a_start_that_crashed_between_wallet_and_blocks_goes_on(stack: Stack, tmp_path: Path) -> None:
    write_once(tmp_path / "creator-password", "pw")
    waiting.run(stack.wallets.create("creator", "pw"))
    script = stack.wallets.current_key(stack.wallets.load("creator")).script_pubkey
    for _ in range(2):
        stack.mine(script)
    bootstrap(stack, tmp_path).run()
    assert mined(stack) == BLOCKS - 2
    assert stack.view.tip().height == BLOCKS
    assert stack.post("/creator/unlock", password="pw").status_code == 200


def test_a_creator_made_by_an_instance_with_other_files_keeps_its_password(stack: Stack, tmp_path: Path) -> None:
    task = bootstrap(stack, tmp_path)
    create = task._wallets.create

    def too_late(wallet_id: str, password: str):
        waiting.run(stack.wallets.create(wallet_id, "theirs"))
        return create(wallet_id, password)

    task._wallets.create = too_late  # type: ignore[method-assign]
    task.run()
    assert task.is_done()
    assert list(tmp_path.iterdir()) == []
    assert stack.post("/creator/unlock", password="theirs").status_code == 200


def test_several_instances_mine_the_blocks_once(stack: Stack, tmp_path: Path) -> None:
    tasks = [bootstrap(stack, tmp_path) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(Bootstrap.run, tasks))
    assert all(task.is_done() for task in tasks)
    assert stack.view.tip().height == mined(stack) == BLOCKS
    assert (
        stack.post("/creator/unlock", password=(tmp_path / "creator-password").read_text().strip()).status_code == 200
    )


def test_a_lease_of_a_dead_instance_runs_out(stack: Stack, tmp_path: Path) -> None:
    assert stack.store.hold_bootstrap("dead", 0.3)
    assert not stack.store.hold_bootstrap("ours", 0.3)
    task = bootstrap(stack, tmp_path)
    task.run()
    assert task.is_done()
    assert stack.store.hold_bootstrap("next", 1)


def fail_first(stack: Stack, failures: list[Callable[[MineRequested], MineResult]]) -> None:
    mine = stack.broker.answers[MineRequested]

    def answer(message: MineRequested) -> MineResult:
        return failures.pop(0)(message) if failures else mine(message)

    stack.broker.answers[MineRequested] = answer


def test_miners_that_are_not_up_yet_are_waited_for(stack: Stack, tmp_path: Path) -> None:
    mine = stack.broker.answers[MineRequested]

    def some(message: MineRequested) -> MineResult:
        hashes = mine(MineRequested(count=2, script_pubkey=message.script_pubkey)).hashes
        return MineResult(hashes=hashes, error="only two in time")

    fail_first(stack, [lambda message: MineResult(hashes=(), error="no miner answers"), some])
    task = bootstrap(stack, tmp_path)
    task.run()
    assert task.is_done()
    assert stack.view.tip().height == BLOCKS


def test_a_broker_that_is_away_is_waited_for_and_stopping_ends_the_wait(stack: Stack, tmp_path: Path) -> None:
    stack.broker.away = True
    stop = ExitFlag()
    task = bootstrap(stack, tmp_path, stop=stop)
    thread = threading.Thread(target=task.run)
    thread.start()
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert not task.is_done()


def test_a_file_is_written_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    assert write_once(path, "first")
    assert not write_once(path, "second")
    assert path.read_text() == "first\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("owner", ["mine", "theirs"])
def test_only_its_owner_gives_a_lease_back(stack: Stack, owner: str) -> None:
    assert stack.store.hold_bootstrap("mine", 10)
    stack.store.release_bootstrap(owner)
    assert stack.store.hold_bootstrap("next", 10) is (owner == "mine")

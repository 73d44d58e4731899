"""`./warren miner`: its options, the names of its workers, and the line of progress."""

from __future__ import annotations

import pytest

from deploy import miner
from deploy.command_line import parse
from deploy.errors import UsageError
from deploy.miner import MinerProcess

URL = "amqp://rig:secret@rabbit.example:5672/warren"


def test_the_broker_is_all_that_it_needs() -> None:
    options = parse(["miner", "--amqp-url", URL], {})
    assert (options.threads, options.kernel, options.lock) == (1, "auto", "miner")
    options = parse(["miner", "--threads", "4", "--kernel", "llvm"], {"WARREN_AMQP_URL": URL})
    assert (options.amqp_url, options.threads, options.kernel) == (URL, 4, "llvm")


def test_without_the_compiled_kernel_its_package_is_not_installed() -> None:
    assert parse(["miner", "--amqp-url", URL, "--kernel", "hashlib"], {}).lock == "local"
    assert parse(["miner", "--amqp-url", URL], {"WARREN_KERNEL": "hashlib"}).lock == "local"
    assert parse(["up"], {}).lock == "local"
    assert parse(["up"], {"WARREN_KERNEL": "llvm"}).lock == "miner"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "miner needs --amqp-url"),
        (["--amqp-url", "http://x"], "--amqp-url is not a URL"),
        (["--amqp-url", URL, "--threads", "0"], "must be a whole number from 1 to 64"),
        (["--amqp-url", URL, "--kernel", "cuda"], "must be auto or hashlib or llvm"),
        (["--amqp-url", URL, "--name", "a name that is too long"], "must be 1 to 12 letters"),
    ],
)
def test_wrong_options_are_told_without_the_password(arguments: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        parse(["miner", *arguments], {})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "count", "names"),
    [
        ("rig", 1, ["rig"]),
        ("rig", 3, ["rig-1", "rig-2", "rig-3"]),
        ("twelve-chars", 2, ["twelve-cha-1", "twelve-cha-2"]),
        ("twelve-chars", 10, [*(f"twelve-cha-{n}" for n in range(1, 10)), "twelve-ch-10"]),
    ],
)
def test_each_worker_has_a_name_that_fits_into_a_coinbase(name: str, count: int, names: list[str]) -> None:
    assert miner.worker_names(name, count) == names


def metrics(hashes: float, *, blocks: int = 0, per_block: float = 0.0, connected: float = 1.0) -> str:
    return f"""# HELP warren_miner_hashes_total Headers hashed.
# TYPE warren_miner_hashes_total counter
warren_miner_hashes_total {hashes}
warren_miner_hashes_created 1.7e9
warren_miner_blocks_total {blocks}
warren_miner_rate{{kernel="llvm"}} 5.0e+07
warren_miner_hashes_per_block {per_block}
warren_miner_connected {connected}
"""


def worker(first: str, second: str) -> MinerProcess:
    """A worker whose metrics were read twice, two seconds apart."""
    found = MinerProcess("rig", 1)
    found.take(first, 100.0)
    found.take(second, 102.0)
    return found


def test_progress_shows_rate_expected_time_and_blocks_of_all_workers() -> None:
    one = worker(metrics(0), metrics(98e6, blocks=3, per_block=1e9))
    two = worker(metrics(5e6), metrics(107e6, blocks=1, per_block=1e9))
    assert one.rate == 49e6
    shown = miner.progress([one, two], "rabbit.example port 5672")
    assert shown == "2 x llvm: 100 MH/s; a block in 10 s on average; 4 blocks found"


def test_progress_says_why_nothing_is_searched() -> None:
    idle = worker(metrics(7), metrics(7, blocks=1))
    assert miner.progress([idle], "here") == "1 x llvm: waiting for work; 1 block found"
    away = worker(metrics(7), metrics(7, connected=0.0))
    assert miner.progress([away], "here") == "1 x llvm: no connection to RabbitMQ at here (the log says why)"
    assert miner.progress([MinerProcess("rig", 1)], "here").startswith("1 workers: no connection")


def test_a_worker_that_began_anew_shows_no_negative_rate() -> None:
    assert worker(metrics(1e9), metrics(5)).rate == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "0.012 s"), (9.94, "9.9 s"), (119.0, "119 s"), (120.0, "2 min"), (7200, "2 h"), (172_800, "2 d")],
)
def test_times_are_in_units_that_people_read(seconds: float, text: str) -> None:
    assert miner._duration(seconds) == text


@pytest.mark.parametrize(("rate", "text"), [(999, "999 "), (1_500_000, "1.5 M"), (51e6, "51 M"), (2e15, "2e+03 T")])
def test_rates_are_in_units_that_people_read(rate: float, text: str) -> None:
    assert miner._scaled(rate) == text

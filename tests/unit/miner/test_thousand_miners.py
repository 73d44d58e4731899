"""A thousand miners and the writer in a simulation whose clock only the test moves: real `Grinder`s, real `Mining`."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from services.miner import grind
from services.miner.grind import Grinder
from services.miner.job import Job
from services.miner.kernels import hashlib_kernel
from services.miner.kernels.kernel import Kernel, Search
from shared.bus.events import BlockMined, BlockTemplate, BlockVerdict, WorkEnded
from shared.consensus.params import REGTEST
from shared.process.shutdown import ExitFlag
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.mempool.desk import START, Clock, Desk

COUNT = 1_000


class Miner:
    """A grinder that does its work when the simulation says so."""

    def __init__(self, name: str, search: Search, rate: float) -> None:
        self.name = name
        self.broker = FakeBroker()
        self.stop = ExitFlag()
        self.grinder = Grinder(self.broker, name, self.stop, Kernel("test", search, rate))

    def hear(self, message: BlockTemplate | WorkEnded) -> None:
        if isinstance(message, BlockTemplate):
            self.grinder.offer(Job.from_template(message))
        else:
            self.grinder.end_work()

    def is_searching(self, now: float) -> bool:
        return self.grinder._job is not None and self.grinder._start_at <= now

    def search(self) -> list[BlockMined]:
        """Search until there is a solution; return it."""
        assert self.grinder._job is not None
        before = len(self.broker.published)
        self.grinder._grind(self.grinder._job)
        return [message for message in self.broker.published[before:] if isinstance(message, BlockMined)]


class Network:
    """The writer and its miners; messages arrive at once, and solutions in the order of the miners' names."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, search: Search = hashlib_kernel.search) -> None:
        self.desk = Desk(monkeypatch)
        monkeypatch.setattr(Clock, "perf_counter", Clock.monotonic, raising=False)
        monkeypatch.setattr(grind, "time", self.desk.clock)
        self.miners = [Miner(f"miner-{number:03}", search, 1e6) for number in range(COUNT)]
        self.delivered: Counter[str] = Counter()
        self.claims = 0
        self._seen = 0
        for miner in self.miners:
            self.desk.mining._offers._workers.hear(miner.grinder.report())

    @property
    def now(self) -> float:
        return self.desk.clock.seconds

    def ask_for_blocks(self, count: int) -> None:
        """Request blocks one by one: a request for many is mined in few templates (`next_blocks`)."""
        for number in range(count):
            self.desk.ask(1, f"request-{number}")

    def turn(self, seconds: float) -> list[BlockVerdict]:
        """Let time pass, the writer publish, and every miner that may search do so; return the writer's verdicts."""
        self.desk.tick(self.now + seconds - START)
        for message in self.desk.broker.published[self._seen :]:
            if isinstance(message, BlockTemplate | WorkEnded):
                self.delivered[type(message).__name__] += len(self.miners)
                for miner in self.miners:
                    miner.hear(message)
        self._seen = len(self.desk.broker.published)
        found = [claim for miner in self.miners if miner.is_searching(self.now) for claim in miner.search()]
        self.claims += len(found)
        return [self.desk.mining.solution(claim) for claim in found]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(monkeypatch)


def test_a_block_of_an_easy_chain_costs_one_template_for_each_miner_and_one_solution(network: Network) -> None:
    network.turn(0)
    assert network.delivered == {"WorkEnded": COUNT}
    network.ask_for_blocks(20)
    for height in range(1, 21):
        verdicts = network.turn(0.01)
        assert [verdict.accepted for verdict in verdicts] == [True]
        assert network.desk.height == height
    for _ in range(30):
        assert network.turn(1.0) == [], "nobody searches when nobody wants a block"
    assert network.delivered == {"BlockTemplate": 20 * COUNT, "WorkEnded": 2 * COUNT}
    assert network.claims == 20
    found = [miner for miner in network.miners if miner.grinder.report().blocks]
    assert len(found) == 20, "each had its turn"


def test_a_miner_that_dies_in_its_turn_delays_one_block_by_a_second(network: Network) -> None:
    network.ask_for_blocks(3)
    assert [verdict.accepted for verdict in network.turn(0.01)] == [True]
    network.desk.tick(network.now + 0.01 - START)
    (dead,) = network.desk.template().turn
    network.miners = [miner for miner in network.miners if miner.name != dead]
    assert [network.turn(0.1) for _ in range(9)] == [[]] * 9
    verdicts = network.turn(0.3)
    assert [verdict.accepted for verdict in verdicts] == [True] + [False] * (COUNT - 2), "all others, once"
    assert network.desk.height == 2
    assert [verdict.accepted for verdict in network.turn(0.01)] == [True]
    assert network.desk.height == 3
    assert len(network.desk.node.tree._entries) == 1 + 3, "no siblings"


def test_where_blocks_take_long_all_miners_search_and_none_what_another_has_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched: dict[bytes, list[tuple[int, int]]] = defaultdict(list)

    def note(header_76: bytes, target: int, start: int, count: int) -> None:
        searched[header_76].append((start, start + count))
        network.desk.clock.seconds += 0.0001
        if sum(end - first for first, end in searched[header_76]) > 50_000:
            current.stop.set()

    network = Network(monkeypatch, note)
    for number in range(0, COUNT, 2):  # names that are not unique, and so the random bytes count
        network.miners[number].grinder._name = "same-name"
    template = Job.from_template(
        BlockTemplate(
            id="hard",
            height=1,
            version=0x20000000,
            previous_hash=REGTEST.genesis.hash_hex,
            bits=0x1B00FFFF,
            time=REGTEST.genesis.header.time,
            min_time=0,
            coinbase_prefix="aa",
            coinbase_suffix="bb",
            extranonce_size=24,
            merkle_branch=(),
        )
    )
    for current in network.miners:
        current.grinder.offer(template)
        current.grinder._grind(template)
    for ranges in searched.values():
        ranges.sort()
        assert all(end <= begin for (_, end), (begin, _) in pairwise(ranges))
    roots = {header[36:68] for header in searched}
    assert len(roots) == COUNT, "each miner has headers of its own"

"""A chain that is backed up while it is used, and restored into an empty server of any engine, is the same chain."""

from __future__ import annotations

import itertools
import random
import stat
import threading
from dataclasses import replace

import pytest

from services.mempool import mining_job
from services.mempool.blocks.operator import control
from services.mempool.mining_job import MiningJob
from shared.bus.events import ChainControl, ControlAction
from shared.chain.view import ChainView
from shared.consensus.params import REGTEST
from shared.errors import UnsafeStore
from tests.builders import key, make_block, p2wpkh
from tests.integration.deploy.backups import KEYS, back_up, bring_back, content, running
from tests.integration.mempool.books import check_books
from tests.integration.mempool.conftest import Chain
from tests.integration.mempool.play import Play
from tests.servers import servers

pytestmark = pytest.mark.redis

ENGINES = servers()


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """A client of a running server of each engine."""
    found = {name: running(binary, tmp_path_factory.mktemp("engine")) for name, binary in ENGINES.items()}
    clients = {name: server.__enter__() for name, server in found.items()}
    yield clients
    for server in found.values():
        server.__exit__(None, None, None)


@pytest.fixture
def redis(engines):
    client = next(iter(engines.values()))
    client.flushall()
    return client


def busy(chain: Chain, steps: int, seed: int) -> Play:
    """A chain with payments, replacements, forks and refused blocks."""
    play, rng = Play(chain), random.Random(seed)
    for action in rng.choices(["pay", "replace", "mine", "fork", "refuse"], [16, 8, 8, 2, 1], k=steps):
        getattr(play, action)(rng)
    return play


def with_other_records(chain: Chain) -> None:
    """Records of every type that a chain and its wallets may have beside blocks and pool."""
    header = chain.block(tag=b"a header whose block never comes").header
    order = ChainControl(action=ControlAction.SUBMIT_HEADER, header=header.serialize().hex())
    assert control(chain.node, order).done
    client = chain.client
    job = MiningJob(id="id", script_pubkey=p2wpkh(key("miner")).hex(), remaining=3, created=1, deadline=2)
    client.hset(KEYS.jobs, job.id, mining_job.encode(job))
    client.hset(KEYS.prioritised, bytes(32), b"-17")
    client.set(KEYS.clock, 1_700_000_000)
    client.set(KEYS.mode, b"interval:5 51")
    client.set(KEYS.relayed, 12)
    client.zadd(KEYS.wallet + "ids", {"alice": 1_700_000_000.25, "bob": 1_700_000_001})
    client.set(KEYS.wallet + "record:alice", b"{}")
    client.sadd(KEYS.wallet + "open", bytes(32), b"\x01" * 32)
    client.set(KEYS.wallet + "request:alice:1", b"raw", ex=86_400)
    client.hset(KEYS.wallet + "sends:alice", mapping={number.to_bytes(32, "big"): b"{}" for number in range(9_000)})


@pytest.mark.parametrize(("source", "target"), list(itertools.product(ENGINES, repeat=2)))
def test_everything_comes_back_in_a_server_of_any_engine(engines, tmp_path, source, target):
    engines[source].flushall()
    chain = Chain(engines[source])
    busy(chain, 120, seed=4)
    with_other_records(chain)
    before = content(chain.client)
    life = chain.client.pexpiretime(KEYS.wallet + "request:alice:1")
    made = back_up(chain.client, tmp_path / "backup")
    assert content(chain.client) == before, "a backup changes nothing"
    engines[target].flushall()
    other = engines[target]

    assert bring_back(other, tmp_path / "backup") == made
    assert content(other) == before
    assert other.pexpiretime(KEYS.wallet + "request:alice:1") == life
    check_books(other)
    assert made.wallets == 2
    assert made.pool == len(chain.node.pool)
    again = Chain(other)
    assert again.node.tree.tip.hash == chain.node.tree.tip.hash
    assert again.mine(3)
    check_books(other)


def test_a_backup_under_load_is_one_moment_of_the_chain(redis, tmp_path):
    chain = Chain(redis)
    play, rng = Play(chain), random.Random(7)
    moments: dict[int, tuple[bytes, frozenset[bytes]]] = {}
    stop = threading.Event()
    problems: list[BaseException] = []

    def note() -> None:
        view = chain.view
        moments[view.tip().seq] = (view.tip().hash, frozenset(view.pool.txids()))

    def work() -> None:
        try:
            while not stop.is_set():
                getattr(play, rng.choices(["pay", "replace", "mine", "fork"], [16, 8, 8, 1])[0])(rng)
                note()
        except BaseException as error:
            problems.append(error)

    note()
    load = threading.Thread(target=work)
    load.start()
    try:
        seen = set()
        for number in range(1_000):
            made = back_up(redis, tmp_path / f"backup-{number}")
            seen.add(made.seq)
            if len(seen) >= 8:
                break
    finally:
        stop.set()
        load.join()
    assert not problems
    assert len(seen) >= 8, "there was no load"
    for path in sorted(tmp_path.glob("backup-*")):
        redis.flushall()
        made = bring_back(redis, path)
        check_books(redis)
        view = ChainView(redis, KEYS)
        # One action commits more than once: only its end is noted.
        if made.seq in moments:
            assert (view.tip().hash, frozenset(view.pool.txids())) == moments[made.seq]
        assert view.tip().seq == made.seq
    assert seen & moments.keys()


def test_the_file_is_private_whole_or_not_there_and_small(redis, tmp_path):
    chain = Chain(redis)
    chain.mine(100)
    (tmp_path / "creator-password").write_text("a secret\n")
    path = tmp_path / "backup"
    back_up(redis, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir() if entry.name not in ("creator-password", "backup")] == []
    size = sum(len(raw) for key, raw in content(redis).items() if key.startswith(f"{KEYS.prefix}block:".encode()))
    assert path.stat().st_size < 2 * size
    kept = path.read_bytes()
    redis.delete(KEYS.block(chain.node.tree.tip.hash))
    with pytest.raises(Exception, match="is not stored"):
        back_up(redis, path)
    assert path.read_bytes() == kept, "a backup that fails leaves the older file"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["backup", "creator-password"]
    (tmp_path / "elsewhere").mkdir()
    redis.flushall()
    path.rename(tmp_path / "elsewhere" / "backup")
    bring_back(redis, tmp_path / "elsewhere" / "backup")
    password = tmp_path / "elsewhere" / "creator-password"
    assert password.read_text() == "a secret\n"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600


def test_every_cut_and_every_flipped_bit_is_noticed_before_anything_changes(redis, tmp_path):
    Chain(redis).mine(3)
    path = tmp_path / "backup"
    back_up(redis, path)
    data = path.read_bytes()
    redis.flushall()
    rng = random.Random(1)
    damaged = [data[:length] for length in (*range(20), *rng.sample(range(len(data)), 40), len(data) - 1)]
    damaged += [
        data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
        for place in (*range(20), *rng.sample(range(len(data)), 40), len(data) - 1)
    ]
    damaged.append(data + b"\x00")
    for wrong in damaged:
        path.write_bytes(wrong)
        with pytest.raises(Exception, match=r"is no backup|of another version|damaged or was cut short"):
            bring_back(redis, path)
    assert redis.keys("*") == []


def test_a_chain_that_is_there_is_removed_only_when_asked(redis, tmp_path):
    chain = Chain(redis)
    chain.mine(5)
    with_other_records(chain)
    back_up(redis, tmp_path / "backup")
    old = content(redis)
    chain.mine(2)
    redis.set("another:key", "stays")
    redis.set(KEYS.wallet + "record:late", "goes")
    now = content(redis)
    redis.delete(KEYS.writer)
    epoch = int(redis.get(KEYS.writer_epoch))
    with pytest.raises(Exception, match="a chain already, of height 7: --force removes it"):
        bring_back(redis, tmp_path / "backup")
    assert content(redis) == now
    bring_back(redis, tmp_path / "backup", replace=True)
    assert content(redis) == {**old, b"another:key": b"stays"}
    assert int(redis.get(KEYS.writer_epoch)) > epoch, "a writer of before is fenced off"


def test_nothing_is_restored_while_a_writer_is_at_work(redis, tmp_path):
    chain = Chain(redis)
    back_up(redis, tmp_path / "backup")
    before = content(redis)
    chain.new_writer()
    with pytest.raises(Exception, match="a mempool service writes to this chain"):
        bring_back(redis, tmp_path / "backup", replace=True)
    assert content(redis) == before


def test_a_backup_of_another_chain_is_refused(redis, tmp_path):
    Chain(redis).mine()
    back_up(redis, tmp_path / "backup")
    redis.flushall()
    with pytest.raises(Exception, match="a backup of the chain regtest, not of own"):
        bring_back(redis, tmp_path / "backup", replace(REGTEST, name="own"))
    block = make_block(REGTEST.genesis.header, 0, p2wpkh(key("miner")))
    with pytest.raises(Exception, match="another chain by the name of regtest: their first blocks differ"):
        bring_back(redis, tmp_path / "backup", replace(REGTEST, genesis=block))
    assert redis.keys("*") == []


class Interruption:
    """Ctrl-C after some blocks, or at the latest before the pool."""

    def __init__(self, blocks: int) -> None:
        self.left = blocks

    def __call__(self, text: str) -> None:
        self.left -= 1
        if self.left < 0 or "pool" in text:
            raise KeyboardInterrupt


@pytest.mark.parametrize("there", ["nothing", "a chain"])
def test_an_interrupted_restore_is_refused_by_services_and_made_good_by_the_next(redis, tmp_path, there):
    chain = Chain(redis)
    busy(chain, 60, seed=3)
    with_other_records(chain)
    whole = content(redis)
    back_up(redis, tmp_path / "backup")
    redis.flushall()
    if there == "a chain":
        Chain(redis).mine(500)
        redis.delete(KEYS.writer)
    for steps in (1, 120, 240, 10**9):
        with pytest.raises(KeyboardInterrupt):
            bring_back(redis, tmp_path / "backup", replace=there == "a chain", progress=Interruption(steps))
        if redis.exists(KEYS.tip):
            with pytest.raises(UnsafeStore, match="a restore is at work or was interrupted"):
                Chain(redis)
            redis.delete(KEYS.writer)
    assert redis.exists(KEYS.tip)
    bring_back(redis, tmp_path / "backup")
    assert content(redis) == whole
    check_books(redis)

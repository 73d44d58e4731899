"""A commit is one step: fenced, whole even with long lists, and with all its deletions."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
import redis as redis_py

from shared import trace
from shared.bus.events import BlockConnected, TxAccepted
from shared.chain import codec, commit
from shared.chain.codec import FORMAT, BlockEntry, BlockStatus, PoolEntry
from shared.chain.commit import Committer, Delta, PoolRecord, PoolReplacement
from shared.chain.lease import Lease
from shared.chain.overlay import Overlay
from shared.chain.redis_keys import Keys
from shared.chain.view import ChainView, HistoryItem, known_scripts
from shared.consensus.params import REGTEST
from shared.crypto.hashes import sha256
from shared.errors import CommitConflict, StaleWriter
from shared.mining_mode import MANUAL, MiningSetting, parse_mode
from shared.primitives.block import BlockHeader
from shared.primitives.transaction import NULL_OUTPOINT, OutPoint, Transaction, TxIn, TxOut
from tests.builders import key, p2wpkh

KEYS = Keys(REGTEST.name)
ALICE, BOB = p2wpkh(key("alice")), p2wpkh(key("bob"))


class Store:
    """A committer, with reads of the stored state."""

    def __init__(self, client: redis_py.Redis) -> None:
        self.client = client
        epoch = Lease(client, KEYS).take()
        assert epoch is not None
        self.committer = Committer(client, KEYS, epoch, b"", 0)
        self.view = ChainView(client, KEYS)

    def dump(self) -> dict[bytes, bytes | None]:
        return {name: self.client.dump(name) for name in sorted(self.client.keys("*")) if b"writer" not in name}


@pytest.fixture
def store(redis: redis_py.Redis) -> Store:
    return Store(redis)


def entry(height: int, branch: int = 0) -> BlockEntry:
    header = BlockHeader(1, bytes(32), bytes([branch]) * 32, height, 0x207FFFFF, 0)
    return BlockEntry(header, height, 2 * height + 2, BlockStatus(3), 1, 100, 400, height + 1, height)


def tx(number: int, *scripts: bytes, spends: Sequence[OutPoint] = (NULL_OUTPOINT,)) -> Transaction:
    """A transaction that no rule was applied to; `number` makes it differ from others."""
    inputs = tuple(TxIn(prevout, struct.pack("<I", number), 0) for prevout in spends)
    return Transaction(2, inputs, tuple(TxOut(1_000 + n, script) for n, script in enumerate(scripts)), 0)


def record(number: int, *, fee: int = 100) -> PoolRecord:
    one = tx(number, ALICE, spends=[OutPoint(sha256(struct.pack("<I", number)), 0)])
    return PoolRecord(one, PoolEntry(one.wtxid, fee, 60, 240, 1, 1_700_000_000, number), (sha256(ALICE), sha256(BOB)))


def fact(height: int) -> BlockConnected:
    return BlockConnected(hash="00" * 32, height=height, time=1, tx_count=1)


# ── fencing ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("change", [-1, 1])
def test_a_writer_of_another_epoch_writes_nothing(store: Store, change: int) -> None:
    store.committer.commit(Delta(new_tip=entry(0), best_chain=[entry(0).hash]))
    before = store.dump()
    store.client.incrby(KEYS.writer_epoch, change)
    with pytest.raises(StaleWriter):
        store.committer.commit(Delta(clock=5, events=[fact(1)]))
    assert store.dump() == before


def test_a_writer_where_there_never_was_one_writes_nothing(store: Store) -> None:
    store.client.delete(KEYS.writer_epoch)
    with pytest.raises(StaleWriter):
        store.committer.commit(Delta(clock=5))
    assert store.dump() == {}


@pytest.mark.parametrize("field", ["hash", "seq"])
def test_a_change_of_another_state_than_the_committed_one_is_a_conflict(store: Store, field: str) -> None:
    store.committer.commit(Delta(new_tip=entry(0), best_chain=[entry(0).hash], events=[fact(0)]))
    store.client.hset(KEYS.tip, field, b"\x01" * 32 if field == "hash" else 2)
    before = store.dump()
    with pytest.raises(CommitConflict):
        store.committer.commit(Delta(clock=5, events=[fact(1)]))
    assert store.dump() == before


# ── the tip, its chain, and what is told of it ──────────────────────────────────────────────────────────────────


def test_each_event_keeps_the_traceparent_of_its_request(store: Store) -> None:
    one, two = f"00-{'1' * 32}-{'a' * 16}-01", f"00-{'2' * 32}-{'b' * 16}-00"
    store.committer.commit(Delta(events=[fact(0), fact(1)], traceparents=[one, two]))
    with trace.within(two):
        store.committer.commit(Delta(events=[fact(2), fact(3)]))
    store.committer.commit(Delta(events=[fact(4)]))
    entries = [fields for _, fields in store.client.xrange(KEYS.events)]
    assert [fields[b"traceparent"].decode() for fields in entries] == [one, two, two, two, ""]
    assert list(map(codec.decode_traceparent, entries[:4])) == [one, two, two, two]
    began = codec.decode_traceparent(entries[4])
    assert trace.parse(began) == began != ""


def test_as_many_traceparents_as_events_are_needed(store: Store) -> None:
    with pytest.raises(ValueError, match="zip"):
        store.committer.commit(Delta(events=[fact(0), fact(1)], traceparents=[trace.new()]))


def test_events_are_numbered_in_order_and_the_tip_counts_its_moves(store: Store) -> None:
    tip = entry(0)
    assert store.committer.commit(Delta(new_tip=tip, best_chain=[tip.hash], events=[fact(0), fact(1)])) == 2
    assert store.committer.commit(Delta()) == 2
    accepted = TxAccepted(txid="aa", wtxid="bb", fee=1, vsize=1)
    assert store.committer.commit(Delta(events=[accepted])) == 3
    found = store.view.tip()
    assert (found.hash, found.height, found.chain_work, found.seq, found.moves) == (tip.hash, 0, 2, 3, 1)
    assert int(store.client.hget(KEYS.tip, "format") or 0) == FORMAT
    events = store.view.events_since(0, 10)
    assert [(event.seq, type(event)) for event in events] == [(1, BlockConnected), (2, BlockConnected), (3, TxAccepted)]
    assert [id_ for id_, _ in store.client.xrange(KEYS.events)] == [b"1-0", b"2-0", b"3-0"]
    assert store.committer.commit(Delta(new_tip=entry(1), first_height=1, best_chain=[entry(1).hash])) == 3
    assert store.view.tip().moves == 2


@pytest.mark.parametrize(("first", "length"), [(5, 1), (4, 1), (3, 1), (3, 2), (3, 3), (1, 1), (0, 1), (0, 5), (0, 6)])
def test_the_best_chain_is_as_long_as_its_tip_is_high(store: Store, first: int, length: int) -> None:
    old = [entry(height) for height in range(5)]
    store.committer.commit(Delta(new_tip=old[-1], best_chain=[block.hash for block in old]))
    new = [entry(height, branch=1) for height in range(first, first + length)]
    store.committer.commit(Delta(new_tip=new[-1], first_height=first, best_chain=[block.hash for block in new]))
    expected = [block.hash for block in (*old[:first], *new)]
    assert store.client.get(KEYS.heights) == b"".join(expected)
    assert store.view.block_hashes(0, 10) == expected


# ── long lists ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("count", "owners"), [(2_000, 10), (2_001, 10), (5_000, 2_100)])
def test_a_block_with_thousands_of_outputs_is_written_and_taken_back(store: Store, count: int, owners: int) -> None:
    """Lua's stack holds some 8,000 values, and a coin is two."""
    scripts = [ALICE] * (count - owners) + [bytes([0, 20]) + n.to_bytes(20, "big") for n in range(owners)]
    big = tx(1, *scripts)
    overlay = Overlay(store.view.txs)
    overlay.apply(big, 0, 0)
    store.committer.commit(Delta(overlay=overlay, new_tip=entry(0), best_chain=[entry(0).hash]))
    coins = store.view.txs.coins([OutPoint(big.txid, vout) for vout in range(count)])
    assert [coin.output for coin in coins if coin is not None] == list(big.outputs)
    assert len(store.view.txs.all_coins()) == count
    assert store.view.scripts.coin_count(sha256(ALICE)) == count - owners
    assert len(_known(store)) == store.client.hlen(KEYS.script_records) == owners + 1
    overlay = Overlay(store.view.txs)
    overlay.revert(big, [])
    store.committer.commit(Delta(overlay=overlay))
    assert store.client.keys(f"{KEYS.prefix}script*") == store.client.keys(KEYS.txs) == []


def test_a_pool_of_thousands_is_written_and_emptied(store: Store) -> None:
    records = [record(number) for number in range(2_500)]
    store.committer.commit(Delta(new_tip=entry(0), best_chain=[entry(0).hash], pool_added=records))
    assert len(store.view.pool.entries()) == len(store.view.pool.txids()) == 2_500
    assert len(store.view.scripts.pool_txids(sha256(BOB))) == 2_500
    assert store.client.hlen(KEYS.pool_spends) == store.client.hlen(KEYS.pool_txs) == 2_500
    stats = store.view.pool.stats()
    sizes = sum(one.tx.size for one in records)
    assert (stats.count, stats.vsize, stats.fees, stats.size) == (2_500, 150_000, 250_000, sizes)
    store.committer.commit(Delta(pool_removed=records))
    left = {name.decode().removeprefix(KEYS.prefix) for name in store.client.keys(f"{KEYS.prefix}pool:*")}
    assert left == {"pool:stats"}
    stats = store.view.pool.stats()
    assert (stats.count, stats.vsize, stats.fees, stats.size) == (0, 0, 0, 0)


def test_a_transaction_may_leave_the_pool_and_enter_it_anew_in_one_commit(store: Store) -> None:
    first, again = record(1), record(1)
    store.committer.commit(Delta(pool_added=[first, record(2)]))
    store.committer.commit(Delta(pool_removed=[first], pool_added=[again]))
    assert set(store.view.pool.entries()) == {first.tx.txid, record(2).tx.txid}
    assert store.client.hlen(KEYS.pool_spends) == 2
    assert len(store.view.scripts.pool_txids(sha256(ALICE))) == 2


# ── small state ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_over_is_forgotten(store: Store) -> None:
    setting = MiningSetting(parse_mode("interval:5-9,skip-empty"), ALICE)
    assert store.view.mining() == MANUAL
    store.committer.commit(Delta(mining=setting))
    store.committer.commit(Delta(clock=7, jobs={"a": b"1", "b": b"2"}, prioritised={b"x" * 32: 5, b"y" * 32: -5}))
    assert store.view.clock() == 7
    assert store.view.pool.prioritised() == {b"x" * 32: 5, b"y" * 32: -5}
    store.committer.commit(Delta())
    assert store.view.clock() == 7, "what a change does not name stays"
    assert store.view.mining() == setting
    store.committer.commit(Delta(clock=0, jobs={"a": None, "b": b"3"}, prioritised={b"x" * 32: 0}))
    assert store.client.get(KEYS.clock) is None
    assert store.client.hgetall(KEYS.jobs) == {b"b": b"3"}
    assert store.view.pool.prioritised() == {b"y" * 32: -5}


# ── samples of the pool ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_minute_has_one_sample_of_its_last_commit(store: Store) -> None:
    store.committer.commit(Delta(time=119, pool_added=[record(1)]))
    store.committer.commit(Delta(time=120, pool_added=[record(2)]))
    store.committer.commit(Delta(time=179, pool_added=[record(3)]))
    store.committer.commit(Delta(pool_added=[record(4)]))
    samples = store.view.pool.history(0)
    assert [(sample.time, sample.count, sample.vsize, sample.fees) for sample in samples] == [
        (60, 1, 60, 100),
        (120, 3, 180, 300),
    ]


def test_a_clock_that_was_set_back_takes_back_what_came_after_it(store: Store) -> None:
    for time in (60, 120, 180):
        store.committer.commit(Delta(time=time))
    store.committer.commit(Delta(time=120))
    assert [sample.time for sample in store.view.pool.history(0)] == [60, 120]


def test_a_week_of_samples_is_kept(store: Store) -> None:
    week = 7 * 24 * 60
    samples = {struct.pack("<qqqq", 60 * n, 0, 0, 0): 60 * n for n in range(week - 1)}
    store.client.zadd(KEYS.pool_history, samples)
    store.committer.commit(Delta(time=60 * (week - 1)))
    assert store.client.zcard(KEYS.pool_history) == week
    store.committer.commit(Delta(time=60 * week))
    assert store.client.zcard(KEYS.pool_history) == week
    assert store.view.pool.history(0)[0].time == 60


# ── replacements ────────────────────────────────────────────────────────────────────────────────────────────────


def replaced_by(number: int, *direct: PoolRecord, descendants: Sequence[PoolRecord] = ()) -> PoolReplacement:
    return PoolReplacement(tx(10_000 + number, ALICE).txid, 1_700_000_000 + number, tuple(direct), tuple(descendants))


def test_only_the_newest_replacements_are_kept_with_what_they_replaced(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commit.KEPT_REPLACEMENTS == 10_000
    monkeypatch.setattr(commit, "KEPT_REPLACEMENTS", 3)
    all_ = [replaced_by(n, record(2 * n), descendants=[record(2 * n + 1)]) for n in range(4)]
    for place, replacement in enumerate(all_[:3]):
        store.committer.commit(Delta(replacements=[replacement], events=[fact(place)]))
    assert store.view.replacements.latest(10) == [one.txid for one in reversed(all_[:3])]
    assert store.client.hlen(KEYS.replaced) == 6
    store.committer.commit(Delta(replacements=[all_[3]], events=[fact(3)]))
    assert store.view.replacements.latest(10) == [one.txid for one in reversed(all_[1:])]
    assert store.client.hlen(KEYS.replaced) == 6
    assert store.client.hlen(KEYS.replaces) == 3
    assert store.view.replacements.replaced([record(0).tx.txid, record(1).tx.txid]) == [None, None]
    kept = store.view.replacements.replaced([record(6).tx.txid, record(7).tx.txid])
    assert [one.replaced_by for one in kept if one is not None] == [all_[3].txid] * 2
    assert store.view.replacements.replaces(all_[3].txid) == [record(6).tx.txid]


def test_several_replacements_of_one_commit_stand_in_their_order(store: Store) -> None:
    all_ = [replaced_by(n, record(n)) for n in range(3)]
    store.committer.commit(Delta(replacements=all_, events=[fact(n) for n in range(3)]))
    last = replaced_by(3, record(3))
    store.committer.commit(Delta(replacements=[last], events=[fact(4)]))
    assert store.view.replacements.latest(10) == [one.txid for one in (last, *reversed(all_))]


def test_what_was_replaced_again_by_another_is_not_forgotten_with_the_first(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "KEPT_REPLACEMENTS", 1)
    store.committer.commit(Delta(replacements=[replaced_by(1, record(1), record(2))], events=[fact(1)]))
    store.committer.commit(Delta(replacements=[replaced_by(2, record(1))], events=[fact(2)]))
    found = store.view.replacements.replaced([record(1).tx.txid, record(2).tx.txid])
    assert [one and one.replaced_by for one in found] == [replaced_by(2).txid, None]


def test_a_transaction_that_replaces_twice_is_known_for_the_second_time_only(store: Store) -> None:
    store.committer.commit(Delta(replacements=[replaced_by(1, record(1))], events=[fact(1)]))
    store.committer.commit(Delta(replacements=[replaced_by(1, record(2))], events=[fact(2)]))
    assert store.view.replacements.replaces(replaced_by(1).txid) == [record(2).tx.txid]
    assert store.view.replacements.replaced([record(1).tx.txid]) == [None]
    assert store.view.replacements.latest(10) == [replaced_by(1).txid]


# ── scripts ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _known(store: Store) -> list[bytes]:
    """All scripts with an address."""
    return store.view.scripts.with_prefix([(b"\0", b"\xff")], 10_000)


def test_scripts_of_all_kinds_are_found_by_any_range_of_their_bytes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the names of their groups, or with all names; at the first and last script of a group and between groups."""
    hashes = [
        bytes([first, second]) + bytes(17) + bytes([last]) for first in (0, 1) for second in (0, 9) for last in (0, 1)
    ]
    shapes = [(b"\0\x14", b""), (b"\x76\xa9\x14", b"\x88\xac"), (b"\xa9\x14", b"\x87"), (b"\x51\x14", b"")]
    scripts = sorted([b"\x51\x02\x4e\x73", *(head + program + tail for head, tail in shapes for program in hashes)])
    overlay = Overlay(store.view.txs)
    overlay.apply(tx(1, *scripts), 0, 0)
    store.committer.commit(Delta(overlay=overlay, new_tip=entry(0), best_chain=[entry(0).hash]))
    assert store.client.hlen(KEYS.scripts) == 4 * len(shapes) + 1
    find = store.view.scripts.with_prefix
    for listed in (4_096, 2, 0):
        monkeypatch.setattr(known_scripts, "_LISTED", listed)
        for start, low in enumerate(scripts):
            for end, high in list(enumerate(scripts))[start::5]:
                assert find([(low, high)], 100) == scripts[start : end + 1]
        assert find([(scripts[3], scripts[9]), (scripts[1], scripts[2])], 9) == [*scripts[3:10], *scripts[1:3]]
        assert find([(scripts[3], scripts[9])], 2) == scripts[3:5]
        assert find([(b"\0", b"\x61")], 100) == [script for script in scripts if script[0] <= 0x60]
        assert find([], 5) == []


def test_a_script_is_known_as_long_as_a_block_has_it_and_only_if_it_has_an_address(store: Store) -> None:
    first, second = tx(1, ALICE, b"\x51\x51"), tx(2, ALICE, BOB)
    for height, one in enumerate((first, second)):
        overlay = Overlay(store.view.txs)
        overlay.apply(one, height, 0)
        store.committer.commit(
            Delta(overlay=overlay, new_tip=entry(height), first_height=height, best_chain=[b"t" * 32])
        )
    assert _known(store) == sorted([ALICE, BOB])
    overlay = Overlay(store.view.txs)
    overlay.revert(second, [])
    store.committer.commit(Delta(overlay=overlay))
    assert _known(store) == [ALICE]
    stats = store.view.scripts.stats([sha256(ALICE), sha256(BOB)])
    assert [(one.tx_count, one.funded_count, one.funded_sum) for one in stats] == [(1, 1, 1_000), (0, 0, 0)]
    assert not store.client.hexists(KEYS.script_records, sha256(BOB))
    assert [item.txid for item in store.view.scripts.history(sha256(ALICE), 10)] == [first.txid]


def _many_txs() -> list[list[Transaction]]:
    """Blocks of one transaction each; the 33rd transaction of ALICE makes it a script of many."""
    return [[tx(height, ALICE)] for height in range(codec.MOST_PACKED + 3)]


def _many_coins() -> list[list[Transaction]]:
    """Blocks that give ALICE 33 coins, and then take two of them again, so that her history is short all the time."""
    first = tx(1, *[ALICE] * 20)
    second = tx(2, *[ALICE] * (codec.MOST_PACKED - 20), BOB)
    third = tx(3, ALICE, spends=[OutPoint(second.txid, codec.MOST_PACKED - 20)])
    spends = [OutPoint(first.txid, 7), OutPoint(first.txid, 3)]
    return [[first], [second], [third], [tx(4, BOB, spends=spends)], [tx(5, ALICE, ALICE, ALICE)]]


@pytest.mark.parametrize("blocks", [_many_txs(), _many_coins()])
def test_a_script_moves_into_sorted_sets_when_it_has_many_and_comes_back_with_every_byte(
    store: Store, blocks: list[list[Transaction]]
) -> None:
    """Both forms answer every question alike, and undoing the blocks leaves what was stored before each."""
    alice = sha256(ALICE)
    shapes, stored, spent = [], [], []
    newest: list[Transaction] = []
    for height, txs in enumerate(blocks):
        stored.append(_indexes(store))
        overlay = Overlay(store.view.txs)
        spent.append([overlay.apply(one, height, position) for position, one in enumerate(txs)])
        store.committer.commit(
            Delta(overlay=overlay, new_tip=entry(height), first_height=height, best_chain=[b"t" * 32])
        )
        newest[:0] = txs
        mine = [one.txid for one in newest if one.txid in _touching(blocks, ALICE)]
        reader = store.view.scripts
        items = reader.history(alice, 100)
        assert [item.txid for item in items] == mine
        assert [(item.height, item.position) for item in items] == [(_height(blocks, txid), 0) for txid in mine]
        for place, txid in list(enumerate(mine))[:: 1 + len(mine) // 4]:
            assert reader.history(alice, 5, txid) == items[place + 1 : place + 6]
            assert reader.merged_history([alice, sha256(BOB)], 100, txid)[:1] == _after(blocks, newest, txid)[:1]
            assert reader.is_in_history([sha256(BOB), alice], txid)
        assert reader.history(alice, 5, b"x" * 32) == reader.merged_history([alice], 5, b"x" * 32) == []
        assert not reader.is_in_history([alice], b"x" * 32)
        assert reader.first(alice) == items[-1]
        coins = [(item.height, item.outpoint) for item in reader.unspent([alice])]
        assert sorted(coins) == sorted(_coins_of(newest, ALICE, blocks))
        assert reader.coin_count(alice) == len(coins)
        paged = [coin for start in range(0, len(coins), 7) for coin in reader.coins(alice, start, 7)]
        assert [(item.height, item.outpoint) for item in paged] == coins[::-1]
        (record,) = reader.records([alice])
        many = max(len(items), len(coins)) > codec.MOST_PACKED
        assert (record.packed is None) == many
        shapes.append(many)
    assert {True, False} == set(shapes)
    for height in reversed(range(len(blocks))):
        overlay = Overlay(store.view.txs)
        for one, coins in zip(reversed(blocks[height]), reversed(spent[height]), strict=True):
            overlay.revert(one, coins)
        store.committer.commit(Delta(overlay=overlay, new_tip=entry(0), best_chain=[b"t" * 32] * height))
        assert _indexes(store) == stored[height]


def _indexes(store: Store) -> dict[bytes, object]:
    """Everything but the tip, whichever encoding Redis has chosen for it."""
    found: dict[bytes, object] = {}
    for name in set(store.client.keys("*")) - {KEYS.tip.encode(), KEYS.heights.encode()}:
        is_hash = store.client.type(name) == b"hash"
        if b"writer" not in name:
            found[name] = store.client.hgetall(name) if is_hash else store.client.zrange(name, 0, -1, withscores=True)
    return found


def _touching(blocks: list[list[Transaction]], script: bytes) -> set[bytes]:
    """Txids that pay a script or spend one of its coins."""
    txs = [one for txs in blocks for one in txs]
    paying = {OutPoint(one.txid, n) for one in txs for n, out in enumerate(one.outputs) if out.script_pubkey == script}
    return {outpoint.txid for outpoint in paying} | {
        one.txid for one in txs if any(txin.prevout in paying for txin in one.inputs)
    }


def _height(blocks: list[list[Transaction]], txid: bytes) -> int:
    return next(height for height, txs in enumerate(blocks) for one in txs if one.txid == txid)


def _after(blocks: list[list[Transaction]], newest: list[Transaction], txid: bytes) -> list[HistoryItem]:
    place = [one.txid for one in newest].index(txid)
    return [HistoryItem(one.txid, _height(blocks, one.txid), 0) for one in newest[place + 1 :]]


def _coins_of(txs: list[Transaction], script: bytes, blocks: list[list[Transaction]]) -> list[tuple[int, OutPoint]]:
    spent = {txin.prevout for one in txs for txin in one.inputs}
    return [
        (_height(blocks, one.txid), outpoint)
        for one in txs
        for vout, output in enumerate(one.outputs)
        if output.script_pubkey == script and (outpoint := OutPoint(one.txid, vout)) not in spent
    ]

"""The tree of blocks: which one should be the tip, and what is marked with a block that breaks a rule."""

from __future__ import annotations

import dataclasses

import pytest

from services.mempool.block_tree import BlockTree, Branch, is_usable
from shared.chain.codec import BlockEntry, BlockStatus
from shared.primitives.block import BlockHeader

VALID = BlockStatus.HAVE_DATA | BlockStatus.CONNECTED
START = 1_000_000


class Tree:
    """Blocks by name: each one's parent, work and order of arrival are given."""

    def __init__(self) -> None:
        self.entries: dict[str, BlockEntry] = {}
        self._add("genesis", bytes(32), -1, 0, VALID, 0, 1)

    def add(self, name: str, on: str, *, work: int = 1, status: BlockStatus = VALID, arrival: int | None = None,
            linked: bool = True, time: int | None = None) -> BlockEntry:  # fmt: skip
        parent = self.entries[on]
        arrival = len(self.entries) if arrival is None else arrival
        count = parent.chain_tx_count + 1 if linked else 0
        return self._add(name, parent.hash, parent.height, parent.chain_work + work, status, arrival, count, time=time)

    def _add(self, name: str, prev: bytes, below: int, work: int, status: BlockStatus, arrival: int, count: int,
             time: int | None = None) -> BlockEntry:  # fmt: skip
        header = BlockHeader(4, prev, name.encode().ljust(32), START + below + 1 if time is None else time, 1, 0)
        entry = BlockEntry(
            header=header, height=below + 1, chain_work=work, status=status, tx_count=1, size=1, weight=4,
            chain_tx_count=count, arrival=arrival,
        )  # fmt: skip
        self.entries[name] = entry
        return entry

    def line(self, on: str, *names: str) -> None:
        for name in names:
            self.add(name, on)
            on = name

    def index(self, tip: str) -> BlockTree:
        return BlockTree(self.entries.values(), self.entries[tip].hash)

    def name(self, entry: BlockEntry | None) -> str:
        return next((name for name, known in self.entries.items() if entry and known.hash == entry.hash), "")

    def names(self, entries: list[BlockEntry]) -> list[str]:
        return [self.name(entry) for entry in entries]


@pytest.fixture
def tree() -> Tree:
    return Tree()


def move(index: BlockTree, entry: BlockEntry) -> None:
    """Make a block the tip, as `chain_move` does."""
    branch = index.branch(entry)
    index.set_best_chain(branch[0].height if branch else entry.height + 1, [block.hash for block in branch])


# ── which block should be the tip ───────────────────────────────────────────────────────────────────────────────────


def test_most_work_wins_and_not_most_blocks(tree: Tree) -> None:
    tree.line("genesis", "a1", "a2", "a3")
    tree.add("b1", "genesis", work=4)
    assert tree.name(tree.index("a3").best_candidate()) == "b1"


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])
def test_of_equal_work_the_first_seen_wins(tree: Tree, first: str, second: str) -> None:
    tree.add(first, "genesis", arrival=1)
    tree.add(second, "genesis", arrival=2)
    index = tree.index("genesis")
    assert tree.name(index.best_candidate()) == first


def test_at_the_start_the_old_tip_wins_ties_with_what_was_seen_before_it(tree: Tree) -> None:
    tree.add("early", "genesis", arrival=1)
    tree.add("late", "genesis", arrival=2)
    assert tree.name(tree.index("late").best_candidate()) == "late"
    assert tree.name(tree.index("early").best_candidate()) == "early"


def test_a_new_block_with_the_work_of_the_tip_does_not_replace_it(tree: Tree) -> None:
    tree.line("genesis", "a1", "a2")
    index = tree.index("a2")
    tree.line("genesis", "b1", "b2")
    for name in ("b1", "b2"):
        index.link(tree.entries[name])
    assert tree.name(index.best_candidate()) == "a2"
    index.link(tree.add("b3", "b2"))
    assert tree.name(index.best_candidate()) == "b3"


@pytest.mark.parametrize(
    ("status", "linked", "usable"),
    [
        (BlockStatus.HAVE_DATA, True, True),
        (BlockStatus(0), True, False),
        (BlockStatus.HAVE_DATA, False, False),
        (BlockStatus.HAVE_DATA | BlockStatus.FAILED, True, False),
        (BlockStatus.HAVE_DATA | BlockStatus.FAILED_PARENT, True, False),
    ],
)
def test_a_candidate_is_stored_linked_and_not_known_to_be_bad(
    tree: Tree, status: BlockStatus, linked: bool, usable: bool
) -> None:
    entry = tree.add("b", "genesis", work=9, status=status, linked=linked)
    assert is_usable(entry) is usable
    assert tree.name(tree.index("genesis").best_candidate()) == ("b" if usable else "genesis")


# ── blocks that come before those below them ────────────────────────────────────────────────────────────────────────


def test_blocks_wait_until_all_below_them_have_come(tree: Tree) -> None:
    index = tree.index("genesis")
    bare = {name: tree.add(name, on, status=BlockStatus(0), linked=False) for name, on in
            (("a1", "genesis"), ("a2", "a1"), ("a3", "a2"))}  # fmt: skip
    for entry in bare.values():
        index.add(entry)
    stored = {name: dataclasses.replace(entry, status=BlockStatus.HAVE_DATA) for name, entry in bare.items()}
    first = index.next_arrival
    for name in ("a3", "a2"):
        assert index.link(stored[name]) == [stored[name]]
        assert tree.name(index.best_candidate()) == "genesis"
        assert index.get(stored[name].hash).chain_tx_count == 0
    linked = index.link(stored["a1"])
    assert tree.names(linked) == ["a1", "a2", "a3"]
    assert [entry.chain_tx_count for entry in linked] == [2, 3, 4]
    assert [entry.arrival for entry in linked] == [first, first + 1, first + 2]
    assert index.next_arrival == first + 3
    assert [index.get(entry.hash) for entry in linked] == linked
    assert tree.name(index.best_candidate()) == "a3"


def test_linking_stops_at_a_block_that_has_not_come(tree: Tree) -> None:
    index = tree.index("genesis")
    entries = []
    for name, on, status in (
        ("a1", "genesis", BlockStatus.HAVE_DATA), ("a2", "a1", BlockStatus(0)), ("a3", "a2", BlockStatus.HAVE_DATA),
    ):  # fmt: skip
        entries.append(tree.add(name, on, status=status, linked=False))
        index.add(entries[-1])
    assert tree.names(index.link(entries[0])) == ["a1"]
    assert tree.name(index.best_candidate()) == "a1"


# ── bad blocks ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bad_block_is_marked_with_all_above_it_and_nothing_beside_it(tree: Tree) -> None:
    tree.line("genesis", "a1", "a2", "a3")
    tree.add("b3", "a2")
    tree.add("beside", "a1")
    index = tree.index("a1")
    changed = index.mark_failed(tree.entries["a2"])
    assert tree.name(changed[0]) == "a2"
    assert set(tree.names(changed)) == {"a2", "a3", "b3"}
    assert [entry.status & ~VALID for entry in changed] == [BlockStatus.FAILED, *[BlockStatus.FAILED_PARENT] * 2]
    assert tree.name(index.best_candidate()) == "beside"


def test_when_the_tip_turns_out_bad_candidates_are_looked_for_below_it(tree: Tree) -> None:
    tree.line("genesis", "a1", "a2", "a3")
    tree.add("b2", "a1", arrival=9)
    tree.add("short", "genesis", arrival=10)
    index = tree.index("a3")
    index.mark_failed(tree.entries["a2"])
    index.find_candidates()
    assert tree.name(index.best_candidate()) == "b2"
    index.mark_failed(tree.entries["b2"])
    index.find_candidates()
    assert tree.name(index.best_candidate()) == "a1"


def test_marks_are_taken_off_a_block_those_below_and_those_above_but_not_its_siblings(tree: Tree) -> None:
    tree.line("genesis", "a1", "a2", "a3")
    tree.line("a1", "b2", "b3")
    index = tree.index("genesis")
    index.mark_failed(tree.entries["a1"])
    changed = index.forgive(index.get(tree.entries["a2"].hash))
    assert set(tree.names(changed)) == {"a1", "a2", "a3"}
    assert not any(entry.failed for entry in changed)
    assert all(index.get(tree.entries[name].hash).failed for name in ("b2", "b3"))
    assert tree.name(index.best_candidate()) == "a3"
    assert index.forgive(index.get(tree.entries["a2"].hash)) == [], "nothing is marked any more"


# ── precious blocks ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_block_that_was_preferred_last_wins_a_tie(tree: Tree) -> None:
    for name in ("a", "b", "c"):
        tree.add(name, "genesis")
    index = tree.index("a")
    for name in ("b", "c", "b", "a"):
        index.prefer(tree.entries[name])
        assert tree.name(index.best_candidate()) == name
        move(index, tree.entries[name])


def test_a_block_with_less_work_than_the_tip_cannot_be_preferred(tree: Tree) -> None:
    tree.line("genesis", "a1", "a2")
    tree.add("b1", "genesis")
    index = tree.index("a2")
    index.prefer(tree.entries["b1"])
    assert tree.name(index.best_candidate()) == "a2"
    index.link(tree.add("b2", "b1", arrival=99))
    assert tree.name(index.best_candidate()) == "a2", "a preference does not pass to what is built on it"


def test_a_preference_gives_way_to_more_work(tree: Tree) -> None:
    tree.add("a", "genesis")
    tree.add("b", "genesis")
    index = tree.index("a")
    index.prefer(tree.entries["b"])
    move(index, tree.entries["b"])
    index.link(tree.add("a2", "a"))
    assert tree.name(index.best_candidate()) == "a2"


# ── ways through the tree ───────────────────────────────────────────────────────────────────────────────────────────


def test_branches_heights_and_ancestors(tree: Tree) -> None:
    tree.line("genesis", "a1", "a2", "a3")
    tree.line("a1", "b2", "b3", "b4")
    index = tree.index("a3")
    entries = tree.entries
    assert tree.names(index.branch(entries["b4"])) == ["b2", "b3", "b4"]
    assert index.branch(entries["a2"]) == []
    assert [tree.name(index.best_at(height)) for height in (-1, 0, 3, 4)] == ["", "genesis", "a3", ""]
    assert [tree.name(index.ancestor(entries["b4"], height)) for height in range(5)] == [
        "genesis", "a1", "b2", "b3", "b4",
    ]  # fmt: skip
    assert [tree.name(index.ancestor(entries["a3"], height)) for height in range(4)] == ["genesis", "a1", "a2", "a3"]
    assert index.parent(entries["genesis"]) is None
    assert tree.names(list(index.descendants(entries["a1"]))) == ["a2", "b2", "b3", "b4", "a3"]
    assert not index.is_best(entries["b2"])
    assert not index.is_best(entries["b4"]), "higher than the tip"
    move(index, entries["b4"])
    assert [tree.name(index.best_at(height)) for height in range(5)] == ["genesis", "a1", "b2", "b3", "b4"]
    assert tree.name(index.tip) == "b4"
    branch = Branch(index, entries["a3"])
    assert branch.header_at(2) == entries["a2"].header


def test_the_median_is_of_a_block_and_the_ten_before_it_on_its_own_branch(tree: Tree) -> None:
    on = "genesis"
    for number in range(1, 13):
        tree.add(f"a{number}", on, time=START + 100 * number)
        on = f"a{number}"
    tree.add("b12", "a11", time=START + 1)
    index = tree.index("a12")
    assert index.median_time_past(tree.entries["a12"]) == START + 700
    assert index.median_time_past(tree.entries["a11"]) == START + 600
    assert index.median_time_past(tree.entries["a1"]) == START + 100
    assert index.median_time_past(tree.entries["genesis"]) == START
    assert index.median_time_past(tree.entries["b12"]) == START + 600
    assert Branch(index, tree.entries["b12"]).median_time_at(11) == START + 600

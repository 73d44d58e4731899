"""The best order of dependent transactions, against every order there is."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.policy import MAX_CLUSTER_COUNT
from shared.pool import linearize as module
from shared.pool.graph import Graph
from shared.pool.linearize import Chunk, Member, improves, linearize

Family = tuple[dict[bytes, Member], Graph]


def name(number: int) -> bytes:
    return number.to_bytes(2)


def family(*rows: tuple[int, int, tuple[int, ...]]) -> Family:
    """Members by number: fee, size, numbers of parents."""
    graph = Graph()
    for number, (_, _, parents) in enumerate(rows):
        for parent in parents:
            graph.link(name(parent), name(number))
    return {name(number): Member(fee, size) for number, (fee, size, _) in enumerate(rows)}, graph


def chunks(found: Family) -> list[tuple[int, int]]:
    """Fee and size of each chunk."""
    return [(chunk.fee, chunk.size) for chunk in linearize(*found)]


def numbers(found: Family) -> list[set[int]]:
    return [{int.from_bytes(txid) for txid in chunk.txids} for chunk in linearize(*found)]


@st.composite
def families(draw: st.DrawFn) -> Family:
    rows = []
    for number in range(draw(st.integers(1, 7))):
        parents = draw(st.sets(st.integers(0, number - 1))) if number else set()
        rows.append((draw(st.integers(-50, 100)), draw(st.integers(1, 20)), tuple(parents)))
    return family(*rows)


def is_closed(chosen: set[bytes], graph: Graph, within: set[bytes]) -> bool:
    return all(graph.parents(txid) & within <= chosen for txid in chosen)


def closed_sets(found: Family, within: set[bytes] | None = None) -> list[tuple[int, int]]:
    """Fee and size of every set of members that has all parents of its own, the empty one apart."""
    members, graph = found
    within = set(members) if within is None else within
    return [
        (sum(members[txid].fee for txid in chosen), sum(members[txid].size for txid in chosen))
        for count in range(1, len(within) + 1)
        for chosen in map(set, combinations(within, count))
        if is_closed(chosen, graph, within)
    ]


def check_order(found: Family, order: list[Chunk]) -> None:
    """Check that chunks have every member once, parents first, with its fee and size, and the best payers first."""
    members, graph = found
    seen: set[bytes] = set()
    for chunk in order:
        for txid in chunk.txids:
            assert txid not in seen
            assert graph.parents(txid) <= seen
            seen.add(txid)
        assert chunk.fee == sum(members[txid].fee for txid in chunk.txids)
        assert chunk.size == sum(members[txid].size for txid in chunk.txids)
    assert seen == members.keys()
    rates = [Fraction(chunk.fee, chunk.size) for chunk in order]
    assert rates == sorted(rates, reverse=True)


@given(families())
def test_no_set_earns_more_than_the_chunks_do_at_its_size(found: Family) -> None:
    order = linearize(*found)
    check_order(found, order)
    for fee, size in closed_sets(found):
        start_fee = start = 0
        for chunk in order:
            if start + chunk.size >= size:
                assert fee <= start_fee + Fraction(chunk.fee * (size - start), chunk.size)
                break
            start_fee, start = start_fee + chunk.fee, start + chunk.size


@given(families())
def test_a_chunk_has_only_what_must_be_mined_together(found: Family) -> None:
    for chunk in linearize(*found):
        rate = Fraction(chunk.fee, chunk.size)
        parts = [part for part in closed_sets(found, set(chunk.txids)) if part != (chunk.fee, chunk.size)]
        assert all(Fraction(fee, size) < rate for fee, size in parts)


def test_a_child_that_pays_more_is_mined_with_its_parent() -> None:
    assert chunks(family((10, 100, ()), (100, 100, (0,)))) == [(110, 200)]
    assert chunks(family((100, 100, ()), (10, 100, (0,)))) == [(100, 100), (10, 100)]


def test_two_children_pay_for_a_parent_together() -> None:
    found = family((0, 100, ()), (60, 100, (0,)), (60, 100, (0,)), (50, 100, ()))
    assert chunks(found) == [(50, 100), (120, 300)]


def test_one_parent_of_two_may_go_first() -> None:
    assert chunks(family((90, 100, ()), (0, 100, ()), (100, 100, (0, 1)))) == [(90, 100), (100, 200)]


def test_those_of_equal_feerates_that_do_not_need_each_other_are_chunks_of_their_own() -> None:
    assert numbers(family((100, 100, ()), (100, 100, (0,)), (100, 100, (0,)))) == [{0}, {1}, {2}]
    # 1 pays for its parent, and so does 2 for a third of its own.
    assert numbers(family((50, 100, ()), (150, 100, (0,)), (100, 100, (0,)))) == [{0, 1}, {2}]
    rows = [(0, 100, ()), (200, 100, (0,)), (0, 100, ()), (200, 100, (2, 1))]
    assert numbers(family(*rows)) == [{0, 1}, {2, 3}]


def test_a_child_that_is_older_than_its_parent_comes_after_it() -> None:
    members, graph = family((10, 100, ()), (1_000, 100, (0,)), (9_000, 100, (1,)))
    [chunk] = linearize(dict(reversed(members.items())), graph)
    assert chunk.txids == (name(0), name(1), name(2))


def test_nothing_has_no_chunks() -> None:
    assert chunks(family()) == []


def large(shape: str) -> Family:
    count = MAX_CLUSTER_COUNT + 1
    parents = {"chain": lambda n: (n - 1,), "fan": lambda n: (0,), "tree": lambda n: ((n - 1) // 2,)}[shape]
    return family(*((n * 7_919 % 1_000, 400, parents(n) if n else ()) for n in range(count)))


@pytest.mark.parametrize("shape", ["chain", "fan", "tree"])
def test_a_cluster_that_is_larger_than_the_pool_admits_has_a_good_order_too(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = large(shape)
    order = linearize(*found)
    check_order(found, order)
    monkeypatch.setattr(module, "MAX_CLUSTER_COUNT", MAX_CLUSTER_COUNT + 1)
    best = linearize(*found)
    check_order(found, best)
    assert not improves(order, best)
    if shape != "tree":
        assert not improves(best, order), "these are best as they are"


@given(families())
def test_the_quick_order_is_an_order_too_and_never_better_than_the_best(found: Family) -> None:
    members, graph = found
    order = [
        chunk
        for cluster in graph.clusters(members)
        for chunk in module._best_payers_first({txid: members[txid] for txid in cluster}, graph)
    ]
    order.sort(key=lambda chunk: Fraction(chunk.fee, chunk.size), reverse=True)
    check_order(found, order)
    assert not improves(order, linearize(*found))


def diagram(*rows: tuple[int, int]) -> list[Chunk]:
    return [Chunk(fee, size) for fee, size in rows]


def test_better_is_better_somewhere_and_worse_nowhere() -> None:
    before = diagram((100, 100), (50, 100))
    assert not improves(before, before)
    assert improves(diagram((101, 100), (50, 100)), before)
    assert improves(diagram((100, 100), (51, 100)), before)
    assert improves(diagram((100, 50), (50, 100)), before), "the same fees, sooner"
    assert not improves(diagram((240, 300)), before), "more in all, less in a block of 100"
    assert not improves(diagram((99, 100), (100, 100)), before)
    assert improves(diagram((150, 150)), diagram((150, 200)))
    assert improves(diagram((1, 1)), [])
    assert not improves([], diagram((1, 1)))
    assert improves([], diagram((-1, 1))), "what takes more than it gives is better gone"


@given(families(), families())
def test_of_two_diagrams_at_most_one_is_better(one: Family, other: Family) -> None:
    first, second = linearize(*one), linearize(*other)
    assert not (improves(first, second) and improves(second, first))


def test_a_child_takes_back_its_whole_surplus_from_a_parent_that_another_child_pays_for():
    found = family((0, 1, ()), (1, 3, ()), (3, 1, (0, 1)), (10, 1, (0,)))
    assert numbers(found) == [{0, 3}, {1, 2}]
    assert chunks(found) == [(10, 2), (4, 4)]

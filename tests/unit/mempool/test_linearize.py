"""The best order of dependent transactions, against every order there is."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from services.mempool.pool.linearize import Chunk, Member, chunks, improves


def name(number: int) -> bytes:
    return bytes([number])


def members(*rows: tuple[int, int, tuple[int, ...]]) -> dict[bytes, Member]:
    """Members by number: fee, size, numbers of parents."""
    return {
        name(number): Member(fee, size, frozenset(map(name, parents)))
        for number, (fee, size, parents) in enumerate(rows)
    }


@st.composite
def clusters(draw: st.DrawFn) -> dict[bytes, Member]:
    count = draw(st.integers(1, 7))
    rows = []
    for number in range(count):
        parents = draw(st.sets(st.integers(0, number - 1))) if number else set()
        rows.append((draw(st.integers(-50, 100)), draw(st.integers(1, 20)), tuple(parents)))
    return members(*rows)


def closed_sets(cluster: dict[bytes, Member]) -> list[Chunk]:
    """Fee and size of every set of members that has all parents of its own."""
    return [
        (sum(cluster[txid].fee for txid in chosen), sum(cluster[txid].size for txid in chosen))
        for count in range(1, len(cluster) + 1)
        for chosen in map(set, combinations(cluster, count))
        if all(cluster[txid].parents <= chosen for txid in chosen)
    ]


@given(clusters())
def test_no_set_earns_more_than_the_chunks_do_at_its_size(cluster: dict[bytes, Member]) -> None:
    found = chunks(cluster)
    assert (sum(fee for fee, _ in found), sum(size for _, size in found)) == closed_sets(cluster)[-1]
    rates = [Fraction(*chunk) for chunk in found]
    assert rates == sorted(rates, reverse=True)
    ends = {(0, 0)}
    fee = size = 0
    for chunk in found:
        fee, size = fee + chunk[0], size + chunk[1]
        ends.add((fee, size))
    assert ends - {(0, 0)} <= set(closed_sets(cluster)), "each end of a chunk is a set that can be mined"
    for fee, size in closed_sets(cluster):
        start_fee = start = 0
        for chunk in found:
            if start + chunk[1] >= size:
                assert fee <= start_fee + Fraction(chunk[0] * (size - start), chunk[1])
                break
            start_fee, start = start_fee + chunk[0], start + chunk[1]


def test_a_child_that_pays_more_is_mined_with_its_parent() -> None:
    assert chunks(members((10, 100, ()), (100, 100, (0,)))) == [(110, 200)]
    assert chunks(members((100, 100, ()), (10, 100, (0,)))) == [(100, 100), (10, 100)]


def test_two_children_pay_for_a_parent_together() -> None:
    cluster = members((0, 100, ()), (60, 100, (0,)), (60, 100, (0,)), (50, 100, ()))
    assert chunks(cluster) == [(50, 100), (120, 300)]


def test_one_parent_of_two_may_go_first() -> None:
    assert chunks(members((90, 100, ()), (0, 100, ()), (100, 100, (0, 1)))) == [(90, 100), (100, 200)]


def test_nothing_has_no_chunks() -> None:
    assert chunks({}) == []


def test_better_is_better_somewhere_and_worse_nowhere() -> None:
    before = [(100, 100), (50, 100)]
    assert not improves(before, before)
    assert improves([(101, 100), (50, 100)], before)
    assert improves([(100, 100), (51, 100)], before)
    assert improves([(100, 50), (50, 100)], before), "the same fees, sooner"
    assert not improves([(240, 300)], before), "more in all, less in a block of 100"
    assert not improves([(99, 100), (100, 100)], before)
    assert improves([(150, 150)], [(150, 200)])
    assert improves([(1, 1)], [])
    assert not improves([], [(1, 1)])
    assert improves([], [(-1, 1)]), "what takes more than it gives is better gone"


@given(clusters(), clusters())
def test_of_two_diagrams_at_most_one_is_better(one: dict[bytes, Member], other: dict[bytes, Member]) -> None:
    assert not (improves(chunks(one), chunks(other)) and improves(chunks(other), chunks(one)))

"""Which transactions a block gets, and in which order."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mempool.mining import template
from services.mempool.mining.template import Candidate, choose
from shared import policy
from shared.bus.events import BlockTemplate
from shared.consensus.limits import MAX_BLOCK_SIGOPS_COST, MAX_BLOCK_WEIGHT
from shared.errors import DecodeError
from shared.primitives.block import Block
from shared.primitives.merkle import block_merkle_root, root_from_branch
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut


def transaction(number: int, size: int = 100) -> Transaction:
    return Transaction(2, (TxIn(OutPoint(bytes([number + 1]) * 32, 0), bytes(size)),), (TxOut(1, b""),), 0)


def family(
    fees: list[int], parents: dict[int, list[int]], sizes: list[int] | None = None, sigops: int = 4
) -> list[Candidate]:
    """Return candidates by number; `parents` maps a child's number to its parents' numbers."""
    txs = [transaction(n, sizes[n] if sizes else 100) for n in range(len(fees))]

    def ancestors(n: int) -> set[int]:
        found = {n}
        for parent in parents.get(n, []):
            found |= ancestors(parent)
        return found

    above = [ancestors(n) for n in range(len(fees))]
    return [
        Candidate(
            tx=txs[n],
            fee=fees[n],
            modified_fee=fees[n],
            vsize=txs[n].vsize,
            sigop_cost=sigops,
            ancestors=frozenset(txs[a].txid for a in above[n]),
            descendants=frozenset(txs[d].txid for d in range(len(fees)) if n in above[d]),
        )
        for n in range(len(fees))
    ]


def order(candidates: list[Candidate]) -> list[int]:
    return [candidates.index(chosen) for chosen in choose(candidates)]


def test_the_best_feerate_comes_first() -> None:
    assert order(family([100, 300, 200], {})) == [1, 2, 0]


def test_a_child_pays_for_its_parent() -> None:
    assert order(family([10, 1_000, 300], {1: [0]})) == [0, 1, 2]


def test_a_parent_that_pays_well_does_not_wait_for_a_poor_child() -> None:
    assert order(family([1_000, 10, 300], {1: [0]})) == [0, 2, 1]


def test_a_second_child_pays_for_itself_alone_once_the_parent_is_in() -> None:
    # Parent 0 and child 1 pay 505 on average; child 2 would bring the package down, but alone it beats 3.
    assert order(family([10, 1_000, 400, 300], {1: [0], 2: [0]})) == [0, 1, 2, 3]


def test_what_does_not_fit_is_left_out_with_its_descendants() -> None:
    huge = MAX_BLOCK_WEIGHT // 4 - 500
    candidates = family([10**9, 10, 1_000], {1: [0]}, sizes=[huge + 2_000, 100, 100])
    assert order(candidates) == [2]


def test_a_block_is_filled_up_with_what_still_fits() -> None:
    half = MAX_BLOCK_WEIGHT // 8
    assert order(family([10**9, 10**8, 1_000], {}, sizes=[half, half, 100])) == [0, 2]


def test_signature_operations_are_limited() -> None:
    candidates = family([3, 2, 1], {}, sigops=MAX_BLOCK_SIGOPS_COST // 2)
    assert order(candidates) == [0]


@given(st.data())
def test_parents_come_first_and_limits_hold_for_any_family(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 14))
    parents = {n: data.draw(st.lists(st.integers(0, n - 1), max_size=3, unique=True)) for n in range(1, count)}
    fees = data.draw(st.lists(st.integers(1_000, 100_000), min_size=count, max_size=count))
    sizes = data.draw(st.lists(st.sampled_from([10, 500, 400_000]), min_size=count, max_size=count))
    candidates = family(fees, parents, sizes)
    chosen = choose(candidates)
    assert len({candidate.tx.txid for candidate in chosen}) == len(chosen)
    seen: set[bytes] = set()
    for candidate in chosen:
        seen.add(candidate.tx.txid)
        assert candidate.ancestors <= seen
    assert policy.BLOCK_RESERVED_WEIGHT + sum(c.tx.weight for c in chosen) <= MAX_BLOCK_WEIGHT
    if sum(c.tx.weight for c in candidates) + policy.BLOCK_RESERVED_WEIGHT <= MAX_BLOCK_WEIGHT:
        assert len(chosen) == count, "nothing is left out without need"


def filled(message: BlockTemplate, extranonce: bytes) -> bytes:
    return bytes.fromhex(message.coinbase_prefix) + extranonce + bytes.fromhex(message.coinbase_suffix)


def build(txs: list[Transaction]) -> template.Template:
    return template.build(
        job_id="j",
        txs=txs,
        reward=5_000,
        script_pubkey=b"\x51",
        height=300,
        previous_hash=bytes(32),
        bits=0x207FFFFF,
        time=2_000,
        min_time=1_000,
    )


def test_a_solution_becomes_the_block_that_the_merkle_branch_promised() -> None:
    txs = [transaction(n) for n in range(5)]
    made = build(txs)
    message = made.message
    coinbase = (
        bytes.fromhex(message.coinbase_prefix) + b"x" * message.extranonce_size + bytes.fromhex(message.coinbase_suffix)
    )
    block = made.complete(bytes(80), coinbase)
    assert isinstance(block, Block)
    assert list(block.transactions[1:]) == txs
    assert block.transactions[0].serialize(include_witness=False) == coinbase
    branch = [bytes.fromhex(node) for node in message.merkle_branch]
    assert root_from_branch(block.transactions[0].txid, branch, 0) == block_merkle_root(block)[0]
    assert block.transactions[0].inputs[0].script_sig.startswith(b"\x02\x2c\x01")
    assert block.transactions[0].outputs[0] == TxOut(5_000, b"\x51")


@pytest.mark.parametrize(
    ("header", "coinbase"), [(b"", None), (bytes(79), None), (bytes(80), b""), (bytes(80), b"\x00" * 10)]
)
def test_a_solution_that_does_not_decode_is_named(header: bytes, coinbase: bytes | None) -> None:
    made = build([])
    good = filled(made.message, bytes(made.message.extranonce_size))
    with pytest.raises(DecodeError):
        made.complete(header, good if coinbase is None else coinbase)


def test_reserved_space_is_what_core_reserves() -> None:
    assert policy.BLOCK_RESERVED_WEIGHT == 8_000
    assert policy.BLOCK_RESERVED_SIGOPS == 400


def test_what_pays_nothing_is_not_mined_unless_a_child_pays_for_it() -> None:
    assert choose(family([0], {}, [10])) == []
    parent, child = family([0, 1_000], {1: [0]}, [10, 10])
    assert choose([parent, child]) == [parent, child]


def test_a_priority_counts_for_the_choice_and_not_for_the_reward() -> None:
    poor, rich = family([1_000, 2_000], {}, [10, 10])
    lifted = dataclasses.replace(poor, modified_fee=5_000)
    assert choose([lifted, rich]) == [lifted, rich]
    assert choose([dataclasses.replace(rich, modified_fee=0), poor]) == [poor]

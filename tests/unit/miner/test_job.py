"""Templates, extranonces, attempts and headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.miner.job import Attempt, Job, extranonce
from services.miner.kernels.hashlib_kernel import search
from shared.bus.events import BlockTemplate
from shared.consensus.params import REGTEST
from shared.consensus.pow import bits_to_target
from shared.crypto.hashes import sha256d
from shared.errors import DecodeError
from shared.primitives.block import BlockHeader
from shared.primitives.merkle import merkle_branch, merkle_root

GENESIS = REGTEST.genesis
EASY = bits_to_target(0x207FFFFF)


def template(**changes: object) -> BlockTemplate:
    values: dict[str, object] = {
        "id": "t1",
        "height": 5,
        "version": 0x20000000,
        "previous_hash": GENESIS.hash_hex,
        "bits": 0x207FFFFF,
        "time": 1_700_000_000,
        "min_time": 1_600_000_000,
        "coinbase_prefix": "aabb",
        "coinbase_suffix": "ccdd",
        "extranonce_size": 32,
        "merkle_branch": (),
    }
    return BlockTemplate(**(values | changes))  # type: ignore[arg-type]


# ── extranonce ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_extranonce_has_name_own_bytes_counter_and_nuls() -> None:
    assert extranonce("rig-1", b"abcdef", 258, 20) == b"/rig-1/abcdef\x02\x01" + bytes(5)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (8, b"abcdef\x01\0"),
        (9, b"/abcdef\x01\0"),
        (10, b"//abcdef\x01\0"),
        (13, b"/rig/abcdef\x01\0"),
        (15, b"/rig-1/abcdef\x01\0"),
    ],
)
def test_a_name_that_does_not_fit_is_cut(size: int, expected: bytes) -> None:
    assert extranonce("rig-1", b"abcdef", 1, size) == expected


def test_an_extranonce_without_room_for_its_counter_is_refused() -> None:
    with pytest.raises(DecodeError, match="7 extranonce bytes"):
        extranonce("", b"abcdef", 1, 7)


@given(st.integers(8, 60), st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1))
def test_no_two_counters_give_the_same_extranonce(size: int, one: int, other: int) -> None:
    first, second = (extranonce("name", b"abcdef", counter, size) for counter in (one, other))
    assert len(first) == size
    assert (first == second) == (one == other)


# ── attempts ────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.sets(st.integers(0, 2**64 - 1), min_size=2, max_size=50))
def test_no_two_attempts_are_the_same(numbers: set[int]) -> None:
    assert len({Attempt.at(number) for number in numbers}) == len(numbers)


@pytest.mark.parametrize(
    ("number", "attempt"),
    [
        (0, Attempt(0, 0, 0)),
        (2**32 - 1, Attempt(0, 0, 2**32 - 1)),
        (2**32, Attempt(0, 1, 0)),
        (2**48 - 1, Attempt(0, 2**16 - 1, 2**32 - 1)),
        (2**48, Attempt(1, 0, 0)),
        (2**64 - 1, Attempt(2**16 - 1, 2**16 - 1, 2**32 - 1)),
        (2**64, Attempt(0, 0, 0)),
    ],
)
def test_a_space_has_nonces_then_version_bits_then_extranonces(number: int, attempt: Attempt) -> None:
    assert Attempt.at(number) == attempt


def test_rolled_bits_are_those_that_mean_nothing() -> None:
    job = Job.from_template(template())
    versions = {BlockHeader.parse(job.work(bytes(32), roll, 0).header_76 + bytes(4)).version for roll in range(1 << 16)}
    assert len(versions) == 1 << 16
    assert {version & ~0x1FFFE000 for version in versions} == {0x20000000}, "BIP320"


# ── job ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_header_commits_to_the_coinbase_through_the_branch() -> None:
    others = [sha256d(bytes([n])) for n in range(4)]
    branch = merkle_branch([bytes(32), *others], 0)
    job = Job.from_template(template(merkle_branch=tuple(item.hex() for item in branch)))
    work = job.work(b"e" * 32, 0, 0)
    assert work.coinbase == b"\xaa\xbb" + b"e" * 32 + b"\xcc\xdd"
    header = BlockHeader.parse(work.header_76 + bytes(4))
    assert header.merkle_root == merkle_root([sha256d(work.coinbase), *others])[0]
    assert (header.version, header.prev_hash, header.bits) == (0x20000000, GENESIS.hash, 0x207FFFFF)


@pytest.mark.parametrize(
    ("seconds", "min_time", "expected"),
    [(0, 0, 1_700_000_000), (7, 0, 1_700_000_007), (0, 1_700_000_100, 1_700_000_100), (1 << 33, 0, 0xFFFFFFFF)],
)
def test_the_time_moves_forward_and_never_below_its_minimum(seconds: int, min_time: int, expected: int) -> None:
    work = Job.from_template(template(min_time=min_time)).work(bytes(32), 0, seconds)
    assert BlockHeader.parse(work.header_76 + bytes(4)).time == expected


def test_a_claim_is_a_block_that_meets_the_target() -> None:
    work = Job.from_template(template()).work(bytes(32), 0, 0)
    nonce = search(work.header_76, work.target, 0, 1000)
    assert nonce is not None
    claim = work.claim(nonce, "rig-1")
    header = BlockHeader.parse(bytes.fromhex(claim.header or ""))
    assert (claim.template_id, claim.miner, claim.coinbase) == ("t1", "rig-1", work.coinbase.hex())
    assert int.from_bytes(header.hash, "little") <= EASY
    assert header.hash_hex == work.hash_hex(nonce)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 0}, "no hash can meet"),
        ({"bits": 0x20800000}, "no hash can meet"),
        ({"previous_hash": "00"}, "64 hex digits"),
        ({"coinbase_prefix": "xx"}, "coinbase prefix"),
        ({"coinbase_suffix": "a"}, "coinbase suffix"),
        ({"merkle_branch": ("00",)}, "32 bytes"),
        ({"extranonce_size": 7}, "extranonce"),
        ({"version": 1 << 31}, "cannot hold"),
        ({"min_time": -5, "time": -9}, "cannot hold"),
    ],
)
def test_a_template_that_makes_no_header_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        Job.from_template(template(**change))

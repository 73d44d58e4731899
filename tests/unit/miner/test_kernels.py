"""Both kernels find the same nonces, bit for bit; the compiled one with vectors of every width."""

from __future__ import annotations

import hashlib
import struct
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.miner.kernels import choice, hashlib_kernel
from services.miner.kernels.kernel import NONCES, Kernel, Search
from services.miner.kernels.sha256_words import INITIAL_STATE, compress
from shared.consensus.params import REGTEST
from shared.consensus.pow import bits_to_target
from shared.crypto.hashes import sha256d
from shared.errors import ConfigError
from tests.oracles import oracle

llvm_kernel: ModuleType | None = None
if sys.platform == "linux":  # where pyproject.toml has llvmlite
    oracle("llvmlite")
    from services.miner.kernels import llvm_kernel

GENESIS = REGTEST.genesis
EASY = bits_to_target(0x207FFFFF)
HEADER = bytes(range(76))


@cache
def compiled(lanes: int) -> Search:
    assert llvm_kernel is not None
    search: Search = llvm_kernel.LlvmSearch(lanes)
    return search


KERNELS = [
    pytest.param(lambda: hashlib_kernel.search, id="hashlib"),
    *(
        pytest.param(lambda lanes=lanes: compiled(lanes), id=f"llvm-{lanes}")
        for lanes in ((4, 8, 16) if llvm_kernel else ())
    ),
]


@pytest.fixture(params=KERNELS)
def search(request: pytest.FixtureRequest) -> Search:
    found: Search = request.param()
    return found


def test_it_finds_the_nonce_of_the_genesis_block(search: Search) -> None:
    header = GENESIS.header.serialize()[:76]
    assert search(header, EASY, 2, 100) == GENESIS.header.nonce
    assert GENESIS.header.nonce == 2


def test_it_finds_the_nonce_of_the_first_bitcoin_block(search: Search) -> None:
    header = bytes.fromhex(
        "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f61"
        "7fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d"
    )
    target = bits_to_target(0x1D00FFFF)
    assert search(header, target, 2083236893 - 50, 100) == 2083236893
    assert search(header, target, 2083236893 - 50, 50) is None
    assert search(header, target, 2083236893 - 50, 51) == 2083236893
    assert search(header, target, 2083236894, 100) is None


def test_a_hash_that_equals_the_target_meets_it(search: Search) -> None:
    header = GENESIS.header.serialize()[:76]
    exact = int.from_bytes(GENESIS.hash, "little")
    assert search(header, exact, 2, 1) == 2
    assert search(header, exact - 1, 2, 1) is None


def test_nonces_end_at_32_bits(search: Search) -> None:
    assert search(bytes(76), 0, NONCES - 3, 100) is None
    best = min((int.from_bytes(sha256d(HEADER + struct.pack("<I", NONCES - n)), "little"), n) for n in range(1, 40))
    assert search(HEADER, best[0], NONCES - 39, 1_000) == NONCES - best[1]


@pytest.mark.parametrize("count", [0, -1])
def test_no_nonces_have_no_solution(search: Search, count: int) -> None:
    assert search(HEADER, (1 << 256) - 1, 7, count) is None


@pytest.mark.parametrize("size", [75, 80])
def test_it_refuses_what_is_not_a_header_without_nonce(search: Search, size: int) -> None:
    with pytest.raises(ValueError, match="76 bytes"):
        search(bytes(size), EASY, 0, 1)


@pytest.mark.parametrize("make", [kernel.values[0] for kernel in KERNELS], ids=[kernel.id for kernel in KERNELS])
def test_it_agrees_with_plain_hashing(make: Callable[[], Search]) -> None:
    search = make()

    @given(st.binary(min_size=76, max_size=76), st.integers(0, 2**32 - 1), st.integers(1, 100), st.integers(1, 255))
    def agrees(header: bytes, start: int, count: int, bits: int) -> None:
        target = (1 << (256 - bits % 12)) - 1 - (bits << 240) // 1024
        nonces = range(start, min(start + count, NONCES))
        expected = (n for n in nonces if int.from_bytes(sha256d(header + struct.pack("<I", n)), "little") <= target)
        assert search(header, target, start, count) == next(expected, None)

    agrees()


def test_all_solutions_of_a_long_row_of_nonces_are_found(search: Search) -> None:
    """A search goes on behind each hit: hits stand in every lane, several in one vector, and at the ends of slices."""

    def solutions(kernel: Search, start: int, end: int, target: int) -> list[int]:
        found = []
        while (nonce := kernel(HEADER, target, start, end - start)) is not None:
            found.append(nonce)
            start = nonce + 1
        return found

    for target in (1 << 254, 1 << 248):
        hits = solutions(search, 12_345, 22_345, target)
        assert hits == solutions(hashlib_kernel.search, 12_345, 22_345, target)
        assert {hit % 16 for hit in hits} == set(range(16)) or target < 1 << 254


def test_the_state_between_two_blocks_is_that_of_sha256() -> None:
    assert INITIAL_STATE[:2] == (0x6A09E667, 0xBB67AE85)
    for text in (b"", b"abc", bytes(range(55))):
        block = (text + b"\x80").ljust(56, b"\0") + struct.pack(">Q", 8 * len(text))
        words = compress(struct.unpack(">16I", block), INITIAL_STATE)
        assert struct.pack(">8I", *words) == hashlib.sha256(text).digest()


# ── the choice ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_kernel_is_measured_when_it_is_made() -> None:
    def slow(header_76: bytes, target: int, start: int, count: int) -> None:
        assert (target, start) == (0, 0), "no hash is zero"
        time.sleep(count / 100_000)

    kernel = Kernel.measured("slow", slow)
    assert 10_000 < kernel.rate <= 100_000
    assert choice.plain_kernel().name == "hashlib"


@pytest.mark.parametrize(
    ("name", "installed", "wanted"),
    [("hashlib", True, False), ("auto", True, True), ("auto", False, False), ("llvm", True, True)],
)
def test_auto_compiles_where_the_package_is(
    name: str, installed: bool, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda _: object() if installed else None)
    assert choice.is_compiled_wanted(name) is wanted


def test_a_kernel_that_was_asked_for_by_name_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"llvmlite \(requirements/miner.lock"):
        choice.is_compiled_wanted("llvm")


@pytest.mark.skipif(llvm_kernel is None, reason="llvmlite is for Linux")
def test_the_compiled_kernel_is_many_times_as_fast() -> None:
    used: list[Kernel] = []
    choice.compile_kernel("llvm", used.append)
    (kernel,) = used
    assert kernel.name == "llvm"

    def seconds(search: Search, count: int) -> float:
        """Processor time of this thread for a million nonces: other processes do not count."""
        best = 1e9
        for _ in range(3):
            before = time.thread_time()
            assert search(HEADER, 0, 0, count) is None
            best = min(best, time.thread_time() - before)
        return best / count * 1e6

    assert seconds(kernel.search, 2_000_000) * 4 < seconds(hashlib_kernel.search, 50_000)


@pytest.mark.skipif(llvm_kernel is None, reason="llvmlite is for Linux")
def test_a_search_lets_other_threads_run() -> None:
    search = compiled(16)
    thread = threading.Thread(target=lambda: search(HEADER, 0, 0, 100_000_000))
    thread.start()
    turns = 0
    while thread.is_alive():
        turns += 1
        thread.join(0.001)
    assert turns > 20


def test_a_kernel_that_finds_something_else_is_not_used() -> None:
    with pytest.raises(RuntimeError, match="do not agree"):
        choice.check(lambda header, target, start, count: None)
    choice.check(hashlib_kernel.search)


@pytest.mark.skipif(llvm_kernel is None, reason="llvmlite is for Linux")
def test_a_failure_to_compile_leaves_hashlib_at_work_unless_the_kernel_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise RuntimeError("LLVM does not know this processor")

    monkeypatch.setattr(llvm_kernel, "LlvmSearch", fail)
    used: list[Kernel] = []
    choice.compile_kernel("auto", used.append)
    assert used == []
    with pytest.raises(RuntimeError, match="this processor"):
        choice.compile_kernel("llvm", used.append)

"""The search as a program for this very processor, made by LLVM when the miner starts: 30 times as fast as `hashlib`.

Each lane of the processor's vectors tries a nonce of its own: sixteen at a time with AVX-512, eight with AVX2, four
elsewhere. The program is SHA-256 written out as one long row of vector operations: both compressions of a header's
double hash, without a branch or a table. Before the loop the state after the header's first 64 bytes is computed
once; the last three of the 128 rounds are left out, as a hash whose last word is too high needs no others. What remains
is checked with `hashlib`. Needs the package llvmlite, and half a second of one processor to compile.
"""

from __future__ import annotations

import ctypes
import hashlib
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from services.miner.kernels.kernel import NONCES, check_header
from services.miner.kernels.sha256_words import INITIAL_STATE, ROUND_CONSTANTS, compress

_WORD = ir.IntType(32)
_FUNCTION = "scan"
_TRIES = 1 << 20
"""The most vectors that one call of the program tries."""


class LlvmSearch:
    """A compiled search: see `kernel.Search`. It lets other threads have the interpreter while it runs.

    `lanes` is the number of nonces in a vector; by default as many as the processor's vectors hold.
    """

    def __init__(self, lanes: int | None = None) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        features = llvm.get_host_cpu_features()
        self.lanes = lanes or (16 if features.get("avx512f") else 8 if features.get("avx2") else 4)
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=2, jit=True
        )
        program = llvm.parse_assembly(_program(self.lanes, machine.triple))
        passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
        passes.getModulePassManager().run(program, passes)
        self._engine = llvm.create_mcjit_compiler(program, machine)  # owns the code
        self._engine.finalize_object()
        signature = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, *[ctypes.c_uint32] * 3)
        self._scan = signature(self._engine.get_function_address(_FUNCTION))

    def __call__(self, header_76: bytes, target: int, start_nonce: int, count: int) -> int | None:
        """See `kernel.Search`."""
        check_header(header_76)
        fixed = (ctypes.c_uint32 * 11)(*_midstate(header_76[:64]), *struct.unpack(">3I", header_76[64:]))
        highest = target >> 224
        nonce, end = start_nonce, min(start_nonce + count, NONCES)
        while nonce < end:
            tries = min(-(-(end - nonce) // self.lanes), _TRIES)
            passed = self._scan(fixed, nonce, tries, highest)
            if passed < tries:
                hit = nonce + passed * self.lanes
                for candidate in range(hit, min(hit + self.lanes, end)):
                    if _meets(header_76, candidate, target):
                        return candidate
                passed += 1
            nonce += passed * self.lanes
        return None


@lru_cache(maxsize=1)
def _midstate(first_64: bytes) -> tuple[int, ...]:
    """Return the state after the first block: the same for all slices of one header."""
    return compress(struct.unpack(">16I", first_64), INITIAL_STATE)


def _meets(header_76: bytes, nonce: int, target: int) -> bool:
    first = hashlib.sha256(header_76 + struct.pack("<I", nonce)).digest()
    return int.from_bytes(hashlib.sha256(first).digest(), "little") <= target


def _program(lanes: int, triple: str) -> str:
    """Return the source of `scan(fixed, nonce, tries, highest)` in LLVM's language.

    `fixed` are the eight words of the midstate and the header's last three before the nonce; the n-th of `tries`
    vectors has the nonces from `nonce` + n * lanes on. Returns the number of vectors before the first one with a hash
    whose most significant word is not above `highest`; `tries` if there is none.
    """
    module = ir.Module()
    module.triple = triple
    words = ir.VectorType(_WORD, lanes)
    function = ir.Function(module, ir.FunctionType(_WORD, [_WORD.as_pointer(), _WORD, _WORD, _WORD]), _FUNCTION)
    pointer, first_nonce, tries, highest = function.args
    entry, loop, following, end = (function.append_basic_block(name) for name in ("entry", "loop", "next", "end"))
    code = ir.IRBuilder(entry)
    vectors = _Vectors(code, module, words)

    fixed = [vectors.all(code.load(code.gep(pointer, [ir.Constant(_WORD, n)]))) for n in range(11)]
    numbers = ir.Constant(words, [ir.Constant(_WORD, lane) for lane in range(lanes)])
    first = code.add(vectors.all(first_nonce), numbers)
    code.branch(loop)

    code.position_at_end(loop)
    done = code.phi(_WORD)
    nonces = code.phi(words)
    word = _last_word(vectors, fixed[:8], fixed[8:], nonces)
    hit = code.icmp_unsigned("<=", vectors.least(word), highest)
    code.cbranch(hit, end, following)

    code.position_at_end(following)
    done_now = code.add(done, ir.Constant(_WORD, 1))
    nonces_now = code.add(nonces, vectors.constant(lanes))
    for value, begins, goes_on in ((done, ir.Constant(_WORD, 0), done_now), (nonces, first, nonces_now)):
        value.add_incoming(begins, entry)
        value.add_incoming(goes_on, following)
    code.cbranch(code.icmp_unsigned("<", done_now, tries), loop, end)

    code.position_at_end(end)
    result = code.phi(_WORD)
    result.add_incoming(done, loop)
    result.add_incoming(done_now, following)
    code.ret(result)
    # Without these LLVM divides vectors of 512 bits on processors that it takes for slow at them.
    width = f'"prefer-vector-width"="{32 * lanes}" "min-legal-vector-width"="{32 * lanes}"'
    return str(module).replace(")\n{", f") {width}\n{{", 1)


class _Vectors:
    """The operations of SHA-256 on a vector of words."""

    def __init__(self, code: ir.IRBuilder, module: ir.Module, words: ir.VectorType) -> None:
        self._code = code
        self._words = words
        name = f"v{words.count}i32"
        of_one, of_three = (ir.FunctionType(words, [words] * count) for count in (1, 3))
        self._funnel = ir.Function(module, of_three, f"llvm.fshl.{name}")
        self._swap = ir.Function(module, of_one, f"llvm.bswap.{name}")
        self._least = ir.Function(module, ir.FunctionType(_WORD, [words]), f"llvm.vector.reduce.umin.{name}")

    def constant(self, value: int) -> Any:
        """Return a vector with this word in all lanes."""
        return ir.Constant(self._words, [ir.Constant(_WORD, value)] * self._words.count)

    def all(self, value: Any) -> Any:
        """Return a vector with this word, computed by the program, in all lanes."""
        empty = ir.Constant(self._words, ir.Undefined)
        one = self._code.insert_element(empty, value, ir.Constant(_WORD, 0))
        firsts = ir.Constant(ir.VectorType(_WORD, self._words.count), [ir.Constant(_WORD, 0)] * self._words.count)
        return self._code.shuffle_vector(one, empty, firsts)

    def add(self, first: Any, *others: Any) -> Any:
        """Return a sum modulo 2^32."""
        for other in others:
            first = self._code.add(first, other)
        return first

    def swap_bytes(self, value: Any) -> Any:
        """Return words with their bytes in reverse."""
        return self._code.call(self._swap, [value])

    def least(self, value: Any) -> Any:
        """Return the lowest of the words."""
        return self._code.call(self._least, [value])

    def big_sigma(self, value: Any, *turns: int) -> Any:
        """Return the exclusive or of a word turned right in three ways."""
        return self._xor(*(self._turn(value, bits) for bits in turns))

    def small_sigma(self, value: Any, first: int, second: int, shift: int) -> Any:
        """Return the exclusive or of a word turned right in two ways and shifted right."""
        shifted = self._code.lshr(value, self.constant(shift))
        return self._xor(self._turn(value, first), self._turn(value, second), shifted)

    def choose(self, by: Any, one: Any, other: Any) -> Any:
        """Return the bits of `one` where `by` has a bit set, those of `other` elsewhere."""
        return self._code.xor(other, self._code.and_(by, self._code.xor(one, other)))

    def majority(self, one: Any, two: Any, three: Any) -> Any:
        """Return the bits that at least two words have."""
        either = self._code.and_(three, self._code.or_(one, two))
        return self._code.or_(self._code.and_(one, two), either)

    def _turn(self, value: Any, bits: int) -> Any:
        return self._code.call(self._funnel, [value, value, self.constant(32 - bits)])

    def _xor(self, first: Any, second: Any, third: Any) -> Any:
        return self._code.xor(self._code.xor(first, second), third)


def _last_word(vectors: _Vectors, midstate: Sequence[Any], tail: Sequence[Any], nonces: Any) -> Any:
    """Return the most significant word of each nonce's hash, taken as a little-endian number."""
    zero = vectors.constant(0)
    end_of_header = [*tail, vectors.swap_bytes(nonces), vectors.constant(1 << 31), *[zero] * 10, vectors.constant(640)]
    state = _rounds(vectors, end_of_header, midstate, 64)
    digest = [vectors.add(before, after) for before, after in zip(midstate, state, strict=True)]
    padded = [*digest, vectors.constant(1 << 31), *[zero] * 6, vectors.constant(256)]
    # After 61 rounds the fifth word is what the eighth will be after 64.
    state = _rounds(vectors, padded, [vectors.constant(word) for word in INITIAL_STATE], 61)
    return vectors.swap_bytes(vectors.add(state[4], vectors.constant(INITIAL_STATE[7])))


def _rounds(vectors: _Vectors, block: Sequence[Any], state: Sequence[Any], count: int) -> list[Any]:
    """Return SHA-256's state after the first `count` rounds (FIPS 180-4, 6.2.2)."""
    schedule = list(block)
    a, b, c, d, e, f, g, h = state
    for number in range(count):
        if number >= 16:
            older, newer = schedule[number - 15], schedule[number - 2]
            sigmas = vectors.small_sigma(older, 7, 18, 3), vectors.small_sigma(newer, 17, 19, 10)
            schedule.append(vectors.add(schedule[number - 16], sigmas[0], schedule[number - 7], sigmas[1]))
        input_ = vectors.add(h, vectors.add(vectors.constant(ROUND_CONSTANTS[number]), schedule[number]))
        first = vectors.add(input_, vectors.big_sigma(e, 6, 11, 25), vectors.choose(e, f, g))
        second = vectors.add(vectors.big_sigma(a, 2, 13, 22), vectors.majority(a, b, c))
        a, b, c, d, e, f, g, h = vectors.add(first, second), a, b, c, vectors.add(d, first), e, f, g
    return [a, b, c, d, e, f, g, h]

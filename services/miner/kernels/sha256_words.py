"""SHA-256's compression of one block in plain Python, with its constants (FIPS 180-4). Pure.

`hashlib` does not show the state between two blocks, which a search starts from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_MASK = 0xFFFFFFFF


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _cube_root(number: int) -> int:
    """Return the greatest number whose cube is not above `number`."""
    root: int = round(number ** (1 / 3))
    while root**3 > number:
        root -= 1
    while (root + 1) ** 3 <= number:
        root += 1
    return root


INITIAL_STATE = tuple(math.isqrt(prime << 64) & _MASK for prime in _primes(8))
"""The first 32 bits of the fractions of the square roots of the first eight primes."""
ROUND_CONSTANTS = tuple(_cube_root(prime << 96) & _MASK for prime in _primes(64))
"""Those of the cube roots of the first 64 primes."""


def compress(block: Sequence[int], state: Sequence[int]) -> tuple[int, ...]:
    """Return the state after a block of sixteen words."""
    schedule = list(block)
    for number in range(16, 64):
        older, newer = schedule[number - 15], schedule[number - 2]
        small_0 = _turn(older, 7) ^ _turn(older, 18) ^ (older >> 3)
        small_1 = _turn(newer, 17) ^ _turn(newer, 19) ^ (newer >> 10)
        schedule.append((schedule[number - 16] + small_0 + schedule[number - 7] + small_1) & _MASK)
    a, b, c, d, e, f, g, h = state
    for word, constant in zip(schedule, ROUND_CONSTANTS, strict=True):
        first = h + (_turn(e, 6) ^ _turn(e, 11) ^ _turn(e, 25)) + (g ^ (e & (f ^ g))) + constant + word
        second = (_turn(a, 2) ^ _turn(a, 13) ^ _turn(a, 22)) + ((a & b) | (c & (a | b)))
        a, b, c, d, e, f, g, h = (first + second) & _MASK, a, b, c, (d + first) & _MASK, e, f, g
    return tuple((before + after) & _MASK for before, after in zip(state, (a, b, c, d, e, f, g, h), strict=True))


def _turn(word: int, bits: int) -> int:
    return ((word >> bits) | (word << (32 - bits))) & _MASK

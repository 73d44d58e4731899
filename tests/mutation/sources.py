"""The modules that money, consensus and delivery hang on, and their changes."""

from __future__ import annotations

import hashlib
import itertools
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.mutation import lua_changes, python_changes
from tests.mutation.mutant import Mutant, Operator

ROOT = Path(__file__).resolve().parents[2]
REVIEWED = Path(__file__).with_name("reviewed.toml")

_PATTERNS = (
    *(f"shared/{room}/**/*.py" for room in ("crypto", "primitives", "script", "consensus", "pool", "chain", "bus")),
    *("shared/policy.py", "shared/servers/redis_errors.py", "shared/**/*.lua"),
    "services/mempool/*.py",
    *(f"services/mempool/{room}/*.py" for room in ("pool", "transactions", "blocks", "mining")),
    "services/miner/*.py",
    "services/miner/kernels/*.py",
    *(f"services/wallet/{name}.py" for name in ("handlers", "sessions", "store", "keys/*", "coins/*", "payments/*")),
)
_LEFT_OUT = ("__main__.py", "__init__.py", "reference.py")  # wiring, and what generates documentation


def paths(root: Path = ROOT, only: Sequence[str] = ()) -> list[str]:
    """Return the files to change; only files under one of the paths `only`, if there are any."""
    found = sorted({str(path.relative_to(root)) for pattern in _PATTERNS for path in root.glob(pattern)})
    wanted = [Path(one) for one in only] or [Path()]
    return [
        path
        for path in found
        if Path(path).name not in _LEFT_OUT and any(Path(path).is_relative_to(one) for one in wanted)
    ]


def mutants(path: str, source: bytes) -> list[Mutant]:
    """Return all changes of a file."""
    return (lua_changes if path.endswith(".lua") else python_changes).changes(path, source)


def sample(found: Sequence[Mutant], sources: Mapping[str, bytes], number: int, seed: int) -> list[Mutant]:
    """Draw some changes, evenly from each kind.

    Only a change's text and the seed decide whether it is drawn, so that a seed draws nearly the same changes after the
    code has changed elsewhere.
    """

    def lot(mutant: Mutant) -> bytes:
        before, after = mutant.lines(sources[mutant.path])
        return hashlib.sha256(f"{seed}\n{mutant.path}\n{before}\n{after}".encode()).digest()

    kinds = [sorted((one for one in found if one.operator is operator), key=lot) for operator in Operator]
    in_turn = (mutant for turn in itertools.zip_longest(*kinds) for mutant in turn if mutant is not None)
    return sorted(itertools.islice(in_turn, number))


class Reviewed:
    """The changes that were read and found to change no behaviour; known by their text, not by line numbers."""

    def __init__(self, entries: Iterable[dict[str, str]]) -> None:
        self._why = {(one["path"], one["before"].strip(), one["after"].strip()): one["why"] for one in entries}

    @classmethod
    def load(cls, path: Path = REVIEWED) -> Reviewed:
        return cls(tomllib.loads(path.read_text(encoding="utf-8")).get("change", []))

    def changes(self) -> set[tuple[str, str, str]]:
        """Return them all: path, lines before, lines after."""
        return set(self._why)

    def why(self, mutant: Mutant, source: bytes) -> str | None:
        """Return why a change changes nothing, if that is known."""
        return self._why.get((mutant.path, *mutant.lines(source)))

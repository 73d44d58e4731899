"""Which tests run a line: measured once by coverage.py, test by test, and kept in `.cache/mutation`.

The map is kept per test file, and made again for a test file that changed. A line of code is known by its module, the
function it is in and its text, so that the map stays true when lines move.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.mutation.mutant import Mutant
from tests.mutation.sources import ROOT

TRACED = ("shared/*", "services/mempool/*", "services/miner/*", "services/wallet/*")
_TEST_FILES = (
    *(f"unit/{room}" for room in ("bus", "chain", "consensus", "crypto", "mempool", "miner", "pool", "primitives")),
    *("unit/script", "unit/wallet", "unit/rpc", "unit/explorer", "unit/test_*.py", "conformance"),
    *(f"integration/{room}" for room in ("bus", "chain", "mempool", "miner", "rpc", "wallet", "explorer")),
)
_OF_A_PLUGIN = "test_schemathesis.py"
_BATCH = 6


@dataclass(frozen=True, slots=True)
class Test:
    """A test that passes on the code as it is."""

    id: str
    seconds: float
    servers: tuple[str, ...] = ()
    """Which of `redis` and `rabbitmq` it needs."""

    @property
    def file(self) -> str:
        """Its file, from the root of the tree."""
        return self.id.partition("::")[0]


def asked_files(root: Path = ROOT) -> list[str]:
    """Return the test files that are asked."""
    found: set[Path] = set()
    for name in _TEST_FILES:
        found.update(root.glob(f"tests/{name}" if name.endswith(".py") else f"tests/{name}/test_*.py"))
    return sorted(str(path.relative_to(root)) for path in found if path.name != _OF_A_PLUGIN)


def functions(source: str) -> dict[int, str]:
    """Return the qualified name of the function that each line is in; lines outside of functions are left out."""
    names: dict[int, str] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                name = f"{prefix}{child.name}"
                if not isinstance(child, ast.ClassDef):
                    for line in range(child.body[0].lineno, (child.end_lineno or 0) + 1):
                        names[line] = name
                visit(child, f"{name}.")
            else:
                visit(child, prefix)

    visit(ast.parse(source), "")
    return names


def line_keys(source: str) -> dict[int, str]:
    """Return line number → key of each line inside a function: the function and the line's text."""
    lines = source.splitlines()
    return {line: f"{name}|{lines[line - 1].strip()}" for line, name in functions(source).items()}


# ── making the map ──────────────────────────────────────────────────────────────────────────────────────────────


def _digest(root: Path, test_file: str) -> str:
    """Return the hash of a test file and its helpers, the other files of its folder."""
    path = root / test_file
    beside = [other for other in path.parent.glob("*.py") if not other.name.startswith("test_")]
    return hashlib.sha256(b"".join(one.read_bytes() for one in [path, *sorted(beside)])).hexdigest()


def _cache_file(root: Path, test_file: str) -> Path:
    return root / ".cache" / "mutation" / (test_file.replace("/", "-") + ".json")


def stale(root: Path = ROOT) -> list[str]:
    """Return the test files whose map is missing or was made from another text."""
    return [name for name in asked_files(root) if _kept(root, name).get("digest") != _digest(root, name)]


def _kept(root: Path, test_file: str) -> dict[str, Any]:
    """Return the map of a test file; empty if it was never run."""
    file = _cache_file(root, test_file)
    return json.loads(file.read_bytes()) if file.exists() else {}


def trace(files: Sequence[str], environment: dict[str, str], jobs: int, root: Path = ROOT) -> None:
    """Run test files under coverage and store the lines that they run. A failing test is left out, with a message."""
    (root / ".cache" / "mutation").mkdir(parents=True, exist_ok=True)
    by_kind = sorted(files, key=lambda name: hashlib.sha256(name.encode()).digest())  # slow and quick ones mixed
    batches = [by_kind[at : at + _BATCH] for at in range(0, len(by_kind), _BATCH)]
    done = 0
    with ThreadPoolExecutor(jobs) as pool:
        for batch, output in pool.map(lambda batch: _trace_batch(batch, environment, root), batches):
            done += len(batch)
            print(f"which tests run what: {done} of {len(files)} test files", flush=True)
            if failed := [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]:
                print("\n".join(["these fail on the code as it is and are left out:", *failed]), flush=True)


def _trace_batch(batch: Sequence[str], environment: dict[str, str], root: Path) -> tuple[Sequence[str], str]:
    outputs = {name: str(_cache_file(root, name)) for name in batch}
    digests = {name: _digest(root, name) for name in batch}
    result = subprocess.run(
        [*PYTEST, *batch],
        cwd=root,
        env={**environment, "MUTATION_TRACE": json.dumps({"digests": digests, "outputs": outputs})},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode > 1 or any(_kept(root, name).get("digest") != digests[name] for name in batch):
        raise RuntimeError(f"pytest cannot run {' '.join(batch)}:\n{result.stdout[-3000:]}{result.stderr[-3000:]}")
    return batch, result.stdout


PYTEST = (
    *(sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "--import-mode=importlib", "--tb=line", "-rfE"),
    *("-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin", "-p", "pytest_timeout"),
    *("-p", "xdist.plugin", "-n0"),
    *("-p", "tests.mutation.plugin", "--hypothesis-seed=0"),
)
"""Only the plugins that the tests need: the others take longer to load than a change to be noticed."""


def base_environment() -> dict[str, str]:
    """Return the environment of every pytest that is started."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUTATION_")}
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


# ── reading it ──────────────────────────────────────────────────────────────────────────────────────────────────


class Nearest:
    """Finds the tests that can notice a change."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._lines: dict[str, dict[str, set[Test]]] = defaultdict(lambda: defaultdict(set))
        self._by_word: dict[str, set[Test]] = defaultdict(set)
        """Identifier → the tests in files that contain it."""
        for name in asked_files(root):
            kept = _kept(root, name)
            tests = self._load(kept) if kept else set()  # a file that came while the others were measured
            for word in _words((root / name).read_text(encoding="utf-8")):
                self._by_word[word].update(tests)
        self._at_import = _run_at_import(root)

    def _load(self, kept: dict[str, Any]) -> set[Test]:
        tests = [
            Test(one["id"], one["seconds"], tuple(one["servers"])) if one["passed"] else None for one in kept["tests"]
        ]
        for path, keys in kept["lines"].items():
            for key, mask in keys.items():
                bits = int(mask, 16)
                self._lines[path][key].update(
                    test for number, test in enumerate(tests) if test is not None and bits >> number & 1
                )
        return {test for test in tests if test is not None}

    def tests(self, mutant: Mutant) -> tuple[set[Test], set[Test]]:
        """Return the tests that run the changed lines, and tests further off that may notice the change.

        A line that runs at import affects all tests of the module; a constant affects the tests that read it, or name
        it or its module.
        """
        if mutant.path.endswith(".lua"):
            return self._of_script(mutant.path), set()
        source = (self._root / mutant.path).read_text(encoding="utf-8")
        keys = line_keys(source)
        first, last = mutant.runs
        inside = [keys[line] for line in range(first, last + 1) if line in keys]
        if not inside:
            return self._readers(mutant.names), self._of_module(mutant.path) | self._by_word[Path(mutant.path).stem]
        found = self._of_keys(mutant.path, inside)
        if not found and not mutant.exact:
            function = inside[0].partition("|")[0] + "|"
            found = self._of_keys(mutant.path, (key for key in self._lines[mutant.path] if key.startswith(function)))
        is_at_import = not self._at_import[mutant.path].isdisjoint(range(first, last + 1))
        return found, self._of_module(mutant.path) if is_at_import else set()

    def _of_keys(self, path: str, keys: Iterable[str]) -> set[Test]:
        return set().union(*(self._lines[path].get(key, set()) for key in keys))

    def _of_module(self, path: str) -> set[Test]:
        return set().union(*self._lines[path].values())

    def _of_script(self, path: str) -> set[Test]:
        """Return the tests that run the line which loads a Lua script."""
        name = Path(path).stem
        room = Path(path).parent.parent
        loading = re.compile(rf'\w*source\("{name}"\)')
        found: set[Test] = set()
        for module in sorted((self._root / room).glob("*.py")):
            relative = str(module.relative_to(self._root))
            found |= self._of_keys(relative, (key for key in self._lines[relative] if loading.search(key)))
        return found

    def _readers(self, names: Sequence[str]) -> set[Test]:
        """Return the tests that run a line with one of these names, or contain one themselves."""
        found: set[Test] = set()
        for name in names:
            found |= self._by_word.get(name, set())
            for path, key in self._mentions.get(name, ()):
                found |= self._lines[path][key]
        return found

    @cached_property
    def _mentions(self) -> dict[str, list[tuple[str, str]]]:
        """Identifier → the lines that contain it."""
        mentions: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for path in sorted(self._lines):
            for key in self._lines[path]:
                for word in _words(key.partition("|")[2]):
                    mentions[word].append((path, key))
        return mentions


def _words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))


def _run_at_import(root: Path) -> dict[str, set[int]]:
    """Return the lines that importing the modules runs."""
    command = [sys.executable, "-m", "tests.mutation.imports"]
    result = subprocess.run(command, cwd=root, env=base_environment(), check=True, capture_output=True)
    return defaultdict(set, {path: set(lines) for path, lines in json.loads(result.stdout).items()})


def within(nearest: Iterable[Test], further: Iterable[Test], seconds: float) -> list[Test]:
    """Return the quickest tests that fit into a time, the nearest tests first.

    They are in order, file by file, the quickest file first.
    """
    chosen = list(_quickest(nearest, seconds))
    left = seconds - sum(test.seconds for test in chosen)
    others = _quickest(set(further).difference(nearest), left)
    return [test for part in (chosen, others) for _, group in _by_file(part) for test in group]


def _quickest(tests: Iterable[Test], seconds: float) -> Iterator[Test]:
    for test in sorted(tests, key=lambda test: (test.seconds, test.id)):
        seconds -= test.seconds
        if seconds < 0:
            return
        yield test


def _by_file(tests: Iterable[Test]) -> list[tuple[str, list[Test]]]:
    files: dict[str, list[Test]] = defaultdict(list)
    for test in tests:
        files[test.file].append(test)
    return sorted(files.items(), key=lambda item: sum(test.seconds for test in item[1]))

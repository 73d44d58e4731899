"""Checks that the locked packages are ready-made for every machine: `./warren lock --check-wheels`, which CI runs.

`./warren up` and `./warren test` promise to need only Python, so each package of the lock files must have a wheel for
every target below that its marker selects, and the wheel's hash must be locked. A package without any wheel passes if
its source builds into a wheel for all machines without a compiler. The index is the one that uv is configured with.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import canonicalize_name, parse_wheel_filename

from shared.process.backoff import backoff

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
NEWEST_GLIBC = 28
"""Newest minor version of glibc 2 that a wheel may need. Debian 11 and Ubuntu 20.04 have 2.31, RHEL 8 has 2.28."""
MACOS = (11, 0)
"""Newest macOS that a wheel may need: the first of Apple silicon."""
_LEGACY_GLIBC = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}

ATTEMPTS = 6
_LONGEST_WAIT = 32.0

Run = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]


class IndexProblem(Exception):
    """The package index gave no answer; the message has the client's failure."""


@dataclass(frozen=True)
class Platform:
    """A kind of machine, and the platform tags of wheels that it can install, the best first."""

    name: str
    tags: tuple[str, ...]
    markers: tuple[tuple[str, str], ...]


def _linux(machine: str) -> Platform:
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, 4, -1)]
    tags += [f"{legacy}_{machine}" for legacy in _LEGACY_GLIBC]
    return Platform(
        f"Linux {machine}",
        tuple(tags),
        (("sys_platform", "linux"), ("platform_system", "Linux"), ("platform_machine", machine)),
    )


PLATFORMS = (
    _linux("x86_64"),
    _linux("aarch64"),
    Platform(
        "macOS arm64",
        tuple(mac_platforms(MACOS, "arm64")),
        (("sys_platform", "darwin"), ("platform_system", "Darwin"), ("platform_machine", "arm64")),
    ),
)


@dataclass(frozen=True, eq=False)
class Target:
    """A version of CPython on a platform."""

    python: str
    platform: Platform

    @cached_property
    def tags(self) -> dict[Tag, int]:
        """Tag of an installable wheel → its rank; the best has rank 0."""
        version = tuple(int(part) for part in self.python.split("."))
        name = "cp" + self.python.replace(".", "")
        platforms = self.platform.tags
        tags = [*cpython_tags(version, [name], platforms), *compatible_tags(version, name, platforms)]
        return {tag: rank for rank, tag in reversed(list(enumerate(tags)))}

    def needs(self, marker: str | None) -> bool:
        """Tell whether a requirement with this marker is installed here, on any patch release of the Python."""
        if marker is None:
            return True
        environment = {
            **dict(self.platform.markers),
            "python_version": self.python,
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "os_name": "posix",
        }
        return any(
            Marker(marker).evaluate({**environment, "python_full_version": f"{self.python}.{patch}"})
            for patch in (0, 99)
        )

    def __str__(self) -> str:
        return f"Python {self.python} on {self.platform.name}"


TARGETS = tuple(Target(python, platform) for platform in PLATFORMS for python in PYTHONS)


@dataclass(frozen=True, eq=False)
class Package:
    """A locked version on the index: the hashes of its wheels by file name, and of its source."""

    name: str
    version: str
    marker: str | None
    wheels: Mapping[str, str]
    source: str | None

    def wheel_for(self, target: Target) -> str | None:
        """Return the file name of the wheel that a target installs, None if there is none for it."""
        fitting = self.wheels_for(target)
        return min(fitting, key=fitting.__getitem__, default=None)

    def wheels_for(self, target: Target) -> dict[str, int]:
        """Return file name → rank of the wheels that fit a target."""
        return {
            file: min(target.tags[tag] for tag in tags & target.tags.keys())
            for file, tags in self._tags.items()
            if not tags.isdisjoint(target.tags)
        }

    @cached_property
    def _tags(self) -> dict[str, frozenset[Tag]]:
        return {file: parse_wheel_filename(file)[3] for file in self.wheels}


class Verdict(StrEnum):
    """The result for a package on a target, as the table shows it."""

    PURE = "any"
    WHEEL = "wheel"
    SOURCE = "source"
    NOT_NEEDED = "-"
    MISSING = "MISSING"
    UNLOCKED = "NO HASH"

    @property
    def is_problem(self) -> bool:
        """Whether an installation on the target fails or needs a compiler."""
        return self in (Verdict.MISSING, Verdict.UNLOCKED)


Pins = dict[tuple[str, str], frozenset[str]]
"""Name and version of a package → the hashes that all lock files with the package have."""
Table = dict[Package, dict[Target, Verdict]]


def read_pins(texts: Iterable[str]) -> Pins:
    """Return the hashes that lock files pin."""
    pins: Pins = {}
    for text in texts:
        for line in text.replace("\\\n", " ").splitlines():
            found = re.match(r"([A-Za-z0-9._-]+)==([^ ;]+)", line)
            if found:
                key = (canonicalize_name(found[1]), found[2])
                hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
                pins[key] = pins.get(key, hashes) & hashes
    return pins


def read_packages(pylock: str) -> list[Package]:
    """Return the packages of a pylock.toml (PEP 751), which lists all their files in the index."""
    packages = []
    for entry in tomllib.loads(pylock)["packages"]:
        source = entry.get("sdist")
        packages.append(
            Package(
                canonicalize_name(entry["name"]),
                entry["version"],
                entry.get("marker"),
                {_file_name(wheel): wheel["hashes"]["sha256"] for wheel in entry.get("wheels", ())},
                source and source["hashes"]["sha256"],
            )
        )
    return packages


def _file_name(file: Mapping[str, str]) -> str:
    return file.get("name") or unquote(PurePosixPath(file["url"]).name)


def judge(package: Package, target: Target, locked: frozenset[str], pure_sources: frozenset[str]) -> Verdict:
    """Return the verdict on a package for a target; the source of a package in `pure_sources` needs no compiler."""
    if not target.needs(package.marker):
        return Verdict.NOT_NEEDED
    if not package.wheels and package.name in pure_sources:
        return Verdict.SOURCE if package.source in locked else Verdict.UNLOCKED
    wheel = package.wheel_for(target)
    if wheel is None:
        return Verdict.MISSING
    if package.wheels[wheel] not in locked:
        return Verdict.UNLOCKED
    return Verdict.PURE if wheel.endswith("-none-any.whl") else Verdict.WHEEL


def tabulate(packages: Iterable[Package], pins: Pins, pure_sources: frozenset[str]) -> Table:
    """Return the verdict on each package for each target."""
    return {
        package: {
            target: judge(package, target, pins.get((package.name, package.version), frozenset()), pure_sources)
            for target in TARGETS
        }
        for package in packages
    }


def problems(table: Table) -> list[str]:
    """Return a line for each package and target on which an installation would fail or need a compiler."""
    texts = {Verdict.MISSING: "has no wheel for", Verdict.UNLOCKED: "has no locked hash of its file for"}
    return [
        f"{package.name} {package.version} {texts[verdict]} {target}"
        for package, row in table.items()
        for target, verdict in row.items()
        if verdict.is_problem
    ]


def render(table: Table) -> str:
    """Return the table as text: a row for each package, a column for each target."""
    width = max(len(package.name) for package in table)
    heads = [f"{platform.name:<{8 * len(PYTHONS)}}" for platform in PLATFORMS]
    lines = [f"{'':<{width}}  {''.join(heads)}", f"{'':<{width}}  " + "".join(f"{t.python:<8}" for t in TARGETS)]
    for package, row in table.items():
        lines.append(f"{package.name:<{width}}  " + "".join(f"{row[target]:<8}" for target in TARGETS))
    return "\n".join(line.rstrip() for line in lines)


def oldest_glibc(packages: Iterable[Package]) -> tuple[int, str]:
    """Return the oldest minor version of glibc 2 that all packages run with, and the package that needs it."""
    needed = [(0, "none")]
    for package in packages:
        for target in TARGETS:
            fitting = " ".join(package.wheels_for(target)) if target.needs(package.marker) else ""
            found = re.findall(r"(manylinux\d+)_[a-z]|manylinux_2_(\d+)_", fitting)
            if found and "-none-any" not in fitting:
                needed.append((min(_LEGACY_GLIBC.get(old) or int(new) for old, new in found), package.name))
    return max(needed)


# ── Asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def insist(command: Sequence[str], run: Run, *, attempts: int = ATTEMPTS) -> str:
    """Return the output of a command that queries the index; retry while it fails, then raise `IndexProblem`."""
    for attempt in range(attempts):
        if attempt:
            time.sleep(backoff(attempt, base=1.0, cap=_LONGEST_WAIT))
        answer = run(command)
        if answer.returncode == 0:
            return answer.stdout
        print(f"warren: asking the package index failed (attempt {attempt + 1} of {attempts})", file=sys.stderr)
    raise IndexProblem(f"{' '.join(command)} failed {attempts} times:\n{answer.stderr.strip()}")


def ask_command(uv: str, locks: Sequence[Path]) -> list[str]:
    """Return the command line that prints the index's files of every locked package."""
    return [
        *(uv, "pip", "compile", *map(str, locks), "--no-deps", "--universal", "--no-header", "--quiet"),
        *("--prerelease=allow", "--format=pylock.toml"),
    ]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment that hides the compiler from it."""
    environment = {**os.environ, "CC": "false", "CXX": "false"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def is_pure_source(package: Package, run: Run = _run) -> bool:
    """Tell whether a package's source builds into a wheel for all machines without a compiler."""
    if package.source is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        requirement = Path(folder) / "requirement.txt"
        requirement.write_text(f"{package.name}=={package.version} --hash=sha256:{package.source}\n", encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-input", "--disable-pip-version-check"]
        pip += ["--no-deps", "--no-binary", package.name, "--require-hashes", "--requirement", str(requirement)]
        try:
            insist([*pip, "--wheel-dir", folder], run, attempts=2)
        except IndexProblem as problem:
            print(f"warren: {problem}", file=sys.stderr)
            return False
        return [path.name.endswith("-none-any.whl") for path in Path(folder).glob("*.whl")] == [True]


def check(uv: str, locks: Sequence[Path], run: Run = _run) -> int:
    """Print the table and the missing wheels; return the exit status: 1 if any is missing, 2 if the index is away."""
    try:
        packages = read_packages(insist(ask_command(uv, locks), run))
    except IndexProblem as problem:
        print(f"warren: {problem}", file=sys.stderr)
        return 2
    pure_sources = frozenset(
        package.name for package in packages if not package.wheels and is_pure_source(package, run)
    )
    pins = read_pins(lock.read_text(encoding="utf-8") for lock in locks)
    table = tabulate(packages, pins, pure_sources)
    minor, needed_by = oldest_glibc(packages)
    print(render(table))
    print(f"Linux: glibc 2.{minor} or newer ({needed_by}); macOS: {MACOS[0]}.{MACOS[1]} or newer.")
    found = problems(table)
    for line in found:
        print(f"warren: {line}", file=sys.stderr)
    unknown = pins.keys() - {(package.name, package.version) for package in packages}
    for name, version in sorted(unknown):
        print(f"warren: the index does not know {name} {version}", file=sys.stderr)
    return 1 if found or unknown else 0

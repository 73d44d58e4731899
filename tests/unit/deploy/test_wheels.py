import hashlib
import subprocess
from pathlib import Path

import pytest

from deploy.setup import lock, wheels

EVERYWHERE = [
    f"fast-2.0-cp{python}-cp{python}-{platform}.whl"
    for python in (311, 312, 313, 314)
    for platform in (
        "manylinux2014_x86_64.manylinux_2_17_x86_64",
        "manylinux_2_28_aarch64",
        "macosx_11_0_arm64",
        "musllinux_1_2_x86_64",
        "win_amd64",
    )
]


def sha256(file):
    return hashlib.sha256(file.encode()).hexdigest()


def entry(name, version, files, marker=None):
    """A package as the index's client describes it."""
    lines = ["[[packages]]", f'name = "{name}"', f'version = "{version}"']
    if marker:
        lines.append(f'marker = "{marker}"')
    sources = [file for file in files if file.endswith(".tar.gz")]
    listed = {file: f'{{ url = "index/{file}", hashes = {{ sha256 = "{sha256(file)}" }} }}' for file in files}
    lines += [f"sdist = {listed.pop(file)}" for file in sources]
    if listed:
        lines.append(f"wheels = [{', '.join(listed.values())}]")
    return "\n".join(lines) + "\n"


def pin(name, version, files):
    return f"{name}=={version} \\\n" + " \\\n".join(f"    --hash=sha256:{sha256(file)}" for file in files) + "\n"


class Index:
    """Answers like the commands that query the index, after a given number of failures."""

    def __init__(self, *entries, failures=0, built="slow-1.0-py3-none-any.whl"):
        self.pylock = 'lock-version = "1.0"\n' + "".join(entries)
        self.failures = failures
        self.built = built
        self.commands = []

    def __call__(self, command):
        self.commands.append(list(command))
        if self.failures:
            self.failures -= 1
            return subprocess.CompletedProcess(command, 2, "", "error: the index is not there\n")
        if "wheel" in command:
            (Path(command[command.index("--wheel-dir") + 1]) / self.built).touch()
        return subprocess.CompletedProcess(command, 0, self.pylock, "")


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The seconds that would have been waited."""
    seconds = []
    monkeypatch.setattr(wheels.time, "sleep", seconds.append)
    return seconds


@pytest.fixture
def checked(tmp_path, capsys):
    """Checks one lock file against an index; returns the exit status, the table and the complaints."""

    def check(text, index):
        path = tmp_path / "local.lock"
        path.write_text(text)
        status = wheels.check("uv", [path], index)
        return status, *capsys.readouterr()

    return check


def test_a_package_with_a_wheel_for_every_target_passes(checked):
    status, out, err = checked(pin("fast", "2.0", EVERYWHERE), Index(entry("fast", "2.0", EVERYWHERE)))
    assert (status, err) == (0, "")
    assert out.splitlines()[2].split() == ["fast", *["wheel"] * 12]
    assert "glibc 2.28 or newer (fast)" in out


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize(
    ("tag", "platform"),
    [
        ("manylinux_2_17_x86_64", "Linux x86_64"),
        ("manylinux_2_28_aarch64", "Linux aarch64"),
        ("macosx_11_0_arm64", "macOS arm64"),
    ],
)
def test_each_missing_wheel_is_named(checked, python, tag, platform):
    abi = "cp" + python.replace(".", "")
    files = [file for file in EVERYWHERE if not (abi in file and tag in file)]
    assert len(files) == len(EVERYWHERE) - 1
    status, out, err = checked(pin("fast", "2.0", files), Index(entry("fast", "2.0", files)))
    assert status == 1
    assert out.count("MISSING") == 1
    assert err == f"warren: fast 2.0 has no wheel for Python {python} on {platform}\n"


def test_a_wheel_whose_hash_is_not_locked_is_named(checked):
    known = [file for file in EVERYWHERE if file != "fast-2.0-cp314-cp314-macosx_11_0_arm64.whl"]
    status, out, err = checked(pin("fast", "2.0", known), Index(entry("fast", "2.0", EVERYWHERE)))
    assert status == 1
    assert "NO HASH" in out
    assert err == "warren: fast 2.0 has no locked hash of its file for Python 3.14 on macOS arm64\n"


def test_a_hash_must_stand_in_every_lock_file_that_has_the_package():
    pins = wheels.read_pins([pin("fast", "2.0", ["a", "b"]), pin("fast", "2.0", ["b", "c"])])
    assert pins == {("fast", "2.0"): frozenset({sha256("b")})}


@pytest.mark.parametrize("file", ["slow-1.0-py3-none-any.whl", "slow-1.0-py2.py3-none-any.whl"])
def test_a_pure_wheel_serves_every_target(checked, file):
    status, out, _ = checked(pin("slow", "1.0", [file]), Index(entry("slow", "1.0", [file])))
    assert status == 0
    assert out.splitlines()[2].split() == ["slow", *["any"] * 12]


@pytest.mark.parametrize(
    ("file", "fits"),
    [
        ("fast-2.0-cp310-abi3-manylinux_2_28_x86_64.whl", True),
        ("fast-2.0-cp312-abi3-manylinux_2_28_x86_64.whl", True),
        ("fast-2.0-py3-none-manylinux2014_x86_64.whl", True),
        ("fast-2.0-cp313-abi3-manylinux_2_28_x86_64.whl", False),
        ("fast-2.0-cp312-cp312-manylinux_2_34_x86_64.whl", False),
        ("fast-2.0-cp312-cp312-musllinux_1_2_x86_64.whl", False),
        ("fast-2.0-cp312-cp312-linux_x86_64.whl", False),
        ("fast-2.0-cp312-cp312-manylinux_2_28_aarch64.whl", False),
        ("fast-2.0-pp312-pypy312_pp73-manylinux_2_28_x86_64.whl", False),
    ],
)
def test_a_wheel_fits_by_python_abi_and_glibc(file, fits):
    target = wheels.Target("3.12", wheels.PLATFORMS[0])
    package = wheels.Package("fast", "2.0", None, {file: sha256(file)}, None)
    assert package.wheel_for(target) == (file if fits else None)


def test_the_wheel_of_the_very_python_comes_before_others():
    own, stable, pure = (
        "fast-2.0-cp312-cp312-manylinux_2_17_x86_64.whl",
        "fast-2.0-cp311-abi3-manylinux_2_17_x86_64.whl",
        "fast-2.0-py3-none-any.whl",
    )
    target = wheels.Target("3.12", wheels.PLATFORMS[0])
    package = wheels.Package("fast", "2.0", None, dict.fromkeys([pure, stable, own], ""), None)
    assert package.wheel_for(target) == own


def test_the_oldest_glibc_is_that_of_the_package_that_needs_the_newest():
    wheel = "fast-2.0-py3-none-{}_x86_64.whl"
    old = wheels.Package(
        "old", "1", None, {wheel.format("manylinux_2_28"): "", wheel.format("manylinux2014"): ""}, None
    )
    new = wheels.Package("new", "1", None, {wheel.format("manylinux_2_24"): ""}, None)
    elsewhere = wheels.Package("elsewhere", "1", "sys_platform == 'win32'", {wheel.format("manylinux_2_28"): ""}, None)
    pure = wheels.Package("pure", "1", None, {wheel.format("manylinux_2_28"): "", "pure-1-py3-none-any.whl": ""}, None)
    assert wheels.oldest_glibc([old, pure, elsewhere]) == (17, "old")
    assert wheels.oldest_glibc([old, new]) == (24, "new")


@pytest.mark.parametrize(
    ("marker", "needing"),
    [
        ("python_full_version < '3.11.3'", {"3.11"}),
        ("python_version >= '3.13'", {"3.13", "3.14"}),
        ("sys_platform == 'win32'", set()),
        ("implementation_name != 'PyPy'", {"3.11", "3.12", "3.13", "3.14"}),
    ],
)
def test_a_package_counts_only_where_its_marker_holds(checked, marker, needing):
    status, out, _ = checked(pin("fast", "2.0", []), Index(entry("fast", "2.0", EVERYWHERE[:1], marker)))
    row = out.splitlines()[2].replace("NO HASH", "NO-HASH").split()[1:]
    assert {t.python for t, cell in zip(wheels.TARGETS, row, strict=True) if cell != "-"} == needing
    assert status == (1 if needing else 0)


def test_a_marker_of_one_platform_leaves_the_others_out():
    needing = [str(target) for target in wheels.TARGETS if target.needs("platform_machine == 'aarch64'")]
    assert needing == [f"Python {python} on Linux aarch64" for python in wheels.PYTHONS]


def test_a_source_will_do_if_a_pure_wheel_is_built_of_it(checked):
    index = Index(entry("slow", "1.0", ["slow-1.0.tar.gz"]))
    status, out, err = checked(pin("slow", "1.0", ["slow-1.0.tar.gz"]), index)
    assert (status, err) == (0, "")
    assert out.splitlines()[2].split() == ["slow", *["source"] * 12]
    assert "--require-hashes" in index.commands[1]


def test_a_source_that_is_compiled_will_not_do(checked):
    index = Index(entry("slow", "1.0", ["slow-1.0.tar.gz"]), built="slow-1.0-cp311-cp311-linux_x86_64.whl")
    status, _, err = checked(pin("slow", "1.0", ["slow-1.0.tar.gz"]), index)
    assert status == 1
    assert err.count("slow 1.0 has no wheel for") == 12


def test_a_source_is_built_without_a_compiler():
    environment = wheels._run(["env"]).stdout.splitlines()
    assert "CC=false" in environment
    assert "CXX=false" in environment


def test_a_package_that_the_index_does_not_know_is_named(checked):
    text = pin("fast", "2.0", EVERYWHERE) + pin("gone", "1", ["gone"])
    status, _, err = checked(text, Index(entry("fast", "2.0", EVERYWHERE)))
    assert status == 1
    assert err == "warren: the index does not know gone 1\n"


def test_an_index_that_is_briefly_away_is_asked_again(checked):
    index = Index(entry("fast", "2.0", EVERYWHERE), failures=wheels.ATTEMPTS - 1)
    status, out, err = checked(pin("fast", "2.0", EVERYWHERE), index)
    assert status == 0
    assert "wheel" in out
    assert err.count("asking the package index failed") == wheels.ATTEMPTS - 1


def test_an_index_that_stays_away_is_told_from_a_missing_wheel(checked):
    status, out, err = checked(pin("fast", "2.0", EVERYWHERE), Index(failures=wheels.ATTEMPTS))
    assert (status, out) == (2, "")
    assert err.rstrip().endswith("error: the index is not there")


def test_waits_between_attempts_grow(waits):
    with pytest.raises(wheels.IndexProblem):
        wheels.insist(["uv"], Index(failures=9), attempts=6)
    assert len(waits) == 5
    assert waits == sorted(waits)
    assert 31 <= sum(waits) <= 62


def test_all_lock_files_are_checked(monkeypatch):
    seen = []
    monkeypatch.setattr(wheels, "check", lambda uv, locks: seen.extend(path.name for path in locks) or 0)
    assert lock.main(["--check-wheels"]) == 0
    assert seen == [f"{name}.lock" for name in lock.LOCKS]


def test_every_pin_of_the_committed_lock_files_is_read():
    texts = [(lock.ROOT / "requirements" / f"{name}.lock").read_text() for name in lock.LOCKS]
    pins = wheels.read_pins(texts)
    assert len(pins) == sum(line[0].isalnum() for line in texts[-1].splitlines() if line)
    assert all(pins.values())

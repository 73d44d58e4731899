"""The command itself, in a separate checkout whose path has a space, with an installation that needs no network."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.launcher.plan import ROOT

CODE = ("deploy", "shared", "services")
BASE_PYTHON = sys._base_executable
"""The Python under this run's environment, as a machine has it before anything is installed."""


@pytest.fixture
def checkout(tmp_path):
    """A copy of the command and its code, and a `.venv` that counts as installed: this run's own Python."""
    root = tmp_path / "a checkout"
    (root / "requirements").mkdir(parents=True)
    for name in ("warren", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    for name in CODE:
        (root / name).symlink_to(ROOT / name)
    for name in ("local", "test"):
        (root / "requirements" / f"{name}.lock").write_text("")
    return root


def install(root: Path, lock: str) -> None:
    """Make `.venv` look as after an installation of this lock file."""
    python = root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    code = "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; "
    code += "from deploy.setup import installation; installation._write_stamp(Path(sys.argv[1]), sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, str(root), lock], check=True)


def run(
    root: Path, *arguments: str, command: Path | None = None, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(command or root / "warren"), *arguments],
        cwd=cwd or root,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "status", "output", "errors"),
    [
        ([], 2, "", "usage: warren COMMAND"),
        (["--help"], 0, "usage: warren COMMAND", ""),
        (["--version"], 0, "warren ", ""),
        (["help", "up"], 0, "usage: warren up", ""),
        (["stauts"], 2, "", "warren: unknown command 'stauts'; did you mean status?"),
        (["up", "--walet-port", "1"], 2, "", "warren: unknown option --walet-port; did you mean --wallet-port?"),
        (["up", "--broker", "rabbitmq"], 2, "", "warren: --broker rabbitmq needs --amqp-url"),
        (["status", "--data-dir", "none"], 1, "no stack runs on ", ""),
        (["status", "--json", "--data-dir", "none"], 1, '{\n  "state": "stopped"', ""),
        (["down", "--data-dir", "none"], 1, "", "warren: no stack runs on "),
    ],
)
def test_help_wrong_usage_status_and_down_need_no_installation(checkout, arguments, status, output, errors):
    result = run(checkout, *arguments, PYTHON=BASE_PYTHON)
    assert result.returncode == status
    assert result.stdout.startswith(output)
    assert bool(result.stdout) == bool(output)
    assert result.stderr.startswith(errors)
    assert bool(result.stderr) == bool(errors)
    assert not (checkout / ".venv").exists()
    assert not (checkout / ".cache").exists()


def test_an_installation_without_the_network_says_so_in_a_line_and_what_pip_said(checkout):
    copy_of_environment(checkout)
    installed = (checkout / ".venv" / "installed").read_text()
    (checkout / "requirements" / "local.lock").write_text(f"none==1 --hash=sha256:{'0' * 64}\n")
    nowhere = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_RETRIES": "1",
        "PIP_TIMEOUT": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }
    result = run(checkout, "up", PYTHON=BASE_PYTHON, **nowhere)
    assert result.returncode == 1
    assert result.stdout == ""
    told = [line for line in result.stderr.splitlines() if line.startswith("warren: ")]
    assert told == [
        "warren: could not install requirements/local.lock: the package index cannot be reached (network, proxy); "
        "python said:"
    ]
    assert "No matching distribution found for none==1" in result.stderr.splitlines()[-1]
    assert (checkout / ".venv" / "installed").read_text() == installed


def test_it_works_from_anywhere_and_through_a_link(checkout, tmp_path):
    """The environment is found beside the script, the data directory where the user is."""
    copy_of_environment(checkout)
    link = tmp_path / "warren"
    link.symlink_to("a checkout/warren")
    result = subprocess.run(
        [str(link), "status"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 1
    assert result.stdout == f"no stack runs on {tmp_path / 'data'} (`warren up` starts one)\n"


@pytest.fixture
def tools(tmp_path):
    """A directory for PATH with the tools that the script needs, and no Python."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("sh", "dirname", "readlink"):
        (directory / name).symlink_to(shutil.which(name))
    return directory


def test_without_a_new_enough_python_it_says_so(checkout, tools):
    """PATH has the tools that the script needs, and a Python that is too old."""
    old = tools / "python3"
    old.write_text("#!/bin/sh\ncase $1 in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac\n")
    old.chmod(0o755)
    hint = "(PYTHON=/path/to/python names one)"
    for name, found in (("python3", "Python 3.9.2"), ("nothing", "none")):
        result = run(checkout, "status", PATH=str(tools), PYTHON=name)
        assert result.returncode == 1
        assert result.stderr == f"warren: needs Python 3.11 or newer, and found {found} {hint}\n"


def test_a_newer_python_is_found_behind_an_old_python3(checkout, tools):
    """The newer Python would install the packages; here it only prints its name."""
    for name, body in (("python3", "exit 1"), ("python3.12", 'case $1 in -c) exit 0 ;; esac; echo "new $*"; exit 7')):
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    result = run(checkout, "status", PATH=str(tools), PYTHON="python3")
    assert result.returncode == 7
    assert result.stdout == "new -P -m deploy status\n"


def copy_of_environment(root: Path) -> None:
    """Give the checkout real files of its own (a link would lead the stamp back here) and an installed `.venv`."""
    for name in CODE:
        (root / name).unlink()
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    install(root, "local")

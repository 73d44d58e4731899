"""The command works from any shell: nothing that a process inherits can make it fail."""

import os
import resource
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from deploy.launcher.plan import ROOT
from tests.integration.deploy.test_command import CODE, install

pytestmark = [pytest.mark.redis, pytest.mark.stack]

PROXY = "http://127.0.0.1:9"  # where nothing answers
STRANGE = {
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONIOENCODING": "ascii",
    "PYTHONHOME": "/nonexistent",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "HOME": "/nonexistent",
    "TMPDIR": "/nonexistent",
    "TZ": "America/St_Johns",
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), PROXY),
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of command and code in a folder with a space and a letter beyond ASCII, installed."""
    root = tmp_path / "a chéckout"
    (root / "requirements").mkdir(parents=True)
    for name in ("local", "test"):
        (root / "requirements" / f"{name}.lock").write_text("")
    for name in ("warren", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    for name in CODE:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    install(root, "local")
    return root


@pytest.fixture
def strange(checkout, tmp_path):
    """Runs a command in a shell that is as strange as can be; no stack is left in the end."""
    shadows = tmp_path / "shadows"
    shadows.mkdir()
    for module in ("deploy", "shared", "redis", "logging", "sitecustomize"):
        (shadows / f"{module}.py").write_text('raise SystemExit("not the right module")')

    def inherit() -> None:
        os.umask(0)
        os.close(0)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        for number in (signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(checkout / "warren"), *arguments, "--data-dir", str(tmp_path / "dätä dir")],
            cwd=shadows,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(shadows), **STRANGE},
            capture_output=True,
            preexec_fn=inherit,
            timeout=100,
            check=False,
        )

    yield run
    run("down")


def test_a_stack_runs_in_the_strangest_shell_and_keeps_its_files_to_itself(strange, tmp_path):
    data_dir = tmp_path / "dätä dir"
    data_dir.mkdir(mode=0o755)
    ports = ("--wallet-port", "0", "--explorer-port", "0", "--rpc-port", "0")
    for arguments in (("up", "--detach", *ports), ("status",), ("demo",), ("down",)):
        done = strange(*arguments)
        assert (done.returncode, done.stderr) == (0, b""), done.stdout.decode()
    for path in data_dir.iterdir():
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_standard_stream_that_is_closed_is_no_hindrance(checkout, tmp_path, closed):
    def close() -> None:
        for number in closed:
            os.close(number)

    command = [str(checkout / "warren"), "status", "--data-dir", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=close, timeout=60, check=False)
    assert done.returncode == 1
    assert bool(done.stdout) == (1 not in closed)
    assert done.stderr == ""

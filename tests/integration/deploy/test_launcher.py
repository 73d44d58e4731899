import contextlib
import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.errors import LaunchError
from deploy.launcher.plan import ROOT
from deploy.processes.process import Identity
from deploy.stack import control, state

pytestmark = pytest.mark.redis

LAUNCHER = Path(__file__).with_name("fake_stack.py")
DEADLINE = 20.0


class Launcher:
    """A running fake_stack.py, and its output."""

    def __init__(
        self,
        data_dir: Path,
        *manners: str,
        wallet_port: int = 0,
        before: Callable[[], object] | None = None,
        output: Path | None = None,
    ) -> None:
        """`before` runs in the new process first, to set up a state that a parent may leave."""
        self.data_dir = data_dir
        data_dir.mkdir(parents=True, exist_ok=True)
        self.output = output or data_dir / "output"
        with self.output.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, str(LAUNCHER), str(data_dir), str(wallet_port), *manners],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                preexec_fn=before,
            )

    def text(self) -> str:
        return self.output.read_text()

    def wait_for(self, pattern: str) -> str:
        """Wait until the launcher has printed it."""
        poll(lambda: re.search(pattern, self.text(), re.MULTILINE) or self.process.poll() is not None, self.text)
        found = re.search(pattern, self.text(), re.MULTILINE)
        assert found, self.text()
        return found[0]

    def state(self) -> state.StackState:
        return control.find(self.data_dir)

    def pid(self, name: str) -> int:
        return self.state().service(name).process.pid

    def notes(self) -> list[str]:
        return (self.data_dir / "notes").read_text().splitlines()

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)


def poll(condition, describe=lambda: "", seconds=DEADLINE):
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"not in time: {describe()}"
        time.sleep(0.02)


def thread_states(pid):
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return {stat.rpartition(")")[2].split()[0] for stat in stats}


@pytest.fixture
def launch(tmp_path):
    """Starts launchers on a data directory whose path has a space, and ends them after the test."""
    with contextlib.ExitStack() as stack:

        def start(*manners: str, name: str = "a stack", **options) -> Launcher:
            launcher = Launcher(tmp_path / name, *manners, **options)

            def end() -> None:
                if launcher.process.poll() is None:
                    launcher.process.terminate()
                    launcher.process.wait(60)

            stack.callback(end)
            return launcher

        yield start


def test_it_says_what_runs_where_and_then_that_it_is_ready(launch):
    launcher = launch()
    launcher.wait_for("^ready in .* s: wallet http://127.0.0.1:[0-9]+  explorer http.* rpc http")
    assert "creator" not in launcher.text(), "there is no such wallet without its password file"
    for name in ("redis", "mempool", "miner-1", "miner-2", "wallet", "explorer"):
        assert re.search(rf"^{name} +pid {launcher.pid(name)}\b", launcher.text(), re.MULTILINE)
    assert launcher.state().ready


def test_it_leads_to_the_creator_where_there_is_one(launch, tmp_path):
    password = tmp_path / "a stack" / "regtest" / "creator-password"
    password.parent.mkdir(parents=True)
    password.write_text("secret words\n", encoding="utf-8")
    launcher = launch()
    launcher.wait_for("^ready in .* s: wallet http://127.0.0.1:[0-9]+/creator  explorer http.* rpc http")
    assert f"creator's password: {password}" in launcher.text()
    assert re.search(
        "^next: make a wallet .*/wallet_1, or try `./warren demo --data-dir '.*/a stack'`$", launcher.text(), re.M
    )
    assert "secret words" not in launcher.text()


def left_alone() -> None:
    """The parent leaves all signals as they are."""


def ignored() -> None:
    """A shell starts the background jobs of a script so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def blocked() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


@pytest.mark.parametrize("before", [left_alone, ignored, blocked])
def test_services_stop_in_order_and_redis_last(launch, before):
    launcher = launch(before=before)
    launcher.wait_for("^ready")
    poll(lambda: len(launcher.notes()) == 5)  # a miner that is not yet up would have nothing to note
    redis = launcher.state().service("redis").process
    assert launcher.end(signal.SIGINT) == 0
    stops = [line.split()[1] for line in launcher.notes() if line.startswith("stop")]
    assert set(stops[:2]) == {"wallet", "explorer"}
    assert set(stops[2:4]) == {"miner-1", "miner-2"}
    assert stops[4:] == ["mempool"]
    assert not redis.is_alive()
    log = (launcher.data_dir / "regtest" / "logs" / "redis.log").read_text()
    assert "is now ready to exit" in log
    assert state.read(launcher.data_dir) is None


def test_a_service_that_dies_is_started_again(launch):
    launcher = launch()
    launcher.wait_for("^ready")
    old = launcher.pid("mempool")
    os.kill(old, signal.SIGKILL)
    launcher.wait_for(rf"^mempool \(pid {old}\) was ended by signal 9; restarting in 0\.\d s")
    launcher.wait_for("^mempool started again")
    poll(lambda: launcher.notes().count("start mempool") == 2)
    assert launcher.pid("mempool") != old
    poll(lambda: control.status(launcher.data_dir, lambda line: None))


def test_redis_that_dies_comes_back_with_the_same_data_and_port(launch):
    launcher = launch()
    launcher.wait_for("^ready")
    url = (launcher.data_dir / "regtest" / "secrets" / "redis-url").read_text().strip()
    password, port = re.fullmatch(r"redis://:(\w+)@127\.0\.0\.1:(\d+)/0", url).groups()

    def ask(command: str) -> bytes:
        try:
            with socket.create_connection(("127.0.0.1", int(port)), timeout=5) as connection:
                connection.sendall(f"AUTH {password}\r\n{command}\r\nQUIT\r\n".encode())
                return b"".join(iter(lambda: connection.recv(1024), b""))
        except OSError:
            return b""

    assert ask("SET kept yes") == b"+OK\r\n+OK\r\n+OK\r\n"
    os.kill(launcher.pid("redis"), signal.SIGKILL)
    launcher.wait_for("^redis started again")
    poll(lambda: b"yes" in ask("GET kept"))


def test_a_service_that_cannot_start_is_named_with_the_end_of_its_log(launch):
    launcher = launch("explorer=broken")
    assert launcher.process.wait(DEADLINE) == 1
    assert re.search("explorer ended with exit status 3; the end of .*explorer.log:", launcher.text())
    assert "    the reason why it cannot start" in launcher.text()
    assert re.search("^stopping: explorer ended with exit status 3$", launcher.text(), re.MULTILINE), (
        "at once, not after all have stopped"
    )
    assert "ready" not in launcher.text()
    assert state.read(launcher.data_dir) is None


def test_a_signal_before_everything_is_ready_stops_what_has_started(launch):
    launcher = launch("explorer=deaf", before=ignored)
    poll(lambda: (launcher.data_dir / "notes").exists() and len(launcher.notes()) == 5)
    assert launcher.end(signal.SIGINT) == 130
    assert sorted(line for line in launcher.notes() if line.startswith("stop")) == [
        *("stop explorer", "stop mempool", "stop miner-1", "stop miner-2", "stop wallet")
    ]
    assert "ready in" not in launcher.text()


def test_a_port_in_use_is_refused_before_anything_starts(launch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        launcher = launch(wallet_port=port)
        assert launcher.process.wait(DEADLINE) == 1
    assert launcher.text() == f"warren: port {port} (wallet) is in use; choose another with --wallet-port\n"
    assert not (launcher.data_dir / "notes").exists()


def test_two_stacks_cannot_share_a_data_directory(launch):
    first = launch()
    first.wait_for("^ready")
    second = launch()
    assert second.process.wait(DEADLINE) == 1
    assert "a stack already runs on" in second.text()
    assert control.status(first.data_dir, lambda line: None)


def test_what_a_killed_launcher_started_ends_with_it_and_the_next_one_goes_on(launch):
    launcher = launch("wallet=stubborn")
    launcher.wait_for("^ready")
    before = launcher.state()
    launcher.process.kill()
    launcher.process.wait(DEADLINE)
    tied = [service.process for service in before.services if service.name != "wallet"]
    poll(lambda: not any(process.is_alive() for process in tied))
    stubborn = before.service("wallet").process
    assert stubborn.is_alive()
    with pytest.raises(LaunchError, match="no stack runs"):
        control.find(launcher.data_dir)
    launcher.output.unlink()

    again = launch(wallet_port=int(before.wallet_url.rpartition(":")[2]))
    again.wait_for(f"^ending wallet .pid {stubborn.pid}. of a launcher that was killed")
    poll(lambda: not stubborn.is_alive(), seconds=40)
    again.wait_for("^ready")


def test_down_also_ends_what_a_killed_launcher_left(launch):
    launcher = launch("wallet=stubborn")
    launcher.wait_for("^ready")
    stubborn = launcher.state().service("wallet").process
    launcher.process.kill()
    launcher.process.wait(DEADLINE)
    said = []
    control.down(launcher.data_dir, said.append)
    assert not stubborn.is_alive()
    assert said == ["stopped; chain, pool and wallets are kept"]
    with pytest.raises(LaunchError, match="no stack runs"):
        control.down(launcher.data_dir, said.append)


def test_a_stale_state_file_never_ends_a_process_that_is_not_ours(launch, tmp_path):
    launcher = launch()
    launcher.wait_for("^ready")
    old = launcher.state()
    assert launcher.end() == 0
    with subprocess.Popen(["sleep", "60"]) as bystander:
        reused = state.ServiceState(name="wallet", process=Identity(bystander.pid, "another start"))
        state.write(launcher.data_dir, dataclasses.replace(old, services=(reused,)))
        launcher.output.unlink()
        again = launch()
        again.wait_for("^ready")
        assert bystander.poll() is None
        bystander.kill()


def test_a_second_signal_ends_a_service_that_does_not_stop(launch):
    launcher = launch("wallet=stubborn")
    launcher.wait_for("^ready")
    launcher.process.terminate()
    launcher.wait_for("^stopping")
    launcher.process.terminate()
    assert launcher.process.wait(10) == 0
    assert "wallet did not stop in time and was killed" in launcher.text()


def test_warnings_of_services_reach_the_console_and_other_lines_do_not(launch):
    launcher = launch("miner-2=warns")
    launcher.wait_for("^miner-2: .* WARNING fake: something is odd$")
    assert "nothing to see" not in launcher.text()


def test_no_secret_is_in_a_process_list_or_in_the_output(launch):
    launcher = launch()
    launcher.wait_for("^ready")
    password = (launcher.data_dir / "regtest" / "secrets" / "redis-password").read_text().strip()
    for service in launcher.state().services:
        assert password.encode() not in Path(f"/proc/{service.process.pid}/cmdline").read_bytes()
        assert password.encode() not in Path(f"/proc/{service.process.pid}/environ").read_bytes()
    assert password not in launcher.text()


def test_status_lists_every_service_and_tells_when_one_is_not_ready(launch):
    launcher = launch()
    launcher.wait_for("^ready")
    lines: list[str] = []
    assert control.status(launcher.data_dir, lines.append)
    assert [line.split()[0] for line in lines[1:]] == [
        *("service", "wallet", "explorer", "miner-1", "miner-2", "mempool", "redis")
    ]
    os.kill(launcher.pid("wallet"), signal.SIGSTOP)
    poll(lambda: thread_states(launcher.pid("wallet")) == {"T"})  # one that still runs could answer
    lines.clear()
    assert not control.status(launcher.data_dir, lines.append)
    assert re.search(r"^wallet +\d+ +not ready", "\n".join(lines), re.MULTILINE)
    os.kill(launcher.pid("wallet"), signal.SIGCONT)

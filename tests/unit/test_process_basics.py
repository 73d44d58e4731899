"""Log lines, metrics, back-off and the exit flag."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared import logs, metrics
from shared.config import Settings
from shared.process.backoff import backoff
from shared.process.shutdown import ExitFlag


def record(message: str, **fields: object) -> logging.LogRecord:
    line = logging.LogRecord("shared.bus", logging.INFO, "x.py", 1, message, None, None)
    line.fields = fields
    return line


def test_a_text_line_has_its_fields() -> None:
    line = logs.TextFormatter("miner").format(record("block found", height=5, why="it is time", empty=""))
    assert line.endswith('INFO miner: block found height=5 why="it is time" empty=""')


def test_a_json_line_has_its_fields() -> None:
    entry = json.loads(logs.JsonFormatter("miner").format(record("block found", height=5)))
    assert (entry["service"], entry["level"], entry["message"], entry["height"]) == ("miner", "INFO", "block found", 5)


@pytest.mark.parametrize("formatter", [logs.TextFormatter("x"), logs.JsonFormatter("x")])
@pytest.mark.parametrize(
    "url", ["redis://:hunter2@h:1/0", "amqps://me:hunter2@h/%2F", "amqp://u:hunt/er2@h", "r://u:a@hunter2@h"]
)
def test_no_password_reaches_a_log_line(formatter: logging.Formatter, url: str) -> None:
    line = formatter.format(record(f"cannot reach {url} now", url=url))
    assert "hunter2" not in line
    assert "***@h" in line


def test_setup_sends_lines_of_the_asked_level_to_stderr() -> None:
    code = (
        "import logging; from shared import logs; from shared.config import Settings;"
        "logs.setup(Settings(log_level='WARNING', log_format='json'), 'svc');"
        "logging.getLogger('a').info('quiet'); logging.getLogger('a').warning('loud', extra=logs.with_fields(n=1))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert (json.loads(line)["message"], json.loads(line)["n"], done.stdout) == ("loud", 1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_log_lines_for_a_full_disk_are_lost_and_end_nothing() -> None:
    code = (
        "import logging; from shared import logs; from shared.config import Settings; logs.setup(Settings(), 'svc')\n"
        "for _ in range(1_000): logging.getLogger('a').warning('a long line ' * 20)\n"
        "print('alive')"
    )
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, text=True)
    assert (done.stdout, done.returncode) == ("alive\n", 0)


def test_metrics_are_rendered_with_the_house_prefix() -> None:
    metrics.BUS_REQUEUED.labels("some.queue").inc()
    assert b'warren_bus_requeued_total{queue="some.queue"} 1.0' in metrics.render()


def test_backoff_doubles_to_its_cap_and_is_spread_over_the_upper_half() -> None:
    assert [backoff(n, base=1, cap=5, jitter=1) for n in range(5)] == [1, 2, 4, 5, 5]
    assert backoff(3, base=1, cap=5, jitter=0) == 2.5
    assert backoff(10_000, cap=5, jitter=1) == 5
    assert all(0.5 <= backoff(0, base=1) <= 1 for _ in range(100))


def test_the_exit_flag_wakes_who_waits() -> None:
    flag = ExitFlag()
    assert not flag.wait(0.001)
    flag.set()
    assert flag.wait()
    assert flag.is_set()


_WAITS = """
import sys, time
from shared.process.shutdown import ExitFlag, install
flag = ExitFlag()
install(flag)
print("ready", flush=True)
while not flag.wait(0.05): pass
print("draining", flush=True)
if sys.argv[1] == "hang":
    while True: time.sleep(1)
"""


@pytest.fixture
def waiting() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes that run until they are asked to stop, as from a parent that ignored or blocked signals."""
    with contextlib.ExitStack() as stack:

        def start(mode: str, *signals: int, left: str = "") -> subprocess.Popen[str]:
            def leave() -> None:
                for number in signals:
                    if left == "ignored":
                        signal.signal(number, signal.SIG_IGN)
                if left == "blocked":
                    signal.pthread_sigmask(signal.SIG_BLOCK, signals)

            command = [sys.executable, "-c", _WAITS, mode]
            child = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=leave))
            stack.callback(child.kill)
            assert said(child) == "ready\n"
            return child

        yield start


def said(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline()


def end(child: subprocess.Popen[str]) -> int:
    child.communicate(timeout=20)
    return child.returncode


@pytest.mark.parametrize("left", ["", "ignored", "blocked"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains_and_the_second_ends_the_process_whatever_the_parent_left(
    waiting, number: int, left: str
) -> None:
    for mode, code in (("drain", 0), ("hang", 128 + number)):
        child = waiting(mode, number, left=left)
        child.send_signal(number)
        assert said(child) == "draining\n"
        if mode == "hang":
            child.send_signal(number)
        assert end(child) == code


_DEAD_THREAD = """
import logging, sys, threading, time
from shared.process import shutdown
from shared.process.thread import ServiceThread
logging.basicConfig(format="%(message)s")
shutdown._LAST_SECONDS = 0.1
flag = shutdown.ExitFlag()
shutdown.install(flag)
ServiceThread(lambda: {work}, "worker", lambda: {is_over}).start()
if {hangs}:
    threading.Event().wait()
flag.wait({seconds})
sys.exit(flag.status)
"""


@pytest.mark.parametrize(
    ("work", "is_over", "hangs", "status", "last_line"),
    [
        ("1 / 0", False, False, 1, "ZeroDivisionError: division by zero"),
        ("sys.exit()", False, False, 1, "SystemExit"),
        ("None", False, False, 1, "shared.process.thread.EndedUnasked: the thread worker has ended"),
        ("1 / 0", False, True, 1, "the service does not end in order, and is ended"),
        ("None", True, False, 0, None),
    ],
)
def test_a_thread_that_ends_unasked_ends_the_process_with_its_traceback(
    work: str, is_over: bool, hangs: bool, status: int, last_line: str | None
) -> None:
    code = _DEAD_THREAD.format(work=work, is_over=is_over, hangs=hangs, seconds=20 if status else 0.2)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    lines = done.stderr.splitlines()
    assert (done.returncode, lines[-1] if lines else None) == (status, last_line), done.stderr
    if status:
        assert lines[0] == "the thread worker has died, the service ends"


_SIGNAL_OF_ANOTHER_THREAD = """
import signal, sys, threading, time
from shared.process.shutdown import ExitFlag, install
flag = ExitFlag()
install(flag)

def be_signalled():
    seen = []
    while len(seen) < 20 or len(set(seen[-20:])) > 1:  # until the main thread has come to rest
        time.sleep(0.001)
        frame = sys._current_frames()[threading.main_thread().ident]
        seen.append((frame.f_code.co_name, frame.f_lasti))
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    threading.Event().wait()

threading.Thread(target=be_signalled, daemon=True).start()
flag.wait()
print("draining", flush=True)
"""


def test_a_signal_that_another_thread_gets_is_heard_though_the_main_thread_waits_without_end() -> None:
    """So it happens to a process that goes on after a SIGSTOP."""
    done = subprocess.run([sys.executable, "-c", _SIGNAL_OF_ANOTHER_THREAD], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.returncode) == ("draining\n", 0), done.stderr


def test_a_terminal_that_closes_asks_once_however_many_signals_it_sends(waiting) -> None:
    child = waiting("hang")
    child.send_signal(signal.SIGHUP)
    assert said(child) == "draining\n"
    child.send_signal(signal.SIGHUP)
    child.send_signal(signal.SIGTERM)
    assert end(child) == 128 + signal.SIGTERM


def test_under_nohup_a_terminal_that_closes_stops_nothing(waiting) -> None:
    child = waiting("hang", signal.SIGHUP, left="ignored")
    child.send_signal(signal.SIGHUP)
    child.send_signal(signal.SIGTERM)
    assert said(child) == "draining\n"
    child.send_signal(signal.SIGINT)
    assert end(child) == 128 + signal.SIGINT, "SIGTERM was the first request, this the second"


_INTERRUPTED = """
import os, signal
from shared.process.shutdown import ExitFlag, install
flag = ExitFlag()
install(flag)
with flag._event._cond:  # as for a moment in each `wait`
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1_000): pass
print(flag.wait(20))
"""


def test_a_signal_may_come_at_any_moment_of_a_wait() -> None:
    done = subprocess.run([sys.executable, "-c", _INTERRUPTED], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True\n"


def test_settings_show_no_secrets() -> None:
    assert "hunter2" not in repr(Settings(redis_url="redis://:hunter2@h", amqp_url="amqp://u:hunter2@h"))

"""Processes that tests start inherit nothing from the tests' shell: no ignored signal, no other Python."""

import os
import signal
import subprocess
import sys

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

TEST_RUN = """
import subprocess, sys
from tests.inherited import shed
shed()
subprocess.run([sys.executable, "-c", sys.argv[1]], check=True)
"""

SHOW = f"""
import signal
print(*[number for number in {[int(number) for number in SIGNALS]} if signal.getsignal(number) is signal.SIG_IGN])
print(*[int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())])
"""


def test_children_have_no_signal_ignored_or_blocked():
    def leave() -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def shown(code: str) -> str:
        command = [sys.executable, "-c", code, SHOW]
        return subprocess.run(command, preexec_fn=leave, capture_output=True, text=True, check=True).stdout

    assert shown(SHOW) == f"{' '.join(str(int(number)) for number in SIGNALS)}\n{int(signal.SIGTERM)}\n"
    assert shown(TEST_RUN) == "\n\n"


def test_children_run_a_plain_python_and_reach_this_machine_without_a_proxy():
    strange = {"PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "PYTHONHASHSEED": "1", "no_proxy": "example.com"}
    code = "import os, sys; print(sys.warnoptions, sys.flags.optimize, *map(os.environ.get, sys.argv[1:]))"
    code = TEST_RUN.replace("sys.argv[1]]", f"{code!r}, 'PYTHONHASHSEED', 'no_proxy', 'NO_PROXY']")
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **strange}, capture_output=True, text=True, check=True
    )
    ours = "127.0.0.1,localhost,::1"
    assert done.stdout.split()[:4] == ["[]", "0", "1", f"example.com,{ours}"]
    assert done.stdout.split()[4].endswith(ours)

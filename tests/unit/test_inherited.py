"""The tests start their processes with signals as a terminal leaves them, whatever started the tests."""

import signal
import subprocess
import sys

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

TEST_RUN = """
import subprocess, sys
from tests.inherited import give_children_default_signals
give_children_default_signals()
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

"""What the shell that started the tests hands down to them, and must not reach the processes that tests start."""

from __future__ import annotations

import os
import signal

_OURS = ("127.0.0.1", "localhost", "::1")
_HARMLESS = ("PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTHONUNBUFFERED")


def shed() -> None:
    """Let nothing of the shell reach what tests start. Before anything is started, on the main thread."""
    _give_children_default_signals()
    _give_children_a_plain_python()
    _reach_this_machine_without_a_proxy()


def _give_children_default_signals() -> None:
    """Let what tests start have every signal as a terminal would leave it.

    A background job of a script has SIGINT ignored, one under `nohup` SIGHUP; children inherit that, and blocked
    signals. A handler is not inherited: one that does nothing goes on ignoring the signal in this process alone.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _give_children_a_plain_python() -> None:
    """Drop what changes how Python runs: another path, other warnings, another encoding."""
    for name in [name for name in os.environ if name.startswith("PYTHON") and name not in _HARMLESS]:
        del os.environ[name]


def _reach_this_machine_without_a_proxy() -> None:
    """Keep the proxies, which an installation may need, for other machines."""
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), *_OURS]))

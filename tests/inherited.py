"""Drops signals and variables that the tests inherit from their shell, so that processes of tests do not get them."""

from __future__ import annotations

import os
import signal

_OURS = ("127.0.0.1", "localhost", "::1")
_HARMLESS = ("PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTHONUNBUFFERED")


def shed() -> None:
    """Let nothing of the shell reach the processes of tests. Call it before any is started, on the main thread."""
    _give_children_default_signals()
    _give_children_a_plain_python()
    _reach_this_machine_without_a_proxy()


def _give_children_default_signals() -> None:
    """Give child processes the signal state that a terminal would give them.

    A background job of a script has SIGINT ignored, a job under `nohup` SIGHUP; children inherit ignored and blocked
    signals, but not handlers: a handler that does nothing ignores the signal in this process alone.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _give_children_a_plain_python() -> None:
    """Drop the variables that change how Python runs: another path, other warnings, another encoding."""
    for name in [name for name in os.environ if name.startswith("PYTHON") and name not in _HARMLESS]:
        del os.environ[name]


def _reach_this_machine_without_a_proxy() -> None:
    """Keep the proxies, which an installation may need, for other machines."""
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), *_OURS]))

"""What the shell that started the tests hands down to them, and must not reach the processes that tests start."""

from __future__ import annotations

import signal


def give_children_default_signals() -> None:
    """Let what tests start have every signal as a terminal would leave it.

    A background job of a script has SIGINT ignored, one under `nohup` SIGHUP; children inherit that, and blocked
    signals. A handler is not inherited: one that does nothing goes on ignoring the signal in this process alone.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())

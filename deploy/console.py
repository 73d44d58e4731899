"""Lines for people: lasting ones and, on a terminal, a passing line of progress.

Standard library only: it also runs under the machine's own Python.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from typing import TextIO

_SILENCE = 10
"""Seconds without a line after which progress is also written to a stream that is no terminal."""
_CLEAR = "\r\x1b[K"


class Console:
    """Writes to a stream such as standard output; with None, for a closed stream, it discards everything.

    A failure of the stream does not stop the writer: lines for a full disk are lost, those for a reader that went away
    are no longer written.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._is_terminal = stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
        self._passing_line = ""
        self._last_said = time.monotonic()

    def say(self, line: str) -> None:
        """Write a lasting line."""
        self._write(f"{_CLEAR if self._passing_line else ''}{line}\n")
        self._passing_line = ""
        self._last_said = time.monotonic()

    def waiting(self, text: str) -> None:
        """Show progress; call it several times a second for as long as the wait lasts."""
        silence = int(time.monotonic() - self._last_said)
        if not self._is_terminal:
            if silence >= _SILENCE:
                self.say(text)
            return
        self.passing(f"{text} ({silence} s)")

    def passing(self, text: str) -> None:
        """Show a line until the next one takes its place; where that is not possible, one every ten seconds."""
        if not self._is_terminal:
            if time.monotonic() - self._last_said >= _SILENCE:
                self.say(text)
            return
        line = text[: shutil.get_terminal_size().columns - 1]
        if line != self._passing_line:
            self._write(f"{_CLEAR}{line}")
            self._passing_line = line

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        encoding = self._stream.encoding or "utf-8"
        try:
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._stream.flush()
        except (OSError, ValueError) as error:  # gone, full or closed
            if getattr(error, "errno", None) not in (errno.ENOSPC, errno.EDQUOT):
                self._drop(self._stream)

    def _drop(self, stream: TextIO) -> None:
        """Discard all further lines, and direct the stream's buffer to nowhere for when this process ends."""
        self._stream = None
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())

"""Log files of services: followed for warnings, quoted after failures, rotated when large."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from deploy.files import is_disk_full

MAX_BYTES = 20_000_000
"""A larger file is moved to `<name>.1`."""

_WARNING = re.compile(r'^\S+ (WARNING|ERROR|CRITICAL) |"level": "(WARNING|ERROR|CRITICAL)"')


class LogFollower:
    """Reads the lines that are added to a log file from now on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = path.stat().st_size if path.exists() else 0

    def new_lines(self) -> list[str]:
        """Return the whole lines added since the last call."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return []
        if size < self._position:
            self._position = 0  # it was rotated
        if size == self._position:
            return []
        with self.path.open("rb") as file:
            file.seek(self._position)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._position += end
        return data[:end].decode("utf-8", "replace").splitlines()

    def new_warnings(self) -> list[str]:
        """Return the lines of level WARNING and above among those added since the last call."""
        return [line for line in self.new_lines() if _WARNING.search(line)]

    def rotate_if_large(self, max_bytes: int = MAX_BYTES) -> None:
        """Move the content to `<name>.1` and empty the file; its writers append, so they are not disturbed.

        On a full disk both are emptied: logs may be what fills it.
        """
        if self.path.exists() and self.path.stat().st_size > max_bytes:
            former = self.path.with_name(self.path.name + ".1")
            try:
                shutil.copyfile(self.path, former)
            except OSError as error:
                if not is_disk_full(error):
                    raise
                former.unlink(missing_ok=True)
            self.path.write_bytes(b"")
            self._position = 0


def last_lines(path: Path, count: int) -> str:
    """Return the last lines of a log file, indented; empty if there is no file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(f"    {line}" for line in lines[-count:])


def last_line(path: Path) -> str:
    """Return the last line of a log file that is not blank; empty if there is none, or no file."""
    return next((line.strip() for line in reversed(last_lines(path, 20).splitlines()) if line.strip()), "")

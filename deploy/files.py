"""Writes files whole or not at all, secrets with access for their owner only."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path

SECRET_BYTES = 24
LEAST_FREE = 1 << 16
"""Bytes below which a disk counts as full: less than a service writes in a moment."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_disk_full(error: OSError) -> bool:
    """Whether the error says that no space is left."""
    return error.errno in _FULL


def has_space(directory: Path) -> bool:
    """Whether the disk of a directory, or of the nearest one above it that exists, has space left."""
    for place in (directory, *directory.parents):
        with contextlib.suppress(OSError):
            return shutil.disk_usage(place).free >= LEAST_FREE
    return True


def explain(error: OSError) -> str:
    """Return an error of the operating system in one line, with the file concerned."""
    what = "disk full" if is_disk_full(error) else error.strerror or str(error)
    about = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return f"{about}: {what}" if about else what


def make_private_dir(path: Path) -> None:
    """Make a directory and its missing parents, with mode 0700."""
    missing = [directory for directory in (path, *path.parents) if not directory.is_dir()]
    for directory in reversed(missing):
        directory.mkdir(mode=0o700, exist_ok=True)


def private_opener(path: str, flags: int) -> int:
    """Open a file for `open`, made with mode 0600 if it is new."""
    return os.open(path, flags, 0o600)


def write_atomically(path: Path, text: str, owner: int | None = None) -> None:
    """Replace a file in one step, so that a reader never sees half of it; its mode is 0600.

    Root may pass the uid of another `owner`.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            if owner is not None:
                os.fchown(file.fileno(), owner, owner)
        new.replace(path)
    except OSError as error:  # the error of a full disk does not name the file
        new.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


def new_secret() -> str:
    """Return a random password of URL-safe characters."""
    return secrets.token_hex(SECRET_BYTES)


def kept_secret(path: Path) -> str:
    """Return the password in this file; create the file with mode 0600 if it does not exist."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        secret = new_secret()
        write_atomically(path, secret + "\n")
        return secret

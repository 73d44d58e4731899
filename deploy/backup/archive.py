"""The file of a backup: a line that says what it is, compressed records, and a checksum.

    one line     `warren backup 1`: the format of this file; a later one is refused by name
    gzip         MessagePack records, the header first (`deploy/backup/records.py`)
    32 bytes     SHA-256 of everything before

The checksum is compared before anything of the file is used, so a damaged file and one that was cut short change
nothing. The records are independent of Redis' own formats: any server can be restored from them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgpack

from deploy.errors import LaunchError

MAGIC = b"warren backup "
FORMAT = 1
_HEAD = MAGIC + b"%d\n" % FORMAT
_DIGEST_SIZE = 32
_GZIP = 31
"""zlib's word for gzip with the largest window."""
_READ = 1 << 20
_MAX_RECORD = 1 << 30
STANDARD = "-"
"""In the place of a file's name: standard output or input."""


class ArchiveWriter:
    """Writes the records of a backup to an open file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._compress = zlib.compressobj(wbits=_GZIP)
        self._write(_HEAD)

    def add(self, record: Any) -> None:
        """Append a record."""
        self._write(self._compress.compress(msgpack.packb(record)))

    def finish(self) -> None:
        """Write the end and the checksum."""
        self._write(self._compress.flush())
        self._file.write(self._digest.digest())

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)


@contextmanager
def new_archive(name: str) -> Iterator[ArchiveWriter]:
    """Write a file of mode 0600 that has its name only once it is whole and on disk."""
    if name == STANDARD:
        writer = ArchiveWriter(sys.stdout.buffer)
        yield writer
        writer.finish()
        sys.stdout.buffer.flush()
        return
    path = Path(name).absolute()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            writer = ArchiveWriter(file)
            yield writer
            writer.finish()
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:  # the error of a full disk does not name the file
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def open_archive(name: str) -> Iterator[Archive]:
    """Yield a backup whose checksum is right; `LaunchError` says what is wrong with any other file."""
    with contextlib.ExitStack() as stack:
        if name == STANDARD:
            spool = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(sys.stdin.buffer, spool)
            yield Archive(spool, "the backup")
        else:
            yield Archive(stack.enter_context(open(name, "rb")), name)


class Archive:
    """A backup that can be read, as often as wanted."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        """Check the whole file; raises `LaunchError`."""
        self._file = file
        self._name = name
        self._end = file.seek(0, os.SEEK_END) - _DIGEST_SIZE
        file.seek(0)
        head = file.readline(len(_HEAD))
        if not head.startswith(MAGIC):
            raise LaunchError(f"{name} is no backup of Warren's")
        if head != _HEAD:
            raise LaunchError(f"{name} is a backup of another version: this one reads format {FORMAT}")
        self._check()

    def _check(self) -> None:
        digest = hashlib.sha256()
        for data in self._parts(0):
            digest.update(data)
        self._file.seek(max(0, self._end))
        if self._file.read() != digest.digest():
            raise LaunchError(f"{self._name} is damaged or was cut short: its checksum is wrong")

    def __iter__(self) -> Iterator[Any]:
        """Yield the records."""
        unpacker = msgpack.Unpacker(max_buffer_size=_MAX_RECORD)
        decompress = zlib.decompressobj(wbits=_GZIP)
        for data in self._parts(len(_HEAD)):
            unpacker.feed(decompress.decompress(data))
            yield from unpacker

    def _parts(self, start: int) -> Iterator[bytes]:
        """Yield the file from an offset up to its checksum; several readers may take turns."""
        for offset in range(start, self._end, _READ):
            self._file.seek(offset)
            yield self._file.read(min(_READ, self._end - offset))

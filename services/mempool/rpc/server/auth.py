"""Admission of callers: HTTP basic auth with the configured user, or with the cookie file that bitcoin-cli finds.

The cookie is `DIR/<chain>/.cookie` (for the main chain `DIR/.cookie`), as bitcoind lays it out. Unlike bitcoind's it
stays when the process stops and is used again at the next start: clients go on working over a restart, and all
instances on one data directory, active or standby, share it. To change it, delete the file while none runs.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import math
import os
import re
import secrets
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from shared.config import Settings
from shared.consensus.params import ChainParams
from shared.crypto.hashes import sha256
from shared.errors import ConfigError
from shared.logs import with_fields

log = logging.getLogger(__name__)

_COOKIE_USER = "__cookie__"
_COOKIE = re.compile(rf"{_COOKIE_USER}:[0-9a-f]{{64}}")
_OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class Credentials:
    """The one user and password that are admitted."""

    user: str
    password: str = field(repr=False)

    @classmethod
    def load(cls, settings: Settings, params: ChainParams) -> Credentials:
        """Return the user and password of the settings, or of the chain's cookie file, which is made if it is missing.

        Raises `ConfigError` if the file cannot be read or written.
        """
        if settings.rpc_user:
            return cls(settings.rpc_user, settings.rpc_password)
        path = cookie_path(settings.data_dir, params.name)
        try:
            user, _, password = _shared_cookie(path).partition(":")
        except OSError as error:
            raise ConfigError(f"cannot use the RPC cookie {path}: {error.strerror}") from None
        return cls(user, password)

    def admit(self, header: str) -> bool:
        """Tell whether an `Authorization` header is right, in a time that depends on no part of the password."""
        scheme, _, encoded = header.partition(" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):  # the latter for characters beyond ASCII
            given = b""
        expected = f"{self.user}:{self.password}".encode()
        # Digests of one length: the comparison tells nothing about the password's.
        is_equal = hmac.compare_digest(sha256(given), sha256(expected))
        return is_equal and scheme == "Basic"


def cookie_path(data_dir: Path, chain: str) -> Path:
    """Return where bitcoin-cli looks for the cookie of a chain."""
    return data_dir / ".cookie" if chain == "main" else data_dir / chain / ".cookie"


def _shared_cookie(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        known = _read_cookie(path)
        if known is not None:
            return known
        fresh = f"{_COOKIE_USER}:{secrets.token_hex(32)}"
        draft = path.with_name(f".cookie.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(fresh)
            os.link(draft, path)  # fails if another instance was faster, whose cookie is then read
        except FileExistsError:
            continue
        finally:
            draft.unlink()
        return fresh


def _read_cookie(path: Path) -> str | None:
    """Return the cookie of a file that only its owner could read; any other file is removed."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    if _COOKIE.fullmatch(text) and not stat.S_IMODE(mode) & ~_OWNER_ONLY:
        return text
    path.unlink(missing_ok=True)
    return None


class Guesses:
    """Logs wrong passwords: at most one line a second, which says how many there were since the one before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = -math.inf
        self._count = 0

    def log(self, address: str) -> None:
        """Count a wrong password from an address."""
        self._count += 1
        now = self._clock()
        if now - self._last >= 1.0:
            log.warning("wrong RPC password", extra=with_fields(address=address, count=self._count))
            self._last, self._count = now, 0

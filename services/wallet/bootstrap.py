"""The first start of a chain: creates the wallet `creator` and mines the blocks that give it mature coins.

Runs beside the HTTP server and continues an interrupted first start. A lease in Redis lets only one instance do the
work. The wallet's random password is written to a file first, so that it cannot be lost.
"""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.wallet.errors import Busy, MiningStopped, WalletExists
from services.wallet.service import WalletService
from services.wallet.store import WalletStore
from shared.bus.mine import MAX_BLOCKS
from shared.bus.wallets import CREATOR
from shared.chain.view import ChainView
from shared.config import Settings
from shared.consensus.params import ChainParams
from shared.errors import BrokerError, StoreUnavailable
from shared.logs import with_fields
from shared.process import waiting
from shared.process.backoff import backoff
from shared.process.shutdown import ExitFlag
from shared.process.thread import ServiceThread

log = logging.getLogger(__name__)

PASSWORD_FILE = "creator-password"  # noqa: S105 (the name of the file)
_LEASE_SECONDS = 3.0
_RENEW_SECONDS = 1.0
_POLL_SECONDS = 0.05


def first_blocks(chain: ChainParams, wanted: int) -> int:
    """Return the number of blocks to mine at a chain's first start: `wanted`, or 0 on a chain with costly blocks."""
    return wanted if chain.has_cheap_blocks else 0


def password_file(settings: Settings, chain: ChainParams) -> Path:
    """Return the path of the file with the password of the wallet `creator`."""
    return (settings.data_dir / chain.name / PASSWORD_FILE).absolute()


class Bootstrap:
    """Creates the wallet `creator` and mines its first blocks; `is_done` is a readiness check."""

    def __init__(self, wallets: WalletService, view: ChainView, password: Path, blocks: int, stop: ExitFlag) -> None:
        """`password` is the file for the password; `blocks` is the height to mine to, 0 to do nothing at all."""
        self._wallets = wallets
        self._store: WalletStore = wallets.store
        self._view = view
        self._password_file = password
        self._blocks = blocks
        self._stop = stop
        self._owner = uuid.uuid4().hex
        self._done = threading.Event()

    def is_done(self) -> bool:
        """Whether the first start is complete."""
        return self._done.is_set()

    def trouble(self) -> str:
        """Return why the wallet is not ready, for /readyz; empty once the first start is complete."""
        return "" if self.is_done() else f"the first blocks of {CREATOR} are not mined yet"

    def wait(self, seconds: float) -> None:
        """Return when the first start is complete or the exit flag is set, at the latest after `seconds`."""
        deadline = time.monotonic() + seconds
        while not (self._done.wait(_POLL_SECONDS) or self._stop.is_set()) and time.monotonic() < deadline:
            pass

    def run(self) -> None:
        """Complete the first start, retrying while Redis, broker, mempool or miner are away, unless the flag is set."""
        failures = 0
        while not self._stop.is_set():
            try:
                if self._step():
                    self._done.set()
                    return
                failures = 0
            except (BrokerError, StoreUnavailable, Busy, MiningStopped) as error:
                log.log(logging.INFO if failures > 3 else logging.DEBUG, "the first start has to wait: %s", error)
                self._stop.wait(backoff(failures, base=0.05, cap=1.0))
                failures += 1

    def _step(self) -> bool:
        """Do the next step; return whether the first start is complete."""
        if self._blocks == 0 or self._store.is_bootstrapped():
            return True
        with self._lease() as is_ours:
            if not is_ours:
                self._stop.wait(0.1)
                return False
            if not self._store.exists(CREATOR):
                self._create()
            missing = self._blocks - self._view.tip().height
            if missing > 0:
                log.info("mining the first blocks", extra=with_fields(wallet=CREATOR, count=missing))
                waiting.run(self._wallets.mine(CREATOR, min(missing, MAX_BLOCKS)))
                return False
            self._store.set_bootstrapped()
            return True

    def _create(self) -> None:
        path = self._password_file
        is_new = write_once(path, secrets.token_urlsafe(18))
        try:
            waiting.run(self._wallets.create(CREATOR, path.read_text(encoding="utf-8").strip()))
        except WalletExists:
            if is_new:  # another instance, with files of its own, created the wallet: this password does not open it
                path.unlink()
            return
        log.info("wallet created; its password is in a file", extra=with_fields(wallet=CREATOR, file=path))

    @contextmanager
    def _lease(self) -> Iterator[bool]:
        """Hold the lease and renew it while the body runs; yield False if another instance has it."""
        if not self._store.hold_bootstrap(self._owner, _LEASE_SECONDS):
            yield False
            return
        over = threading.Event()
        renewing = ServiceThread(lambda: self._renew(over), "bootstrap-lease", over.is_set)
        renewing.start()
        try:
            yield True
        finally:
            over.set()
            renewing.join()
            self._store.release_bootstrap(self._owner)

    def _renew(self, over: threading.Event) -> None:
        while not over.wait(_RENEW_SECONDS):
            try:
                self._store.hold_bootstrap(self._owner, _LEASE_SECONDS)
            except StoreUnavailable as error:
                log.warning("cannot renew the lease on the first start: %s", error)


def write_once(path: Path, text: str) -> bool:
    """Write a new file that only its owner can read, whole or not at all; return False if the file exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        Path(temporary).unlink()
    return True

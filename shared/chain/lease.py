"""The writer's lease: a Redis key with a time limit, in the very store that it protects.

Taking the lease increments `writer:epoch`, and every commit names its epoch: Redis itself refuses a writer that lost
its lease without noticing (fencing). The lease decides which process tries to write, the epoch which process may.
"""

from __future__ import annotations

import secrets
from typing import Any

from shared.chain.lua import source
from shared.chain.redis_keys import Keys
from shared.chain.store import StoreClient

TIME_LIMIT = 5.0
"""Seconds after which a lease expires that is not renewed."""
RENEW_EVERY = 1.0
"""Seconds between renewals."""


class Lease:
    """One process's claim to be the writer."""

    def __init__(self, client: StoreClient, keys: Keys) -> None:
        self._keys = keys
        self._token = secrets.token_hex(16)
        self._take: Any = client.register_script(source("take_lease"))
        self._renew: Any = client.register_script(source("renew_lease"))
        self._release: Any = client.register_script(source("release_lease"))

    def take(self) -> int | None:
        """Return the new epoch, or None while another process holds the lease."""
        epoch = self._take(
            keys=[self._keys.writer, self._keys.writer_epoch], args=[self._token, int(TIME_LIMIT * 1000)]
        )
        return None if epoch is None else int(epoch)

    def renew(self) -> bool:
        """Extend the lease by another time limit; return False if it is lost."""
        return bool(self._renew(keys=[self._keys.writer], args=[self._token, int(TIME_LIMIT * 1000)]))

    def release(self) -> None:
        """Release the lease at a clean stop, if this process still holds it."""
        self._release(keys=[self._keys.writer], args=[self._token])

"""Browser sessions: keep the wallets that a browser has unlocked, for 15 minutes each, and the token for its forms.

Sessions lie in Redis, so that all instances of the service know them and a restart ends none. A session is named by a
random cookie; nothing is stored for it until it unlocks a wallet or has a notice. Keys derived from the cookie (HKDF)
name the session and encrypt its contents (AES-256-GCM). Neither Redis nor a copy of its files reveals an unlocked
wallet's key without the cookie, which only the browser keeps.

| key | type | content |
|---|---|---|
| `wallet:session:<name>` | hash | wallet id → sealed: account's private key, time at which it is locked again |
| `wallet:notices:<name>` | list | sealed: messages for the next page |

The form token is derived from the cookie as well: another site can neither read nor guess it.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.chain.redis_keys import Keys
from shared.chain.store import StoreClient
from shared.crypto.address import AddressPrefix
from shared.crypto.bip32 import ExtendedKey
from shared.durations import MINUTE
from shared.errors import StoreUnavailable

LIFETIME = 15 * MINUTE
_NOTICE_SECONDS = MINUTE
_MOST_NOTICES = 5
_KEY_BYTES = 32
_NONCE_BYTES = 12

T = TypeVar("T", bound=msgspec.Struct)


class Notice(msgspec.Struct, frozen=True):
    """A message for the next page; `kind` is `good`, `warn` or `bad`."""

    kind: str
    text: str
    link: str = ""


class _Unlocked(msgspec.Struct, frozen=True):
    """A wallet's key in one session. `repr` omits it."""

    key: str
    """The account's extended private key."""
    expires: float
    """Seconds since 1970."""

    def __repr__(self) -> str:
        return f"_Unlocked(expires={self.expires})"


def cookie_name(wallet_url: str) -> str:
    """Return the name of the cookie for the wallet at this address.

    All instances behind one address share it. It contains the port, as browsers share cookies between the ports of a
    host.
    """
    parts = urlsplit(wallet_url)
    return f"warren_session_{parts.port or (443 if parts.scheme == 'https' else 80)}"


class Sessions:
    """All sessions of one chain's wallets."""

    def __init__(
        self,
        client: StoreClient,
        keys: Keys,
        prefix: AddressPrefix,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`prefix` is the chain's; `clock` returns seconds since 1970."""
        self._redis: Any = client
        self._prefix = keys.wallet
        self._address_prefix = prefix
        self._clock = clock

    @staticmethod
    def new_token() -> str:
        """Return the cookie of a new session."""
        return secrets.token_urlsafe(32)

    @staticmethod
    def form_token(token: str) -> str:
        """Return the token that this session's forms carry."""
        return _derive(token, "form").hex()

    def is_form_token(self, token: str | None, given: str) -> bool:
        """Whether `given` is this session's form token; compared in constant time."""
        if not token:
            return False
        return hmac.compare_digest(self.form_token(token).encode(), given.encode(errors="replace"))

    def unlock(self, token: str | None, wallet_id: str, key: ExtendedKey) -> str:
        """Keep the key for this session, and return the session's cookie from now on.

        The cookie is new unless this session has an unlocked wallet: an attacker who plants a cookie in a browser does
        not share the wallets that it unlocks.
        """
        if token is None or not self._has_unlocked(token):
            token = self.new_token()
        unlocked = _Unlocked(key.serialize(self._address_prefix), self._clock() + LIFETIME)
        name = self._session(token)
        pipe = self._redis.pipeline()
        pipe.hset(name, wallet_id, _seal(token, wallet_id, unlocked))
        pipe.expire(name, LIFETIME)  # no wallet of the session was unlocked later than this one
        pipe.execute()
        return token

    def key(self, token: str | None, wallet_id: str) -> ExtendedKey | None:
        """Return the account's private key if this session has unlocked the wallet."""
        unlocked = self._unlocked(token, wallet_id)
        return ExtendedKey.parse(unlocked.key, self._address_prefix) if unlocked else None

    def seconds_left(self, token: str | None, wallet_id: str) -> int:
        """Return the seconds that the wallet stays unlocked; 0 if it is locked."""
        unlocked = self._unlocked(token, wallet_id)
        return int(unlocked.expires - self._clock()) if unlocked else 0

    def lock(self, token: str | None, wallet_id: str) -> None:
        """Delete the wallet's key."""
        if token:
            self._redis.hdel(self._session(token), wallet_id)

    def add_notice(self, token: str, notice: Notice) -> None:
        """Leave a notice for the next page of this session; none is left while Redis takes no writes."""
        name = self._notices(token)
        pipe = self._redis.pipeline()
        pipe.rpush(name, _seal(token, "notice", notice))
        pipe.ltrim(name, -_MOST_NOTICES, -1)
        pipe.expire(name, _NOTICE_SECONDS)
        with contextlib.suppress(StoreUnavailable):
            pipe.execute()

    def take_notices(self, token: str | None) -> list[Notice]:
        """Return the session's notices and delete them; they stay while Redis takes no writes."""
        if not token:
            return []
        name = self._notices(token)
        found = self._redis.lrange(name, 0, -1)
        if found:
            with contextlib.suppress(StoreUnavailable):
                self._redis.ltrim(name, len(found), -1)
        notices = [_unseal(token, "notice", data, Notice) for data in found]
        return [notice for notice in notices if notice is not None]

    def _session(self, token: str) -> str:
        return f"{self._prefix}session:{_derive(token, 'name').hex()}"

    def _notices(self, token: str) -> str:
        return f"{self._prefix}notices:{_derive(token, 'name').hex()}"

    def _unlocked(self, token: str | None, wallet_id: str) -> _Unlocked | None:
        if not token:
            return None
        return self._still_unlocked(token, wallet_id, self._redis.hget(self._session(token), wallet_id))

    def _has_unlocked(self, token: str) -> bool:
        stored = self._redis.hgetall(self._session(token))
        return any(self._still_unlocked(token, name.decode(), data) for name, data in stored.items())

    def _still_unlocked(self, token: str, wallet_id: str, data: bytes | None) -> _Unlocked | None:
        unlocked = _unseal(token, wallet_id, data, _Unlocked) if data else None
        return unlocked if unlocked and unlocked.expires > self._clock() else None


def _derive(token: str, purpose: str) -> bytes:
    hkdf = HKDF(SHA256(), _KEY_BYTES, salt=None, info=f"warren wallet session {purpose}".encode())
    return hkdf.derive(token.encode(errors="replace"))


def _seal(token: str, place: str, content: msgspec.Struct) -> bytes:
    """Return the content encrypted for a session, and bound to its place in it."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(_derive(token, "seal")).encrypt(nonce, msgspec.json.encode(content), place.encode())


def _unseal(token: str, place: str, data: bytes, kind: type[T]) -> T | None:
    """Return the content; None if it was sealed for another session or place."""
    try:
        plain = AESGCM(_derive(token, "seal")).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], place.encode())
    except (InvalidTag, ValueError):
        return None
    return msgspec.json.decode(plain, type=kind)

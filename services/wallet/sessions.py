"""Browser sessions: keep the wallets that a browser has unlocked, for 15 minutes each, and the token for its forms.

Sessions live in this process's memory, so a restart locks every wallet. A session is named by a random cookie; nothing
is stored for it until it unlocks a wallet or has a notice. The form token is an HMAC of the cookie: another site can
neither read nor guess it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.crypto.bip32 import ExtendedKey

COOKIE = "warren_session"
LIFETIME = 15 * 60.0
_MAX_SESSIONS = 10_000


@dataclass(frozen=True, slots=True)
class Notice:
    """A message for the next page; `kind` is `good`, `warn` or `bad`."""

    kind: str
    text: str
    link: str = ""


@dataclass(slots=True)
class _Session:
    keys: dict[str, tuple[ExtendedKey, float]] = field(default_factory=dict, repr=False)
    """Wallet id → the account's key and the time at which it is forgotten."""
    notices: list[Notice] = field(default_factory=list)
    """Messages for the next page."""
    expires: float = 0.0


class Sessions:
    """All sessions of this process. Times are in seconds of `clock`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, lifetime: float = LIFETIME) -> None:
        self._clock = clock
        self._lifetime = lifetime
        self._secret = secrets.token_bytes(32)
        self._sessions: dict[bytes, _Session] = {}
        self._lock = threading.Lock()

    @staticmethod
    def new_token() -> str:
        """Return the cookie of a new session."""
        return secrets.token_urlsafe(32)

    def form_token(self, token: str) -> str:
        """Return the token that this session's forms carry."""
        return hmac.new(self._secret, token.encode(errors="replace"), hashlib.sha256).hexdigest()

    def is_form_token(self, token: str | None, given: str) -> bool:
        """Whether `given` is this session's form token; compared in constant time."""
        if not token:
            return False
        return hmac.compare_digest(self.form_token(token).encode(), given.encode(errors="replace"))

    def unlock(self, token: str | None, wallet_id: str, key: ExtendedKey) -> str:
        """Keep the key for this session, and return the session's cookie from now on.

        The cookie is new unless this session has unlocked a wallet before: an attacker who plants a cookie in a browser
        does not share the wallets that it unlocks.
        """
        with self._lock:
            session = self._live(token)
            if token is None or session is None or not session.keys:
                token = self.new_token()
                session = self._add(token)
            expires = self._clock() + self._lifetime
            session.keys[wallet_id] = (key, expires)
            session.expires = expires
            return token

    def key(self, token: str | None, wallet_id: str) -> ExtendedKey | None:
        """Return the account's private key if this session has unlocked the wallet."""
        with self._lock:
            session = self._live(token)
            return session.keys[wallet_id][0] if session and wallet_id in session.keys else None

    def seconds_left(self, token: str | None, wallet_id: str) -> int:
        """Return the seconds that the wallet stays unlocked; 0 if it is locked."""
        with self._lock:
            session = self._live(token)
            return int(session.keys[wallet_id][1] - self._clock()) if session and wallet_id in session.keys else 0

    def lock(self, token: str | None, wallet_id: str) -> None:
        """Forget the wallet's key."""
        with self._lock:
            session = self._live(token)
            if session:
                session.keys.pop(wallet_id, None)

    def add_notice(self, token: str, notice: Notice) -> None:
        """Leave a notice for the next page of this session."""
        with self._lock:
            session = self._live(token) or self._add(token)
            session.notices = [*session.notices[-4:], notice]
            session.expires = max(session.expires, self._clock() + 60.0)

    def take_notices(self, token: str | None) -> list[Notice]:
        """Return the session's notices and remove them."""
        with self._lock:
            session = self._live(token)
            if session is None:
                return []
            notices, session.notices = session.notices, []
            return notices

    def purge(self) -> None:
        """Forget every expired key and session. Called periodically; reading a session checks the time as well."""
        with self._lock:
            now = self._clock()
            for name, session in list(self._sessions.items()):
                _drop_expired(session, now)
                if session.expires <= now:
                    del self._sessions[name]

    def _live(self, token: str | None) -> _Session | None:
        session = self._sessions.get(_name(token)) if token else None
        if session:
            _drop_expired(session, self._clock())
        return session

    def _add(self, token: str) -> _Session:
        if len(self._sessions) >= _MAX_SESSIONS:
            oldest = min(self._sessions, key=lambda name: self._sessions[name].expires)
            del self._sessions[oldest]
        session = self._sessions[_name(token)] = _Session()
        return session


def _drop_expired(session: _Session, now: float) -> None:
    for wallet_id in [wallet_id for wallet_id, (_, expires) in session.keys.items() if expires <= now]:
        del session.keys[wallet_id]


def _name(token: str) -> bytes:
    # A digest, so that the timing of the look-up reveals nothing about existing cookies.
    return hashlib.sha256(token.encode(errors="replace")).digest()

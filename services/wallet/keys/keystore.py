"""Keys at rest: seals a wallet's seed with its password, and derives the account's key from the seed.

The seed is BIP39's (twelve words, shown once), the keys are BIP84's (native segwit). The stored seed is encrypted by
AES-256-GCM under a key that scrypt derives from the password; the wallet's id is authenticated with it, so that one
wallet's record cannot pass for another's. The account's public key is stored in the clear: addresses and balances need
no password.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import threading
import unicodedata
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.wallet.errors import BadInput, Busy, WrongPassword
from services.wallet.keys.attempts import Attempts
from services.wallet.keys.password_pool import PasswordPool, Rank
from shared.consensus.params import ChainParams
from shared.crypto.address import MAINNET_PREFIX
from shared.crypto.bip32 import ExtendedKey
from shared.durations import MINUTE
from shared.errors import DecodeError
from shared.process.waiting import WaitFor

T = TypeVar("T")

OURSELVES = "ourselves"
"""The client whose passwords are this service's own: those of the file of `creator`."""
SCRYPT_N = 1 << 15
_SCRYPT_R = 8
_SCRYPT_P = 1
_MAX_SCRYPT_MEMORY = 256 << 20
_KEY_BYTES = 32
_SALT_BYTES = 16
_NONCE_BYTES = 12
_MAX_PASSWORD = 1024
_WORDS_ENTROPY_BITS = 128
_MOST_HELD = 100
"""Far fewer than the requests that may wait in all: guesses leave room for payments."""
_MOST_REMEMBERED = 10_000


class Sealed(msgspec.Struct, frozen=True):
    """A secret at rest: the parameters of scrypt, and the nonce and ciphertext (with tag) of AES-256-GCM."""

    n: int
    r: int
    p: int
    salt: bytes
    nonce: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class NewWallet:
    """The secrets of a new wallet. The mnemonic is shown to the owner once and never stored."""

    mnemonic: str = field(repr=False)
    sealed: Sealed
    xpub: str
    """The account's extended public key."""


def seal(secret: bytes, password: str, wallet_id: str, n: int = SCRYPT_N) -> Sealed:
    """Return `secret` encrypted under `password` and bound to `wallet_id`; `n` is scrypt's cost."""
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    key = _scrypt(password, salt, n, _SCRYPT_R, _SCRYPT_P)
    return Sealed(n, _SCRYPT_R, _SCRYPT_P, salt, nonce, AESGCM(key).encrypt(nonce, secret, wallet_id.encode()))


def unseal(sealed: Sealed, password: str, wallet_id: str) -> bytes:
    """Return the secret; `WrongPassword` if the password, the wallet's id or any bit of the record is wrong."""
    key = _scrypt(password, sealed.salt, sealed.n, sealed.r, sealed.p)
    try:
        return AESGCM(key).decrypt(sealed.nonce, sealed.ciphertext, wallet_id.encode())
    except InvalidTag:
        raise WrongPassword from None


def check_new_password(password: object) -> str:
    """Return the password if a new wallet may have it; else `BadInput`."""
    if not isinstance(password, str) or not password:
        raise BadInput("password", "password-missing", "choose a password: the wallet's keys are encrypted with it")
    if len(password) > _MAX_PASSWORD:
        raise BadInput("password", "password-too-long", f"the password has more than {_MAX_PASSWORD} characters")
    if not _is_text(password):
        raise BadInput("password", "password-not-text", "the password contains something that is not a character")
    return password


class Keystore:
    """Creates and opens sealed seeds, and holds back the answers to wrong passwords.

    A password that has opened its wallet before is known again, by a keyed hash in this process's memory, and never
    waits behind guesses.
    """

    def __init__(
        self,
        params: ChainParams,
        attempts: Attempts,
        *,
        n: int = SCRYPT_N,
        pool: PasswordPool | None = None,
        patience: float = 10.0,
    ) -> None:
        """Set up: a caller whose password is not checked within `patience` seconds gets `Busy`."""
        self._params = params
        self._attempts = attempts
        self._n = n
        self._pool = pool or PasswordPool()
        self._patience = patience
        self._secret = secrets.token_bytes(_KEY_BYTES)
        self._right: OrderedDict[str, bytes] = OrderedDict()
        """Wallet id → keyed hash of its password."""
        self._held: deque[Future[None]] = deque()
        """Answers to wrong passwords that are held back, each until its future is done or its time is over."""
        self._lock = threading.Lock()

    async def create(self, wallet_id: str, password: str, client: str = OURSELVES) -> NewWallet:
        """Return a new seed sealed with `password`. Raises `Busy`."""
        from mnemonic import Mnemonic  # loads a word list, which only creating a wallet needs

        words = Mnemonic("english")
        mnemonic = words.generate(_WORDS_ENTROPY_BITS)
        seed = words.to_seed(mnemonic)
        sealed = await self._run(lambda: seal(seed, password, wallet_id, self._n), client, self._rank(client))
        self._remember(wallet_id, self._hash(sealed, password))
        return NewWallet(mnemonic, sealed, account_key(seed, self._params).neuter().serialize(self._params.address))

    async def open(self, wallet_id: str, sealed: Sealed, password: object, client: str = OURSELVES) -> ExtendedKey:
        """Return the account's private key. Raises `WrongPassword`, later for a guesser, or `Busy`.

        `client` is the address from which the password comes, `OURSELVES` for this service's own.
        """
        try:
            if not isinstance(password, str) or len(password) > _MAX_PASSWORD or not _is_text(password):
                raise WrongPassword  # no wallet can have such a password
            proof = self._hash(sealed, password)
            rank = Rank.TRUSTED if self._is_right(wallet_id, proof) else self._rank(client)
            seed = await self._run(lambda: unseal(sealed, password, wallet_id), client, rank)
        except WrongPassword:
            if client != OURSELVES:
                await self._hold_back(self._attempts.failed(client, wallet_id))
            raise
        self._attempts.succeeded(client, wallet_id)
        self._remember(wallet_id, proof)
        return account_key(seed, self._params)

    def _rank(self, client: str) -> Rank:
        if client == OURSELVES:
            return Rank.TRUSTED
        return Rank.GUESSER if self._attempts.is_guessing(client) else Rank.ORDINARY

    async def _run(self, call: Callable[[], T], client: str, rank: Rank) -> T:
        future = self._pool.submit(call, client, rank)
        try:
            await WaitFor(future, self._patience)
            future.cancel()
            if future.cancelled():
                raise Busy("too many passwords are being checked")
            await WaitFor(future, MINUTE)  # its turn has come
        finally:
            future.cancel()  # a caller that gives up leaves its place
        return future.result()

    async def _hold_back(self, seconds: float) -> None:
        """Wait before an answer; of too many that wait, the one that has waited longest goes at once."""
        if not seconds:
            return
        held: Future[None] = Future()
        with self._lock:
            self._held.append(held)
            released = self._held.popleft() if len(self._held) > _MOST_HELD else None
        if released is not None:
            released.set_result(None)
        try:
            await WaitFor(held, seconds)
        finally:
            with self._lock, contextlib.suppress(ValueError):
                self._held.remove(held)

    def _hash(self, sealed: Sealed, password: str) -> bytes:
        return hashlib.blake2b(sealed.salt + _normal(password), key=self._secret).digest()

    def _is_right(self, wallet_id: str, proof: bytes) -> bool:
        return hmac.compare_digest(self._right.get(wallet_id, b""), proof)

    def _remember(self, wallet_id: str, proof: bytes) -> None:
        with self._lock:
            self._right[wallet_id] = proof
            self._right.move_to_end(wallet_id)
            if len(self._right) > _MOST_REMEMBERED:
                self._right.popitem(last=False)


def account_key(seed: bytes, params: ChainParams) -> ExtendedKey:
    """Return the private key at m/84h/coin type/0h (BIP84, BIP44): coin type 0 on mainnet, 1 on every test chain."""
    coin_type = 0 if params.address.hrp == MAINNET_PREFIX.hrp else 1
    return ExtendedKey.from_seed(seed).derive(f"84h/{coin_type}h/0h")


def _is_text(password: str) -> bool:
    # JSON may contain half a surrogate pair, which UTF-8 cannot encode, and zero characters: HMAC, within scrypt, does
    # not distinguish a password from the password with zeros appended.
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in password)


def _normal(password: str) -> bytes:
    return unicodedata.normalize("NFKC", password).encode()


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    try:
        return hashlib.scrypt(
            _normal(password),
            salt=salt,
            n=n,
            r=r,
            p=p,
            maxmem=_MAX_SCRYPT_MEMORY,
            dklen=_KEY_BYTES,
        )
    except ValueError:
        raise DecodeError("the wallet's record asks for impossible parameters of scrypt") from None

"""Keys at rest: seals a wallet's seed with its password, and derives the account's key from the seed.

The seed is BIP39's (twelve words, shown once), the keys are BIP84's (native segwit). The stored seed is encrypted by
AES-256-GCM under a key that scrypt derives from the password; the wallet's id is authenticated with it, so that one
wallet's record cannot pass for another's. The account's public key is stored in the clear: addresses and balances need
no password.
"""

from __future__ import annotations

import hashlib
import os
import threading
import unicodedata
from dataclasses import dataclass, field

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.wallet.attempts import Attempts
from services.wallet.errors import BadInput, Busy, WrongPassword
from shared.consensus.params import ChainParams
from shared.crypto.address import MAINNET_PREFIX
from shared.crypto.bip32 import ExtendedKey
from shared.errors import DecodeError

SCRYPT_N = 1 << 15
_SCRYPT_R = 8
_SCRYPT_P = 1
_MAX_SCRYPT_MEMORY = 256 << 20
_KEY_BYTES = 32
_SALT_BYTES = 16
_NONCE_BYTES = 12
_MAX_PASSWORD = 1024
_WORDS_ENTROPY_BITS = 128


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
    """Creates and opens sealed seeds, a few at a time, and counts wrong passwords."""

    def __init__(
        self, params: ChainParams, attempts: Attempts, *, n: int = SCRYPT_N, slots: int = 2, patience: float = 10.0
    ) -> None:
        """`slots` limits the memory and cores for scrypt; a caller that waits over `patience` seconds gets `Busy`."""
        self._params = params
        self._attempts = attempts
        self._n = n
        self._slots = threading.BoundedSemaphore(slots)
        self._patience = patience

    def create(self, wallet_id: str, password: str) -> NewWallet:
        """Return a new seed sealed with `password`. Raises `Busy`."""
        from mnemonic import Mnemonic  # loads a word list, which only creating a wallet needs

        words = Mnemonic("english")
        mnemonic = words.generate(_WORDS_ENTROPY_BITS)
        seed = words.to_seed(mnemonic)
        with self._slot():
            sealed = seal(seed, password, wallet_id, self._n)
        return NewWallet(mnemonic, sealed, account_key(seed, self._params).neuter().serialize(self._params.address))

    def open(self, wallet_id: str, sealed: Sealed, password: object) -> ExtendedKey:
        """Return the account's private key. Raises `WrongPassword`, `TooManyAttempts`, `Busy`."""
        if not isinstance(password, str) or len(password) > _MAX_PASSWORD or not _is_text(password):
            raise WrongPassword  # no wallet can have such a password
        with self._slot():
            self._attempts.check(wallet_id)
            try:
                seed = unseal(sealed, password, wallet_id)
            except WrongPassword:
                self._attempts.failed(wallet_id)
                raise
        self._attempts.succeeded(wallet_id)
        return account_key(seed, self._params)

    def _slot(self) -> _Slot:
        return _Slot(self._slots, self._patience)


class _Slot:
    """Permission to run scrypt, held while the `with` block runs."""

    def __init__(self, slots: threading.BoundedSemaphore, patience: float) -> None:
        self._slots = slots
        self._patience = patience

    def __enter__(self) -> None:
        if not self._slots.acquire(timeout=self._patience):
            raise Busy("too many passwords are being checked")

    def __exit__(self, *exc_info: object) -> None:
        self._slots.release()


def account_key(seed: bytes, params: ChainParams) -> ExtendedKey:
    """Return the private key at m/84h/coin type/0h (BIP84, BIP44): coin type 0 on mainnet, 1 on every test chain."""
    coin_type = 0 if params.address.hrp == MAINNET_PREFIX.hrp else 1
    return ExtendedKey.from_seed(seed).derive(f"84h/{coin_type}h/0h")


def _is_text(password: str) -> bool:
    # JSON may contain half a surrogate pair, which UTF-8 cannot encode, and zero characters: HMAC, within scrypt, does
    # not distinguish a password from the password with zeros appended.
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in password)


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    try:
        return hashlib.scrypt(
            unicodedata.normalize("NFKC", password).encode(),
            salt=salt,
            n=n,
            r=r,
            p=p,
            maxmem=_MAX_SCRYPT_MEMORY,
            dklen=_KEY_BYTES,
        )
    except ValueError:
        raise DecodeError("the wallet's record asks for impossible parameters of scrypt") from None

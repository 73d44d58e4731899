"""Derives a wallet's addresses from its account's public key, without the password.

BIP84 has two branches: 0 for receive addresses, 1 for change. A script is derived once per process.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import IntEnum

from shared.chain.redis_keys import script_hash
from shared.crypto.address import AddressPrefix, encode_address
from shared.crypto.bip32 import ExtendedKey
from shared.crypto.keys import PublicKey
from shared.script.standard import p2wpkh_script


class Keychain(IntEnum):
    """The two branches of a BIP84 account."""

    RECEIVE = 0
    CHANGE = 1


@dataclass(frozen=True, slots=True)
class WalletKey:
    """One key of a wallet: its branch and index in the account, and the script that pays it."""

    branch: Keychain
    index: int
    public_key: PublicKey
    script_pubkey: bytes
    script_hash: bytes

    def address(self, prefix: AddressPrefix) -> str:
        """Return the address of the script."""
        address = encode_address(self.script_pubkey, prefix)
        if address is None:  # a P2WPKH script has an address on every network
            raise ValueError("the script has no address")
        return address


class Account:
    """The public side of one wallet. Safe to share between threads."""

    def __init__(self, account: ExtendedKey) -> None:
        self._branches = {branch: account.child(branch) for branch in Keychain}
        self._keys: dict[Keychain, list[WalletKey]] = {branch: [] for branch in Keychain}
        self._lock = threading.Lock()

    def keys(self, branch: Keychain, count: int) -> list[WalletKey]:
        """Return the first `count` keys of a branch."""
        return self._derived(branch, count)[:count]

    def key(self, branch: Keychain, index: int) -> WalletKey:
        """Return one key."""
        return self._derived(branch, index + 1)[index]

    def newest(self, branch: Keychain, count: int, most: int) -> list[WalletKey]:
        """Return the last keys, up to `most`, of the first `count` keys of a branch."""
        return self._derived(branch, count)[max(0, count - most) : count]

    def _derived(self, branch: Keychain, count: int) -> list[WalletKey]:
        """Return the known keys of a branch, at least `count`."""
        known = self._keys[branch]
        with self._lock:
            while len(known) < count:
                index = len(known)
                public_key = self._branches[branch].child(index).public_key
                script = p2wpkh_script(public_key.hash160)
                known.append(WalletKey(branch, index, public_key, script, script_hash(script)))
        return known

"""A wallet's addresses from its public key alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from services.wallet.keys.accounts import Account, Keychain
from shared.crypto.bip32 import ExtendedKey

ROOT = ExtendedKey.from_seed(bytes(64)).derive("84h/1h/0h")


def test_the_public_side_derives_the_keys_that_the_private_side_signs_with() -> None:
    account = Account(ROOT.neuter())
    for branch in Keychain:
        for index, key in enumerate(account.keys(branch, 3)):
            assert (key.branch, key.index) == (branch, index)
            assert key.public_key == ROOT.derive(f"{branch}/{index}").public_key


def test_threads_see_the_same_keys() -> None:
    account = Account(ROOT.neuter())
    with ThreadPoolExecutor(4) as pool:
        lists = list(pool.map(lambda count: account.keys(Keychain.RECEIVE, count), [20, 5, 20, 12]))
    assert [len(keys) for keys in lists] == [20, 5, 20, 12]
    assert all(keys == lists[0][: len(keys)] for keys in lists)

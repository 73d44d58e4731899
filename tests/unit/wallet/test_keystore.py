"""Keys at rest."""

from __future__ import annotations

import msgspec
import pytest

from services.wallet.errors import BadInput, WrongPassword
from services.wallet.keys.accounts import Account, Keychain
from services.wallet.keys.attempts import Attempts
from services.wallet.keys.keystore import SCRYPT_N, Keystore, Sealed, account_key, check_new_password, seal, unseal
from shared.consensus.params import MAINNET, REGTEST
from shared.crypto.bip32 import ExtendedKey
from shared.errors import DecodeError
from shared.process import waiting

FAST = 16
SECRET = bytes(range(64))
BIP39_WORDS = "abandon " * 11 + "about"


def keystore() -> Keystore:
    return Keystore(REGTEST, Attempts(), n=FAST)


def test_a_sealed_secret_opens_with_its_password() -> None:
    sealed = seal(SECRET, "pässword", "wallet_1", FAST)
    assert unseal(sealed, "pässword", "wallet_1") == SECRET


def test_a_password_may_be_typed_composed_or_decomposed() -> None:
    assert unseal(seal(SECRET, "p\u00e4ss", "w", FAST), "pa\u0308ss", "w") == SECRET


def test_the_same_secret_never_looks_the_same_twice() -> None:
    first, second = (seal(SECRET, "pw", "w", FAST) for _ in range(2))
    assert (first.salt, first.nonce, first.ciphertext) != (second.salt, second.nonce, second.ciphertext)
    assert SECRET not in first.ciphertext


@pytest.mark.parametrize("password", ["", "PW", "pw ", "p", "pww"])
def test_a_wrong_password_opens_nothing(password: str) -> None:
    with pytest.raises(WrongPassword):
        unseal(seal(SECRET, "pw", "w", FAST), password, "w")


def test_one_wallets_record_does_not_pass_for_anothers() -> None:
    with pytest.raises(WrongPassword):
        unseal(seal(SECRET, "pw", "alice", FAST), "pw", "bob")


@pytest.mark.parametrize("field", ["salt", "nonce", "ciphertext"])
def test_a_changed_record_does_not_open(field: str) -> None:
    sealed = seal(SECRET, "pw", "w", FAST)
    changed = bytearray(getattr(sealed, field))
    changed[-1] ^= 1
    with pytest.raises(WrongPassword):
        unseal(msgspec.structs.replace(sealed, **{field: bytes(changed)}), "pw", "w")


@pytest.mark.parametrize(
    ("n", "ciphertext"),
    [
        (
            FAST,
            "a8afc2d996c27fa05ded7d5f8ac5d74480ba4b549dde914dc8e740eebc0c0da3d90b0211dab917fe4d7e23503ecca165"
            "258e1f8999f379fc40f87f2dc9a7f3b825673a93d8ccd88bf747824447945fb1",
        ),
        (
            1 << 15,
            "38f0e1081c58d8f470ef00cc2e7b005377542134aa8ad4edac6bada00d7f3ad6eac3d9cb1488b4d1bd49278b206c6399"
            "c0310824d0f59e5e82bf6642e0f08c66bba04d2aeda7546ed6febfa5e976ee5d",
        ),
    ],
)
def test_a_record_that_was_written_once_opens_for_ever(n: int, ciphertext: str) -> None:
    sealed = Sealed(n, 8, 1, bytes(range(16)), bytes(range(12)), bytes.fromhex(ciphertext))
    assert unseal(sealed, "pässword", "wallet_1") == SECRET


def test_a_new_record_has_the_promised_costs_and_enough_chance_in_it() -> None:
    sealed = seal(SECRET, "pw", "w")
    assert (sealed.n, sealed.r, sealed.p) == (SCRYPT_N, 8, 1)
    assert (len(sealed.salt), len(sealed.nonce)) == (16, 12)


# 1 << 18 would take a little more than 256 MB.
@pytest.mark.parametrize("n", [0, 3, 1 << 18, 1 << 30])
def test_a_record_with_impossible_costs_is_refused_before_they_are_paid(n: int) -> None:
    with pytest.raises(DecodeError):
        unseal(msgspec.structs.replace(seal(SECRET, "pw", "w", FAST), n=n), "pw", "w")


def test_the_default_cost_is_the_promised_one() -> None:
    assert SCRYPT_N == 1 << 15


def test_a_record_survives_json() -> None:
    sealed = seal(SECRET, "pw", "w", FAST)
    assert msgspec.json.decode(msgspec.json.encode(sealed), type=Sealed) == sealed


@pytest.mark.parametrize(
    ("password", "code"),
    [
        (None, "password-missing"),
        ("", "password-missing"),
        (12345678, "password-missing"),
        ("x" * 1025, "password-too-long"),
        ("\ud800", "password-not-text"),
        ("pw\0", "password-not-text"),
    ],
)
def test_a_password_that_cannot_be_used_is_refused_at_creation(password: object, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_new_password(password)
    assert caught.value.code == code


def test_the_longest_password_can_be_used() -> None:
    longest = "x" * 1024
    assert check_new_password(longest) == longest
    waiting.run(keystore().open("w", seal(SECRET, longest, "w", FAST), longest))


def test_a_password_that_is_too_long_is_refused_without_being_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("services.wallet.keys.keystore.unseal")
    with pytest.raises(WrongPassword):
        waiting.run(keystore().open("w", seal(SECRET, "pw", "w", FAST), "x" * 1025))


def test_a_new_wallet_opens_to_the_key_of_its_words() -> None:
    from mnemonic import Mnemonic

    new = waiting.run(keystore().create("w", "pw"))
    opened = waiting.run(keystore().open("w", new.sealed, "pw"))
    assert len(new.mnemonic.split()) == 12
    assert opened == account_key(Mnemonic.to_seed(new.mnemonic), REGTEST)
    assert opened.neuter().serialize(REGTEST.address) == new.xpub
    assert new.mnemonic not in repr(new)


def test_addresses_are_those_of_bip84() -> None:
    from mnemonic import Mnemonic

    account = Account(account_key(Mnemonic.to_seed(BIP39_WORDS), MAINNET).neuter())
    addresses = [
        account.key(*place).address(MAINNET.address) for place in ((Keychain.RECEIVE, 0), (Keychain.RECEIVE, 1))
    ]
    assert addresses == ["bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu", "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g"]
    assert account.key(Keychain.CHANGE, 0).address(MAINNET.address) == "bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el"


def test_test_chains_have_a_coin_type_of_their_own() -> None:
    assert account_key(SECRET, REGTEST) == ExtendedKey.from_seed(SECRET).derive("84h/1h/0h")
    assert account_key(SECRET, MAINNET) == ExtendedKey.from_seed(SECRET).derive("84h/0h/0h")


@pytest.mark.parametrize("password", [None, 5, "", "x" * 5000, "\ud800", "pw\0"])
def test_what_cannot_be_a_password_is_a_wrong_one(password: object) -> None:
    sealed = seal(SECRET, "pw", "w", FAST)
    with pytest.raises(WrongPassword):
        waiting.run(keystore().open("w", sealed, password))

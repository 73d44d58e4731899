"""The published vectors of the BIPs for mnemonics, key trees and segwit digests (39, 84, 86, 143)."""

import pytest
from mnemonic import Mnemonic

from services.wallet.keys.keystore import account_key
from shared.consensus.params import MAINNET
from shared.crypto import base58
from shared.crypto.address import MAINNET_PREFIX, encode_address
from shared.crypto.bip32 import ExtendedKey
from shared.errors import ScriptError
from shared.primitives.transaction import OutPoint, Transaction, TxOut
from shared.script.flags import MANDATORY
from shared.script.interpreter import verify_input
from shared.script.script import push_data
from shared.script.sighash import SighashCache
from shared.script.standard import p2tr_script, p2wpkh_script
from tests.conformance.core_format import parse_script

ABOUT = "abandon " * 11 + "about"

# Entropy, words, seed with the passphrase TREZOR: from the list that BIP39 refers to.
BIP39 = [
    (
        "00" * 16,
        ABOUT,
        "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e5349553"
        "1f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04",
    ),
    (
        "7f" * 16,
        "legal winner thank year wave sausage worth useful legal winner thank yellow",
        "2e8905819b8723fe2c1d161860e5ee1830318dbf49a83bd451cfb8440c28bd6f"
        "a457fe1296106559a3c80937a1c1069be3a3a5bd381ee6260e8d9739fce1f607",
    ),
    (
        "80" * 16,
        "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
        "d71de856f81a8acc65e6fc851a38d4d7ec216fd0796d0a6827a3ad6ed5511a30"
        "fa280f12eb2e47ed2ac03b5c462a0358d18d69fe4f985ec81778c1b370b652a8",
    ),
    (
        "ff" * 16,
        "zoo " * 11 + "wrong",
        "ac27495480225222079d7be181583751e86f571027b0497b5b5d11218e0a8a13"
        "332572917f0f8e5a589620c6f15b11c61dee327651a14c34e18231052e48c069",
    ),
    (
        "00" * 32,
        "abandon " * 23 + "art",
        "bda85446c68413707090a52022edd26a1c9462295029f2e60cd7c4f2bbd30971"
        "70af7a4d73245cafa9c3cca8d561a7c3de6f5d4a10be8ed2a5e608d68f92fcc8",
    ),
    (
        "ff" * 32,
        "zoo " * 23 + "vote",
        "dd48c104698c30cfe2b6142103248622fb7bb0ff692eebb00089b32d22484e16"
        "13912f0a5b694407be899ffd31ed3992c456cdf60f5d4564b8ba3f05a69890ad",
    ),
]


@pytest.mark.parametrize(("entropy", "words", "seed"), BIP39)
def test_the_wallets_mnemonics_are_those_of_bip39(entropy, words, seed):
    english = Mnemonic("english")
    assert english.to_mnemonic(bytes.fromhex(entropy)) == words
    assert english.check(words)
    assert english.to_seed(words, "TREZOR").hex() == seed


def test_a_mnemonic_with_a_wrong_checksum_is_none():
    assert not Mnemonic("english").check("abandon " * 12)


@pytest.fixture(scope="module")
def root():
    return ExtendedKey.from_seed(Mnemonic("english").to_seed(ABOUT))


def test_the_wallets_account_is_that_of_bip84(root):
    zpub = (
        "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3Ef"
        "H1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs"
    )
    account = account_key(Mnemonic("english").to_seed(ABOUT), MAINNET)
    xpub = account.neuter().serialize(MAINNET_PREFIX)
    assert base58.decode_check(xpub)[4:] == base58.decode_check(zpub)[4:]  # the version says only what it is used for


@pytest.mark.parametrize(
    ("path", "public_key", "address"),
    [
        (
            "0/0",
            "0330d54fd0dd420a6e5f8d3624f5f3482cae350f79d5f0753bf5beef9c2d91af3c",
            "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu",
        ),
        (
            "0/1",
            "03e775fd51f0dfb8cd865d9ff1cca2a158cf651fe997fdc9fee9c1d3b5e995ea77",
            "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g",
        ),
        (
            "1/0",
            "03025324888e429ab8e3dbaf1f7802648b9cd01e9b418485c5fa4c1b9b5700e1a6",
            "bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el",
        ),
    ],
)
def test_the_addresses_of_bip84_are_derived(root, path, public_key, address):
    key = root.derive("m/84'/0'/0'").derive(path).public_key
    assert key.compressed.hex() == public_key
    assert encode_address(p2wpkh_script(key.hash160), MAINNET_PREFIX) == address


@pytest.mark.parametrize(
    ("path", "internal", "output", "address"),
    [
        (
            "0/0",
            "cc8a4bc64d897bddc5fbc2f670f7a8ba0b386779106cf1223c6fc5d7cd6fc115",
            "a60869f0dbcf1dc659c9cecbaf8050135ea9e8cdc487053f1dc6880949dc684c",
            "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
        ),
        (
            "0/1",
            "83dfe85a3151d2517290da461fe2815591ef69f2b18a2ce63f01697a8b313145",
            "a82f29944d65b86ae6b5e5cc75e294ead6c59391a1edc5e016e3498c67fc7bbb",
            "bc1p4qhjn9zdvkux4e44uhx8tc55attvtyu358kutcqkudyccelu0was9fqzwh",
        ),
        (
            "1/0",
            "399f1b2f4393f29a18c937859c5dd8a77350103157eb880f02e8c08214277cef",
            "882d74e5d0572d5a816cef0041a96b6c1de832f6f9676d9605c44d5e9a97d3dc",
            "bc1p3qkhfews2uk44qtvauqyr2ttdsw7svhkl9nkm9s9c3x4ax5h60wqwruhk7",
        ),
    ],
)
def test_the_addresses_of_bip86_are_derived(root, path, internal, output, address):
    key = root.derive("m/86'/0'/0'").derive(path).public_key
    assert key.x_only.hex() == internal
    assert key.taproot_output_key().hex() == output
    assert encode_address(p2tr_script(key.taproot_output_key()), MAINNET_PREFIX) == address


def test_the_account_of_bip86_is_derived(root):
    account = root.derive("m/86'/0'/0'")
    assert account.serialize(MAINNET_PREFIX) == (
        "xprv9xgqHN7yz9MwCkxsBPN5qetuNdQSUttZNKw1dcYTV4mkaAFiBVGQziHs3NRSWMkCzvgjEe3n9xV8oYywvM8at9yRqyaZVz6TYYhX98VjsUk"
    )
    assert account.neuter().serialize(MAINNET_PREFIX) == (
        "xpub6BgBgsespWvERF3LHQu6CnqdvfEvtMcQjYrcRzx53QJjSxarj2afYWcLteoGVky7D3UKDP9QyrLprQ3VCECoY49yfdDEHGCtMMj92pReUsQ"
    )


def test_the_digest_of_bip143s_nested_p2wpkh_example():
    tx = Transaction.parse(
        bytes.fromhex(
            "0100000001db6b1b20aa0fd7b23880be2ecbd4a98130974cf4748fb66092ac4d3ceb1a54770100000000feffffff02b8b4eb0b0000"
            "00001976a914a457b684d7f0d539a46a45bbc043f35b59d0d96388ac0008af2f000000001976a914fd270b1ee6abcaea97fea7ad04"
            "02e8bd8ad6d77c88ac92040000"
        )
    )
    script_code = bytes.fromhex("76a91479091972186c449eb1ded22b78e40d009bdf008988ac")
    digest = SighashCache(tx, ()).segwit_v0(0, script_code, 1_000_000_000, 1)
    assert digest.hex() == "64f3b0f4dd2bb3aa1ce8566d220cc74dda9df97d8490cc81d89d735c92e59fb6"


@pytest.mark.parametrize(
    ("hash_type", "expected"),
    [
        (0x01, "185c0be5263dce5b4bb50a047973c1b6272bfbd0103a89444597dc40b248ee7c"),
        (0x02, "e9733bc60ea13c95c6527066bb975a2ff29a925e80aa14c213f686cbae5d2f36"),
        (0x03, "1e1f1c303dc025bd664acb72e583e933fae4cff9148bf78c157d1e8f78530aea"),
        (0x81, "2a67f03e63a6a422125878b40b82da593be8d4efaafe88ee528af6e5a9955c6e"),
        (0x82, "781ba15f3779d5542ce8ecb5c18716733a5ee42a6f51488ec96154934e2c890a"),
        (0x83, "511e8e52ed574121fc1b654970395502128263f62662e076dc6baf05c2e6a99b"),
    ],
)
def test_the_digests_of_bip143s_multisig_example(hash_type, expected):
    tx = Transaction.parse(
        bytes.fromhex(
            "010000000136641869ca081e70f394c6948e8af409e18b619df2ed74aa106c1ca29787b96e0100000000ffffffff0200e9a4350000"
            "00001976a914389ffce9cd9ae88dcc0631e88a821ffdbe9bfe2688acc0832f05000000001976a9147480a33f950689af511e6e84c1"
            "38dbbd3c3ee41588ac00000000"
        )
    )
    keys = [
        "0307b8ae49ac90a048e9b53357a2354b3334e9c8bee813ecb98e99a7e07e8c3ba3",
        "03b28f0c28bfab54554ae8c658ac5c3e0ce6e79ad336331f78c428dd43eea8449b",
        "034b8113d703413d57761b8b9781957b8c0ac1dfe69f492580ca4195f50376ba4a",
        "033400f6afecb833092a9a21cfdf1ed1376e58c5d1f47de74683123987e967a8f4",
        "03a6d48b1131e94ba04d9737d61acdaa1322008af9602b3b14862c07a1789aac16",
        "02d8b661b0b3302ee2f162b09e07a55ad5dfbe673a9f01d9f0c19617681024306b",
    ]
    script_code = b"\x56" + b"".join(push_data(bytes.fromhex(key)) for key in keys) + b"\x56\xae"
    assert SighashCache(tx, ()).segwit_v0(0, script_code, 987_654_321, hash_type).hex() == expected


def _bip143_examples(vectors):
    """Yield the signed transactions of BIP143 that Core keeps, with the outputs that they spend."""
    is_example = False
    for vector in vectors:
        if isinstance(vector[0], str):
            is_example = "BIP143 example" in vector[0]
        elif is_example:
            coins = {
                OutPoint(bytes.fromhex(txid_hex)[::-1], vout): TxOut(amount[0] if amount else 0, parse_script(script))
                for txid_hex, vout, script, *amount in vector[0]
            }
            tx = Transaction.parse(bytes.fromhex(vector[1]))
            yield tx, [coins[tx_in.prevout] for tx_in in tx.inputs]


def test_the_signed_examples_of_bip143_verify_and_commit_to_amounts(core_vectors):
    checked = 0
    for tx, spent in _bip143_examples(core_vectors("tx_valid.json")):
        for index, tx_in in enumerate(tx.inputs):
            verify_input(tx, index, spent, MANDATORY)
            if not tx_in.witness:
                continue
            cheaper = [TxOut(output.value - 1, output.script_pubkey) for output in spent]
            with pytest.raises(ScriptError):
                verify_input(tx, index, cheaper, MANDATORY)
            checked += 1
    assert checked >= 6

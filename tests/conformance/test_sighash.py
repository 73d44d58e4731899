"""Signature digests against Core's legacy vectors and BIP341's wallet vectors."""

from shared.crypto.address import MAINNET_PREFIX, encode_address
from shared.crypto.hashes import sha256, tagged_hash
from shared.crypto.keys import PrivateKey, PublicKey
from shared.primitives.hex import display_hash
from shared.primitives.serialize import Reader, pack_var_bytes
from shared.primitives.transaction import Transaction, TxIn, TxOut
from shared.script.flags import STANDARD
from shared.script.interpreter import verify_input
from shared.script.sighash import SighashCache
from shared.script.standard import p2tr_script


def test_legacy_digests_agree_with_core(core_vectors):
    vectors = core_vectors("sighash.json")[1:]
    assert len(vectors) == 500
    for tx_hex, script_hex, index, hash_type, expected in vectors:
        tx = Transaction.parse(bytes.fromhex(tx_hex))
        digest = SighashCache(tx, ()).legacy(index, bytes.fromhex(script_hex), hash_type)
        assert display_hash(digest) == expected


def _merkle_root(tree):
    if tree is None:
        return b""
    if isinstance(tree, dict):
        leaf = bytes([tree["leafVersion"]]) + pack_var_bytes(bytes.fromhex(tree["script"]))
        return tagged_hash("TapLeaf", leaf)
    return tagged_hash("TapBranch", b"".join(sorted(map(_merkle_root, tree))))


def test_taproot_outputs_agree_with_bip341(core_vectors):
    vectors = core_vectors("bip341_wallet_vectors.json")["scriptPubKey"]
    assert len(vectors) == 7
    for vector in vectors:
        internal = PublicKey.parse(b"\x02" + bytes.fromhex(vector["given"]["internalPubkey"]))
        output_key = internal.taproot_output_key(_merkle_root(vector["given"]["scriptTree"]))
        assert output_key.hex() == vector["intermediary"]["tweakedPubkey"]
        script = p2tr_script(output_key)
        assert script.hex() == vector["expected"]["scriptPubKey"]
        assert encode_address(script, MAINNET_PREFIX) == vector["expected"]["bip350Address"]


def test_taproot_key_path_digests_and_signatures_agree_with_bip341(core_vectors):
    (vector,) = core_vectors("bip341_wallet_vectors.json")["keyPathSpending"]
    tx = Transaction.parse(bytes.fromhex(vector["given"]["rawUnsignedTx"]))
    spent = [TxOut(utxo["amountSats"], bytes.fromhex(utxo["scriptPubKey"])) for utxo in vector["given"]["utxosSpent"]]
    cache = SighashCache(tx, spent)
    assert len(vector["inputSpending"]) == 7
    for spending in vector["inputSpending"]:
        given, intermediary = spending["given"], spending["intermediary"]
        key = PrivateKey.from_bytes(bytes.fromhex(given["internalPrivkey"]))
        tweaked = key.tweaked(bytes.fromhex(given["merkleRoot"] or ""))
        assert tweaked.secret.hex() == intermediary["tweakedPrivkey"]
        digest = cache.taproot(given["txinIndex"], given["hashType"])
        assert digest.hex() == intermediary["sigHash"]
        message = Reader(bytes.fromhex(intermediary["sigMsg"]))
        assert tagged_hash("TapSighash", message.take(message.remaining, "message")) == digest
        signature = tweaked.sign_schnorr(digest, aux=bytes(32))
        hash_type = bytes([given["hashType"]]) if given["hashType"] else b""
        assert [(signature + hash_type).hex()] == spending["expected"]["witness"]


def test_the_fully_signed_transaction_of_bip341_verifies(core_vectors):
    (vector,) = core_vectors("bip341_wallet_vectors.json")["keyPathSpending"]
    tx = Transaction.parse(bytes.fromhex(vector["auxiliary"]["fullySignedTx"]))
    spent = [TxOut(utxo["amountSats"], bytes.fromhex(utxo["scriptPubKey"])) for utxo in vector["given"]["utxosSpent"]]
    cache = SighashCache(tx, spent)
    assert len(tx.inputs) == len(spent) == 9
    for index in range(len(spent)):
        verify_input(tx, index, spent, STANDARD, cache=cache)


def test_the_midstates_of_bip341_are_those_of_the_transaction(core_vectors):
    (vector,) = core_vectors("bip341_wallet_vectors.json")["keyPathSpending"]
    tx = Transaction.parse(bytes.fromhex(vector["given"]["rawUnsignedTx"]))
    prevouts = b"".join(tx_in.prevout.serialize() for tx_in in tx.inputs)
    assert sha256(prevouts).hex() == vector["intermediary"]["hashPrevouts"]
    assert all(isinstance(tx_in, TxIn) and not tx_in.witness for tx_in in tx.inputs)

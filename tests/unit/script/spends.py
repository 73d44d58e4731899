"""Signed spends of single keys, for the interpreter's tests."""

from shared.crypto.keys import PrivateKey
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.script.script import push_data
from shared.script.sighash import SighashCache
from shared.script.standard import p2pkh_script, p2tr_script, p2wpkh_script

KEY = PrivateKey.from_bytes(b"\x42" * 32)
KINDS = ("p2pkh", "p2wpkh", "p2tr")


def script_of(kind, key=KEY):
    match kind:
        case "p2pkh":
            return p2pkh_script(key.public_key.hash160)
        case "p2wpkh":
            return p2wpkh_script(key.public_key.hash160)
        case _:
            return p2tr_script(key.public_key.taproot_output_key())


def unsigned(kinds, *, outputs=2, version=2):
    """Return a transaction that spends one output of each kind, and the outputs."""
    spent = [TxOut(100_000 + index, script_of(kind)) for index, kind in enumerate(kinds)]
    inputs = tuple(TxIn(OutPoint(bytes([index + 1]) * 32, index), b"") for index in range(len(kinds)))
    paid = tuple(TxOut(40_000 + index, script_of("p2wpkh")) for index in range(outputs))
    return Transaction(version, inputs, paid, 0), spent


def with_input(tx, index, *, script_sig=b"", witness=()):
    """Return `tx` with another scriptSig and witness of one input."""
    inputs = list(tx.inputs)
    inputs[index] = TxIn(inputs[index].prevout, script_sig, inputs[index].sequence, tuple(witness))
    return Transaction(tx.version, tuple(inputs), tx.outputs, tx.lock_time)


def signature_of(tx, index, spent, kind, hash_type, *, annex=None):
    """Return a signature with its hash type byte, as the kind of output needs it."""
    cache = SighashCache(tx, spent)
    script_code = p2pkh_script(KEY.public_key.hash160)
    match kind:
        case "p2pkh":
            return KEY.sign_ecdsa(cache.legacy(index, script_code, hash_type)) + bytes([hash_type])
        case "p2wpkh":
            digest = cache.segwit_v0(index, script_code, spent[index].value, hash_type)
            return KEY.sign_ecdsa(digest) + bytes([hash_type])
        case _:
            digest = cache.taproot(index, hash_type, annex=annex)
            signature = KEY.tweaked().sign_schnorr(digest, aux=bytes(32))
            return signature + (bytes([hash_type]) if hash_type else b"")


def signed(tx, index, spent, kind, hash_type=1, *, annex=None):
    """Return `tx` with one input signed."""
    signature = signature_of(tx, index, spent, kind, hash_type, annex=annex)
    public_key = KEY.public_key.compressed
    match kind:
        case "p2pkh":
            return with_input(tx, index, script_sig=push_data(signature) + push_data(public_key))
        case "p2wpkh":
            return with_input(tx, index, witness=(signature, public_key))
        case _:
            return with_input(tx, index, witness=(signature, *([] if annex is None else [annex])))

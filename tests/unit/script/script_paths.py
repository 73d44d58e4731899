"""Spends by script in every place where a script can be: bare, P2SH, P2WSH, P2SH-P2WSH and tapscript."""

from shared.crypto.hashes import hash160, sha256
from shared.crypto.keys import PrivateKey
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.script.interpreter import tapleaf_hash
from shared.script.script import push_data
from shared.script.sighash import SighashCache
from shared.script.standard import p2sh_script, p2tr_script, p2wsh_script

PLACES = ("bare", "p2sh", "p2wsh", "p2sh-p2wsh", "tapscript")
INTERNAL = PrivateKey.from_bytes(b"\x21" * 32)


def output_script(place, script):
    """Return the scriptPubKey that puts `script` in a place."""
    match place:
        case "bare":
            return script
        case "p2sh":
            return p2sh_script(hash160(script))
        case "p2wsh":
            return p2wsh_script(sha256(script))
        case "p2sh-p2wsh":
            return p2sh_script(hash160(p2wsh_script(sha256(script))))
        case _:
            return p2tr_script(INTERNAL.tweaked(tapleaf_hash(script)).public_key.x_only)


def control_block(script):
    """Return the control block of a tree of one tapscript."""
    output_key = INTERNAL.tweaked(tapleaf_hash(script)).public_key
    return bytes([0xC0 | output_key.compressed[0] & 1]) + INTERNAL.public_key.x_only


def spend(place, script, items, *, lock_time=0, sequence=0xFFFFFFFE, version=2):
    """Return a transaction that spends `script` with these stack items, and the spent output."""
    spent = TxOut(50_000, output_script(place, script))
    script_sig, witness = b"", ()
    pushes = b"".join(map(push_data, items))
    match place:
        case "bare":
            script_sig = pushes
        case "p2sh":
            script_sig = pushes + push_data(script)
        case "p2wsh":
            witness = (*items, script)
        case "p2sh-p2wsh":
            script_sig, witness = push_data(p2wsh_script(sha256(script))), (*items, script)
        case _:
            witness = (*items, script, control_block(script))
    tx_in = TxIn(OutPoint(b"\x01" * 32, 0), script_sig, sequence, witness)
    return Transaction(version, (tx_in,), (TxOut(40_000, b"\x51"),), lock_time), spent


def sign(place, script, key, *, hash_type=1, **fields):
    """Return the signature of `key` for a script whose OP_CODESEPARATORs, if any, are not executed."""
    tx, spent = spend(place, script, [], **fields)
    cache = SighashCache(tx, [spent])
    match place:
        case "bare" | "p2sh":
            return key.sign_ecdsa(cache.legacy(0, script, hash_type)) + bytes([hash_type])
        case "p2wsh" | "p2sh-p2wsh":
            digest = cache.segwit_v0(0, script, spent.value, hash_type)
            return key.sign_ecdsa(digest) + bytes([hash_type])
        case _:
            digest = cache.taproot(0, hash_type, leaf_hash=tapleaf_hash(script))
            return key.sign_schnorr(digest, aux=bytes(32)) + bytes([hash_type])

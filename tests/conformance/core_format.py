"""The notation of Core's test vectors: scripts as words, flags as names, credit and spend transactions."""

from shared.crypto.keys import PrivateKey
from shared.primitives.transaction import NULL_OUTPOINT, OutPoint, Transaction, TxIn, TxOut
from shared.script import opcodes
from shared.script.flags import Flags
from shared.script.interpreter import TAPROOT_LEAF_TAPSCRIPT, tapleaf_hash
from shared.script.script import push_data, push_number


def parse_script(text):
    """Return the script of Core's ParseScript: numbers, raw hex, quoted data and opcode names."""
    script = b""
    for word in text.split():
        if word.removeprefix("-").isdigit():
            script += push_number(int(word))
        elif word.startswith("0x"):
            script += bytes.fromhex(word[2:])
        elif word.startswith("'"):
            script += push_data(word[1:-1].encode())
        else:
            script += bytes([opcodes.BY_NAME["OP_" + word.removeprefix("OP_")]])
    return script


def parse_flags(text):
    """Return the flags of a comma-separated list of names."""
    flags = Flags.NONE
    for name in text.split(","):
        if name not in ("", "NONE"):
            flags |= Flags[name]
    return flags


def trim_flags(flags):
    """Remove the flags that have no meaning without P2SH or WITNESS."""
    if not flags & Flags.P2SH:
        flags &= ~Flags.WITNESS
    if not flags & Flags.WITNESS:
        flags &= ~Flags.CLEANSTACK
    return flags


def fill_flags(flags):
    """Add the flags that other flags depend on."""
    if flags & Flags.CLEANSTACK:
        flags |= Flags.WITNESS
    if flags & Flags.WITNESS:
        flags |= Flags.P2SH
    return flags


def parse_witness(words):
    """Return the witness and the output key of its taproot output, None where it has none.

    `#SCRIPT#` begins a script in words, and `#CONTROLBLOCK#` stands for the control block of a tree of that script
    alone under the key 1 (Core's script_tests.cpp).
    """
    witness, output_key = [], None
    for word in words:
        if word.startswith("#SCRIPT#"):
            witness.append(parse_script(word.removeprefix("#SCRIPT#")))
        elif word == "#CONTROLBLOCK#":
            leaf = tapleaf_hash(witness[-1])
            key = PrivateKey.from_bytes((1).to_bytes(32, "big"))
            tweaked = key.tweaked(leaf).public_key
            output_key = tweaked.x_only
            witness.append(bytes([TAPROOT_LEAF_TAPSCRIPT | tweaked.compressed[0] & 1]) + key.public_key.x_only)
        else:
            witness.append(bytes.fromhex(word))
    return witness, output_key


def spend_of(script_pubkey, script_sig, witness, amount):
    """Return the spending transaction and spent output that Core's script tests are run in."""
    spent = TxOut(amount, script_pubkey)
    credit = Transaction(1, (TxIn(NULL_OUTPOINT, b"\x00\x00"),), (spent,))
    tx_in = TxIn(OutPoint(credit.txid, 0), script_sig, witness=tuple(witness))
    return Transaction(1, (tx_in,), (TxOut(amount, b""),)), spent

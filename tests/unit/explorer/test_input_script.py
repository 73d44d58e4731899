"""The names of all items of scriptSig and witness, for every known kind of spend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.explorer.pages.transaction.input_script import read_spending, script_label
from shared.crypto.hashes import hash160
from shared.primitives.transaction import OutPoint, TxIn, TxOut
from shared.script.script import push_data, push_number
from shared.script.standard import P2A_SCRIPT, p2pkh_script, p2sh_script, p2tr_script, p2wpkh_script, p2wsh_script
from tests.builders import key
from tests.unit.script import script_paths, spends

KEYS = [key(name).public_key.compressed for name in ("alice", "bob", "carol")]
MULTISIG = push_number(2) + b"".join(map(push_data, KEYS)) + push_number(3) + b"\xae"
SIGNATURE = key("alice").sign_ecdsa(bytes(32)) + b"\x01"
OUTPOINT = OutPoint(bytes(32), 0)


def read(script_pubkey, script_sig=b"", witness=()):
    return read_spending(TxIn(OUTPOINT, script_sig, 0, tuple(witness)), TxOut(1, script_pubkey))


def names(items):
    return [item.name for item in items]


@pytest.mark.parametrize("kind", spends.KINDS)
def test_spends_of_one_key(kind):
    tx, spent = spends.unsigned([kind])
    tx = spends.signed(tx, 0, spent, kind, 0 if kind == "p2tr" else 1)
    spending = read_spending(tx.inputs[0], spent[0])
    expected = {
        "p2pkh": ("P2PKH", ["Signature", "Public key"], []),
        "p2wpkh": ("P2WPKH", [], ["Signature", "Public key"]),
        "p2tr": ("P2TR, by key", [], ["Signature"]),
    }
    assert (spending.kind, names(spending.script_sig), names(spending.witness)) == expected[kind]


@pytest.mark.parametrize("place", script_paths.PLACES)
def test_spends_by_script(place):
    script = push_data(spends.KEY.public_key.compressed) + b"\xac"
    signature = script_paths.sign(place, script, spends.KEY)
    tx, spent = script_paths.spend(place, script, [signature])
    spending = read_spending(tx.inputs[0], spent)
    expected = {
        "bare": ("P2PK", ["Signature"], []),
        "p2sh": ("P2PK in P2SH", ["Signature", "Redeem script"], []),
        "p2wsh": ("P2PK in P2WSH", [], ["Signature", "Witness script"]),
        "p2sh-p2wsh": ("P2PK in P2WSH in P2SH", ["Redeem script"], ["Signature", "Witness script"]),
        "tapscript": ("P2TR, by script", [], ["Signature", "Leaf script", "Control block"]),
    }
    assert (spending.kind, names(spending.script_sig), names(spending.witness)) == expected[place]


def test_a_nested_p2wpkh():
    program = p2wpkh_script(hash160(KEYS[0]))
    spending = read(p2sh_script(hash160(program)), push_data(program), (SIGNATURE, KEYS[0]))
    assert spending.kind == "P2WPKH in P2SH"
    assert names(spending.script_sig) == ["Redeem script"]
    assert names(spending.witness) == ["Signature", "Public key"]


def test_a_multisig_takes_one_item_more_than_it_needs():
    for script, script_sig, witness in (
        (MULTISIG, b"\x00" + push_data(SIGNATURE) * 2, ()),
        (p2sh_script(hash160(MULTISIG)), b"\x00" + push_data(SIGNATURE) * 2 + push_data(MULTISIG), ()),
        (p2wsh_script(bytes(32)), b"", (b"", SIGNATURE, SIGNATURE, MULTISIG)),
    ):
        spending = read(script, script_sig, witness)
        items = spending.script_sig or spending.witness
        assert names(items)[:3] == ["Extra item", "Signature", "Signature"]
        assert spending.kind.startswith("2-of-3 multisig")


def test_a_revealed_script_is_readable():
    spending = read(p2wsh_script(bytes(32)), b"", (b"", SIGNATURE, SIGNATURE, MULTISIG))
    assert spending.witness[-1].asm.startswith("OP_PUSHNUM_2 OP_PUSHBYTES_33 ")
    assert spending.witness[-1].note == "2-of-3 multisig"


@pytest.mark.parametrize(
    ("hash_type", "note"),
    [(1, "ECDSA, hash type all"), (0x83, "ECDSA, single, any one can pay"), (0x55, "ECDSA, hash type 55")],
)
def test_a_signature_says_what_it_covers(hash_type, note):
    spending = read(p2pkh_script(bytes(20)), push_data(SIGNATURE[:-1] + bytes([hash_type])))
    assert spending.script_sig[0].note == note


def test_a_control_block_says_where_its_leaf_is():
    internal, output = bytes(range(32)), p2tr_script(bytes(32))
    for depth, where in ((0, "the tree's only leaf"), (3, "3 deep")):
        witness = (b"\x51", bytes([0xC1]) + internal + bytes(32 * depth))
        control = read(output, b"", witness).witness[-1]
        assert internal.hex() in control.note
        assert where in control.note


def test_an_annex_and_an_unknown_leaf_version_are_named():
    witness = (b"\x51", bytes([0xFA]) + bytes(32), b"\x50annex")
    assert names(read(p2tr_script(bytes(32)), b"", witness).witness) == ["Leaf of version fa", "Control block", "Annex"]


def test_a_coin_that_is_not_known_is_looked_at_all_the_same():
    txin = TxIn(OUTPOINT, push_data(SIGNATURE) + push_data(KEYS[0]), 0)
    assert names(read_spending(txin, None).script_sig) == ["Signature", "Public key"]


def test_a_script_sig_that_computes_is_shown_as_a_script():
    spending = read(b"\x51", b"\x51\x93")
    assert names(spending.script_sig) == ["Script"]
    assert spending.script_sig[0].asm == "OP_PUSHNUM_1 OP_ADD"


@pytest.mark.parametrize(
    ("script", "label"),
    [
        (b"", "Empty script"),
        (p2pkh_script(bytes(20)), "P2PKH"),
        (p2sh_script(bytes(20)), "P2SH"),
        (p2wpkh_script(bytes(20)), "P2WPKH"),
        (p2wsh_script(bytes(32)), "P2WSH"),
        (p2tr_script(bytes(32)), "P2TR"),
        (P2A_SCRIPT, "Anchor"),
        (MULTISIG, "2-of-3 multisig"),
        (b"\x6a\x01a", "OP_RETURN"),
        (b"\x52\x02ab", "Witness version 2"),
        (b"\xff", "Non-standard script"),
    ],
)
def test_every_kind_of_script_has_a_name(script, label):
    assert script_label(script) == label


@given(
    st.binary(max_size=80),
    st.lists(st.binary(max_size=70), max_size=5),
    st.sampled_from([b"", b"\x51", MULTISIG, p2sh_script(bytes(20)), p2wsh_script(bytes(32)), p2tr_script(bytes(32))])
    | st.binary(max_size=40),
)
def test_whatever_is_on_the_chain_can_be_read(script_sig, witness, script):
    spending = read(script, script_sig, witness)
    assert spending.kind
    assert [item.data for item in spending.witness] == witness

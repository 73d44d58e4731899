"""The short path of P2PKH and P2WPKH spends gives the verdict of running their scripts, down to the reason."""

from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.crypto.keys import ORDER
from shared.errors import ScriptError
from shared.script.evaluate import evaluate
from shared.script.flags import MANDATORY, STANDARD, Flags
from shared.script.interpreter import _Verifier, verify_input
from shared.script.script import push_data
from tests.unit.script.spends import KEY, signature_of, signed, unsigned, with_input

NO_SHORT_PATH = mock.patch.object(_Verifier, "_is_valid_key_spend", return_value=False)


def outcome(tx, spent, flags):
    try:
        verify_input(tx, 0, spent, flags)
    except ScriptError as error:
        return error.reason
    return "OK"


@pytest.mark.parametrize("kind", ["p2pkh", "p2wpkh"])
def test_a_usual_spend_runs_no_script(kind):
    tx, spent = unsigned([kind])
    tx = signed(tx, 0, spent, kind)
    with mock.patch("shared.script.interpreter.evaluate", wraps=evaluate) as run:
        verify_input(tx, 0, spent, STANDARD)
        assert not run.called
        with NO_SHORT_PATH:
            verify_input(tx, 0, spent, STANDARD)
        assert run.called


def pushed_by_name(item):
    """Push `item` with OP_PUSHDATA1, or with OP_PUSHDATA2 if its length does not fit one byte."""
    width, opcode = (1, b"\x4c") if len(item) < 256 else (2, b"\x4d")
    return opcode + len(item).to_bytes(width, "little") + item


# Pushes that are not the shortest, and items in excess.
SCRIPT_SIGS = [
    lambda signature, key: push_data(signature) + push_data(key),
    lambda signature, key: pushed_by_name(signature) + push_data(key),
    lambda signature, key: push_data(signature) + pushed_by_name(key),
    lambda signature, key: b"\x51" + push_data(signature) + push_data(key),
    lambda signature, key: push_data(signature) + push_data(key) + b"\x61",
    lambda signature, key: push_data(signature) + push_data(key)[:-1],
    lambda signature, key: push_data(signature),
    lambda signature, key: push_data(key) + push_data(signature),
    lambda signature, key: b"",
]


def with_high_s(signature):
    """Return the signature with the other S that is as valid, one over half of the order."""
    r_end = 4 + signature[3]
    s = (ORDER - int.from_bytes(signature[r_end + 2 : -1], "big")).to_bytes(33, "big")
    body = signature[2:r_end] + b"\x02" + bytes([len(s)]) + s
    return b"\x30" + bytes([len(body)]) + body + signature[-1:]


@st.composite
def spends(draw):
    kind = draw(st.sampled_from(["p2pkh", "p2wpkh"]))
    tx, spent = unsigned([kind])
    hash_type = draw(st.sampled_from([1, 2, 3, 0x81, 0x83, 0, 4, 0x50]))
    signature = signature_of(tx, 0, spent, kind, hash_type)
    key = draw(st.sampled_from([KEY.public_key.compressed, KEY.public_key.compressed, KEY.public_key.uncompressed]))
    change = draw(st.sampled_from(["none", "none", "signature", "key", "high S", "empty signature", "long signature"]))
    at = draw(st.integers(0, 70))
    match change:
        case "signature":
            signature = signature[:at] + bytes([signature[at % len(signature)] ^ 1]) + signature[at + 1 :]
        case "key":
            key = key[: at % 33] + bytes([key[at % 33] ^ 1]) + key[at % 33 + 1 :]
        case "high S":
            signature = with_high_s(signature)
        case "empty signature":
            signature = b""
        case "long signature":
            signature += bytes(draw(st.sampled_from([1, 2, 3, 4, 600])))
    witness = draw(st.sampled_from([(), (), (b"x",)]))
    if kind == "p2pkh":
        return with_input(tx, 0, script_sig=draw(st.sampled_from(SCRIPT_SIGS))(signature, key), witness=witness), spent
    script_sig = draw(st.sampled_from([b"", b"", b"\x51"]))
    return with_input(tx, 0, script_sig=script_sig, witness=(*witness, signature, key)), spent


flag_sets = st.one_of(
    st.sampled_from([MANDATORY, STANDARD, Flags.NONE, Flags.P2SH]),
    st.integers(0, (1 << 21) - 1).map(Flags),
)


@settings(max_examples=600)
@given(spends(), flag_sets)
def test_both_paths_end_alike(spend, flags):
    tx, spent = spend
    short = outcome(tx, spent, flags)
    with NO_SHORT_PATH:
        assert outcome(tx, spent, flags) == short


@settings(max_examples=200)
@given(st.binary(max_size=160))
def test_any_script_sig_ends_alike_on_both_paths(script_sig):
    tx, spent = unsigned(["p2pkh"])
    tx = with_input(tx, 0, script_sig=script_sig)
    short = outcome(tx, spent, STANDARD)
    with NO_SHORT_PATH:
        assert outcome(tx, spent, STANDARD) == short

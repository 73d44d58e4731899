"""Bitcoin Core's own consensus engine (py-bitcoinkernel) as the judge of our script verification."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import DecodeError, ScriptError
from shared.primitives.serialize import Reader
from shared.primitives.transaction import Transaction, TxOut
from shared.script.flags import MANDATORY, Flags
from shared.script.interpreter import verify_input
from tests.oracles import oracle
from tests.properties import examples
from tests.unit.script.spends import KINDS, signed, unsigned

pbk = oracle("pbk")
PrecomputedTransactionData = oracle("pbk.script").PrecomputedTransactionData

# The flags that the kernel knows are those of consensus.
FLAG_SETS = [MANDATORY, MANDATORY & ~Flags.TAPROOT, Flags.P2SH | Flags.WITNESS, Flags.P2SH, Flags.P2SH | Flags.DERSIG]
HASH_TYPES = [1, 2, 3, 0x81, 0x82, 0x83]


def kernel_accepts(raw, index, spent, flags):
    """Return the kernel's verdict on an input."""
    outputs = [pbk.TransactionOutput(pbk.ScriptPubkey(output.script_pubkey), output.value) for output in spent]
    tx = pbk.Transaction(raw)
    precomputed = PrecomputedTransactionData(tx, outputs)
    script = pbk.ScriptPubkey(spent[index].script_pubkey)
    kernel_flags = pbk.ScriptVerificationFlags(int(flags))
    try:
        return script.verify(spent[index].value, tx, precomputed, index, kernel_flags)
    except pbk.ScriptVerifyException:
        return False


def warren_accepts(tx, index, spent, flags):
    """Return our verdict on an input."""
    try:
        verify_input(tx, index, spent, flags)
    except ScriptError:
        return False
    return True


kinds = st.lists(st.sampled_from(KINDS), min_size=1, max_size=3)


@st.composite
def spends(draw):
    chosen = draw(kinds)
    tx, spent = unsigned(chosen, outputs=draw(st.integers(1, 3)), version=draw(st.integers(1, 2)))
    for index, kind in enumerate(chosen):
        allowed = [*HASH_TYPES, 0] if kind == "p2tr" else [*HASH_TYPES, 0, 0x41, 0xFF]
        hash_type = draw(st.sampled_from(allowed))
        if kind == "p2tr" and hash_type & 3 == 3 and index >= len(tx.outputs):
            hash_type = 1
        annex = draw(st.sampled_from([None, None, b"\x50", b"\x50annex"])) if kind == "p2tr" else None
        tx = signed(tx, index, spent, kind, hash_type, annex=annex)
    return tx, spent


def _agree(tx, spent, flags):
    raw = tx.serialize()
    for index in range(len(spent)):
        ours = warren_accepts(tx, index, spent, flags)
        theirs = kernel_accepts(raw, index, spent, flags)
        assert ours == theirs, (index, spent[index].script_pubkey.hex(), raw.hex(), str(flags))


@examples(150)
@given(spends())
def test_valid_key_spends_are_accepted_by_both(spend):
    tx, spent = spend
    for index in range(len(spent)):
        assert warren_accepts(tx, index, spent, MANDATORY) is True
        assert kernel_accepts(tx.serialize(), index, spent, MANDATORY)


@examples(150)
@given(spends(), st.sampled_from(FLAG_SETS))
def test_both_agree_under_fewer_flags(spend, flags):
    _agree(*spend, flags)


@examples(400)
@given(spends(), st.data())
def test_both_agree_on_spends_with_bytes_changed(spend, data):
    tx, spent = spend
    raw = bytearray(tx.serialize())
    for _ in range(data.draw(st.integers(1, 2))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        changed = Transaction.read(Reader(bytes(raw)))  # as the kernel does, which ignores what follows
    except DecodeError:
        with pytest.raises(RuntimeError, match="Failed to create Transaction"):
            pbk.Transaction(bytes(raw))
        return
    assert bytes(pbk.Transaction(bytes(raw))) == changed.serialize()
    if len(changed.inputs) == len(spent):
        _agree(changed, spent, data.draw(st.sampled_from(FLAG_SETS)))


@examples(100)
@given(spends(), st.data())
def test_both_agree_when_the_coin_is_another(spend, data):
    tx, spent = spend
    at = data.draw(st.integers(0, len(spent) - 1))
    script = bytearray(spent[at].script_pubkey)
    if data.draw(st.booleans()):
        script[data.draw(st.integers(0, len(script) - 1))] = data.draw(st.integers(0, 255))
    spent = list(spent)
    spent[at] = TxOut(spent[at].value + data.draw(st.integers(0, 1)), bytes(script))
    _agree(tx, spent, MANDATORY)


@examples(100)
@given(spends())
def test_ids_are_those_of_the_kernel(spend):
    tx, _ = spend
    theirs = pbk.Transaction(tx.serialize())
    assert bytes(theirs.txid) == tx.txid
    assert bytes(theirs) == tx.serialize()

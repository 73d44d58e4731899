"""Random scripts in every place where a script can be, judged by Bitcoin Core's own engine and by ours."""

from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.keys import PrivateKey
from shared.script import opcodes as op
from shared.script.flags import MANDATORY, Flags
from shared.script.script import push_data, push_number
from tests.conformance.test_kernel_oracle import kernel_accepts, warren_accepts
from tests.properties import examples
from tests.unit.script.script_paths import PLACES, sign, spend

KEYS = [PrivateKey.from_bytes(bytes([number]) * 32) for number in (1, 2, 3)]
FLAG_SETS = [
    MANDATORY,
    MANDATORY & ~Flags.TAPROOT,
    Flags.P2SH | Flags.WITNESS | Flags.TAPROOT,
    Flags.P2SH,
    Flags.NONE,
]
COMMON = [op.OP_DUP, op.OP_SWAP, op.OP_EQUAL, op.OP_NOT, op.OP_ADD, op.OP_SIZE, op.OP_IF, op.OP_ELSE, op.OP_ENDIF]
LOCKS = [op.OP_CHECKLOCKTIMEVERIFY, op.OP_CHECKSEQUENCEVERIFY, op.OP_DROP]

numbers = st.one_of(st.integers(-2, 17), st.sampled_from([127, 128, 255, -255, 500_000_000, 2**31 - 1, 2**31, 2**32]))
items = st.one_of(
    st.sampled_from([b"", b"\x00", b"\x01", b"\x80", b"\x00\x80", b"\x02"]),
    st.binary(max_size=6),
    st.sampled_from([519, 520, 521]).map(bytes),
    st.sampled_from(KEYS).map(lambda key: key.public_key.compressed),
    st.sampled_from(KEYS).map(lambda key: key.public_key.x_only),
)
operations = st.one_of(
    st.integers(0, 255).map(lambda opcode: bytes([opcode])),
    st.integers(op.OP_NOP, op.OP_CHECKSIGADD).map(lambda opcode: bytes([opcode])),
    st.sampled_from(COMMON + LOCKS).map(lambda opcode: bytes([opcode])),
    numbers.map(push_number),
    items.map(push_data),
)
scripts = st.lists(operations, max_size=12).map(b"".join)
fields = st.fixed_dictionaries(
    {
        "lock_time": st.sampled_from([0, 1, 17, 499_999_999, 500_000_000, 2**32 - 1]),
        "sequence": st.sampled_from([0, 1, 16, 0x00400001, 0x80000001, 0xFFFFFFFE, 0xFFFFFFFF]),
        "version": st.sampled_from([0, 1, 2, 2**32 - 1]),
    }
)


def _agree(tx, spent, flags):
    ours = warren_accepts(tx, 0, [spent], flags)
    theirs = kernel_accepts(tx.serialize(), 0, [spent], flags)
    assert ours == theirs, (tx.serialize().hex(), spent.script_pubkey.hex(), flags)
    return ours


@examples(1500)
@given(st.sampled_from(PLACES), scripts, st.lists(items, max_size=4), fields, st.sampled_from(FLAG_SETS))
def test_both_agree_on_random_scripts(place, script, stack, values, flags):
    tx, spent = spend(place, script, stack, **values)
    _agree(tx, spent, flags)


@st.composite
def balanced(draw):
    """Return a script that mostly succeeds: each operation finds its arguments on the stack."""
    script = b""
    for _ in range(draw(st.integers(0, 5))):
        opcode = draw(st.integers(op.OP_1ADD, op.OP_WITHIN))
        script += b"".join(push_number(draw(numbers)) for _ in range(3)) + bytes([opcode])
    drops = draw(st.integers(0, 15))
    return script + bytes([op.OP_2DROP]) * (drops // 2) + bytes([op.OP_DEPTH, op.OP_0NOTEQUAL])


@examples(500)
@given(st.sampled_from(PLACES), balanced(), st.sampled_from(FLAG_SETS))
def test_both_agree_on_arithmetic(place, script, flags):
    _agree(*spend(place, script, []), flags)


@st.composite
def multisigs(draw):
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=4))
    required = draw(st.integers(0, len(keys)))
    public_keys = [draw(st.sampled_from([key.public_key.compressed, key.public_key.uncompressed])) for key in keys]
    script = push_number(required) + b"".join(map(push_data, public_keys)) + push_number(len(keys))
    script += bytes([op.OP_CHECKMULTISIG])
    if draw(st.booleans()):
        script += bytes([op.OP_NOT])
    signers = draw(st.lists(st.sampled_from([*KEYS, None]), min_size=required, max_size=required))
    return script, signers


@examples(400)
@given(st.sampled_from(PLACES[:-1]), multisigs(), st.sampled_from([1, 2, 3, 0x81, 0x83, 0]), st.booleans(), st.data())
def test_both_agree_on_multisigs(place, multisig, hash_type, has_dummy, data):
    script, signers = multisig
    signatures = [sign(place, script, key, hash_type=hash_type) if key else b"" for key in signers]
    tx, spent = spend(place, script, [b"" if has_dummy else b"\x01", *signatures])
    _agree(tx, spent, data.draw(st.sampled_from(FLAG_SETS)))


@examples(300)
@given(st.lists(st.sampled_from([*KEYS, None]), min_size=3, max_size=3), st.integers(0, 3), st.integers(0, 3))
def test_both_agree_on_checksigadd(signers, wanted, padding):
    script = bytes([op.OP_0])
    for key in KEYS:
        script += push_data(key.public_key.x_only) + bytes([op.OP_CHECKSIGADD])
    script += push_number(wanted) + bytes([op.OP_NUMEQUAL]) + bytes([op.OP_NOP]) * padding
    signatures = [sign("tapscript", script, key) if key else b"" for key in reversed(signers)]
    tx, spent = spend("tapscript", script, signatures)
    accepted = _agree(tx, spent, MANDATORY)
    is_right = all(signer in (key, None) for signer, key in zip(signers, KEYS, strict=True))
    assert accepted == (is_right and sum(signer is not None for signer in signers) == wanted)

"""Limits of standard inputs: an input exactly at a limit passes, one beyond it is not standard."""

from __future__ import annotations

import pytest

from services.mempool.pool.input_policy import check_inputs_standard
from shared import policy
from shared.errors import ValidationError
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.reasons import Reason
from shared.script import opcodes as op
from shared.script.script import push_data, push_number
from shared.script.standard import P2A_SCRIPT, p2pkh_script, p2sh_script, p2tr_script, p2wpkh_script, p2wsh_script

P2SH, P2WSH, P2TR = p2sh_script(bytes(20)), p2wsh_script(bytes(32)), p2tr_script(bytes(32))
P2PKH, P2WPKH = p2pkh_script(bytes(20)), p2wpkh_script(bytes(20))
CHECKSIG = bytes([op.OP_CHECKSIG])
KEY = b"\x02" + bytes(32)
CONTROL = b"\xc0" + bytes(32)
WRAPPED = push_data(P2WSH)


def multisig(keys: int) -> bytes:
    return push_number(1) + push_data(KEY) * keys + push_number(keys) + bytes([op.OP_CHECKMULTISIG])


def outcome(*spends: tuple[bytes, bytes, tuple[bytes, ...]]) -> str:
    """Reason and detail, empty if all of these are standard: script, scriptSig and witness of each input."""
    inputs = [TxIn(OutPoint(bytes([1]) * 32, n), sig, 0, witness) for n, (_, sig, witness) in enumerate(spends)]
    try:
        check_inputs_standard(Transaction(2, tuple(inputs), ()), [TxOut(1, script) for script, _, _ in spends])
    except ValidationError as error:
        return f"{error.reason}: {error.detail}"
    return ""


def nonstandard(detail: str) -> str:
    return f"{Reason.BAD_TXNS_NONSTANDARD_INPUTS}: {detail}"


def witness(detail: str) -> str:
    return f"{Reason.BAD_WITNESS_NONSTANDARD}: {detail}"


def test_the_limits_are_those_of_core() -> None:
    assert policy.MAX_P2SH_SIGOPS == 15
    assert policy.MAX_TX_LEGACY_SIGOPS == 2_500
    assert policy.MAX_P2WSH_SCRIPT_SIZE == 3_600
    assert policy.MAX_P2WSH_STACK_ITEMS == 100
    assert policy.MAX_P2WSH_STACK_ITEM_SIZE == 80
    assert policy.MAX_TAPSCRIPT_STACK_ITEM_SIZE == 80


@pytest.mark.parametrize("place", [0, 1])
def test_the_input_that_is_not_standard_is_named(place: int) -> None:
    good = (P2WPKH, b"", (b"s", b"k"))
    for bad, expected in (
        ((b"\x51", b"", ()), nonstandard(f"input {place} script unknown")),
        ((b"\x52\x02ab", b"", ()), nonstandard(f"input {place} script unknown")),
        ((P2SH, b"", ()), nonstandard(f"input {place} P2SH redeemscript missing")),
        ((P2SH, b"\x05a", ()), nonstandard(f"input {place} P2SH scriptsig malformed")),
        ((P2A_SCRIPT, b"", (b"x",)), witness(f"input {place}: an anchor needs no witness")),
        ((P2PKH, b"", (b"x",)), witness(f"input {place} has a superfluous witness")),
        ((P2TR, b"", (b"x", b"\x50")), witness(f"input {place} has an annex")),
        ((P2TR, b"", (b"x", b"")), witness(f"input {place} has an empty control block")),
    ):
        assert outcome(*([good] * place), bad) == expected


# ── P2SH ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("redeem_script", "count"),
    [(CHECKSIG * 15, 15), (CHECKSIG * 16, 16), (multisig(15), 15), (CHECKSIG + multisig(15), 16)],
)
def test_a_redeem_script_checks_at_most_15_signatures(redeem_script: bytes, count: int) -> None:
    expected = f"p2sh redeemscript sigops exceed limit (input 0: {count} > 15)"
    assert outcome((P2SH, push_data(redeem_script), ())) == ("" if count <= 15 else nonstandard(expected))


@pytest.mark.parametrize(("size", "fine"), [(520, True), (521, False)])
def test_a_redeem_script_and_what_lies_under_it_have_at_most_520_bytes(size: int, fine: bool) -> None:
    expected = "" if fine else nonstandard("input 0 P2SH scriptsig malformed")
    assert outcome((P2SH, push_data(bytes(size)), ())) == expected
    assert outcome((P2SH, push_data(bytes(size)) + push_data(b"\x51"), ())) == expected


def test_the_redeem_script_is_what_is_pushed_last() -> None:
    costly = push_data(CHECKSIG * 16)
    assert outcome((P2SH, costly + push_data(CHECKSIG), ())) == ""
    assert outcome((P2SH, push_data(CHECKSIG) + costly, ())).startswith(Reason.BAD_TXNS_NONSTANDARD_INPUTS)
    assert outcome((P2SH, costly + bytes([op.OP_16]), ())) == "", "a number is a script too"
    assert outcome((P2SH, costly + bytes([op.OP_1]), ())) == ""
    assert outcome((P2SH, costly + bytes([op.OP_1NEGATE]), ())) == ""
    assert outcome((P2SH, costly + bytes([op.OP_0]), ())) == ""
    assert outcome((P2SH, bytes([op.OP_RESERVED]), ())) == nonstandard("input 0 P2SH redeemscript missing")


# ── signatures outside of witnesses ─────────────────────────────────────────────────────────────────────────────────

LIMIT = nonstandard("non-witness sigops exceed bip54 limit")


@pytest.mark.parametrize(
    ("spend", "each"),
    [
        ((P2SH, push_data(CHECKSIG * 10), ()), 10),
        ((P2PKH, b"", ()), 1),
        ((push_data(KEY) + CHECKSIG, b"", ()), 1),
        ((multisig(3), b"", ()), 3),
        ((P2A_SCRIPT, multisig(2), ()), 2),
    ],
    ids=["P2SH", "P2PKH", "P2PK", "bare multisig", "scriptSig"],
)
def test_all_inputs_together_check_at_most_2500_signatures(
    spend: tuple[bytes, bytes, tuple[bytes, ...]], each: int
) -> None:
    count, rest = divmod(2_500, each)
    ones = [(P2PKH, b"", ())] * rest
    assert outcome(*[spend] * count, *ones) == ""
    assert outcome(*[spend] * count, *ones, (P2PKH, b"", ())) == LIMIT


def test_signatures_in_witnesses_do_not_count_among_these() -> None:
    assert outcome(*[(P2PKH, b"", ())] * 2_500, (P2WPKH, b"", (b"s", b"k")), (P2WSH, b"", (CHECKSIG * 20,))) == ""


# ── witnesses ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("script", "script_sig"), [(P2WSH, b""), (P2SH, WRAPPED)], ids=["P2WSH", "P2SH-P2WSH"])
def test_a_witness_script_is_of_limited_size_with_limited_arguments(script: bytes, script_sig: bytes) -> None:
    def spent(*stack: bytes) -> str:
        return outcome((script, script_sig, stack))

    assert spent(bytes(3_600)) == ""
    assert spent(bytes(3_601)) == witness("input 0: script of 3601 bytes")
    assert spent(*[b""] * 100, b"\x51") == ""
    assert spent(*[b""] * 101, b"\x51") == witness("input 0: 101 stack items")
    assert spent(bytes(80), bytes(80), b"\x51") == ""
    assert spent(bytes(81), b"", b"\x51") == witness("input 0: stack item of 81 bytes")
    assert spent(b"", bytes(81), b"\x51") == witness("input 0: stack item of 81 bytes")


def test_other_programs_have_no_limits_of_their_own() -> None:
    long = (bytes(81),) * 101 + (bytes(3_601),)
    assert outcome((P2SH, push_data(P2WPKH), long)) == ""
    assert outcome((P2SH, push_data(P2TR), (*long, b"\x50"))) == "", "taproot is not wrapped"
    assert outcome((P2SH, push_data(b"\x51"), (b"x",))) == witness("input 0 has a superfluous witness")
    assert outcome((P2WPKH, b"", long)) == ""


@pytest.mark.parametrize("leaf", [0xC0, 0xC1])
def test_an_argument_of_a_tapscript_has_at_most_80_bytes(leaf: int) -> None:
    control = bytes([leaf]) + bytes(32)
    assert outcome((P2TR, b"", (bytes(80), bytes(80), bytes(5_000), control))) == ""
    for stack in ((bytes(81), b""), (b"", bytes(81))):
        assert outcome((P2TR, b"", (*stack, b"\x51", control))) == witness("input 0: stack item of 81 bytes")
    assert outcome((P2TR, b"", (bytes(81), b"\x51", b"\xc2" + bytes(32)))) == "", "a leaf of the future"


def test_a_spend_by_key_has_no_annex_even_if_it_begins_like_one() -> None:
    assert outcome((P2TR, b"", (b"\x50",))) == ""
    assert outcome((P2TR, b"", (b"\x50", b"\x50"))) == witness("input 0 has an annex")
    assert outcome((P2TR, b"", (b"x", b"\x51", CONTROL, b"\x50"))) == witness("input 0 has an annex")
    assert outcome((P2TR, b"", (b"\x50", b"\x50", CONTROL))) == "", "only the last item can be one"
    assert outcome((P2TR, b"", (b"\x51", CONTROL))) == ""

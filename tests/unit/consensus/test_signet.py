"""Signet's block solutions, on chains with challenges whose keys are known."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.consensus.block_check import check_block
from shared.consensus.commitment import commitment_index
from shared.consensus.params import REGTEST, SIGNET
from shared.consensus.signet import SIGNET_HEADER, signet_transactions
from shared.crypto.keys import PrivateKey
from shared.errors import ValidationError
from shared.primitives.serialize import pack_compact_size, pack_var_bytes
from shared.primitives.transaction import Transaction, TxOut
from shared.reasons import Reason
from shared.script.opcodes import OP_1, OP_CHECKMULTISIG, OP_CHECKSIG
from shared.script.script import push_data
from shared.script.sighash import SighashCache
from shared.script.standard import p2pkh_script, p2wpkh_script
from tests.unit.consensus.builders import coinbase, committed, mined, payment

KEY = PrivateKey.from_bytes(b"\x51" * 32)
OTHER = PrivateKey.from_bytes(b"\x52" * 32)
HEIGHT = 120


def signet(challenge):
    """Return a chain with this challenge and next to no proof of work."""
    return replace(SIGNET, pow_limit=REGTEST.pow_limit, signet_challenge=challenge)


def with_commitment(block, script):
    """Return the block with another script in the output of its commitment, mined again."""
    first = block.transactions[0]
    outputs = list(first.outputs)
    outputs[commitment_index(block)] = TxOut(0, script)
    changed = Transaction(first.version, first.inputs, tuple(outputs), first.lock_time)
    return mined([changed, *block.transactions[1:]], time=block.header.time)


def commitment_of(block):
    return block.transactions[0].outputs[commitment_index(block)].script_pubkey


def encoded(script_sig, witness=()):
    return pack_var_bytes(script_sig) + pack_compact_size(len(witness)) + b"".join(map(pack_var_bytes, witness))


def solved(block, solution):
    return with_commitment(block, commitment_of(block) + push_data(SIGNET_HEADER + solution))


def unsolved():
    return mined(committed(HEIGHT, [payment(1, witness=(b"x",))]))


def solution_for(block, challenge, keys):
    """Return the solution of a bare multisig or P2WPKH challenge; it signs the block with an empty solution."""
    to_spend, to_sign = signet_transactions(solved(block, encoded(b"")), challenge)
    cache = SighashCache(to_sign, to_spend.outputs)
    if challenge[0] == 0:
        digest = cache.segwit_v0(0, p2pkh_script(keys[0].public_key.hash160), 0, 1)
        return encoded(b"", (keys[0].sign_ecdsa(digest) + b"\x01", keys[0].public_key.compressed))
    signatures = [key.sign_ecdsa(cache.legacy(0, challenge, 1)) + b"\x01" for key in keys]
    return encoded(b"\x00" + b"".join(map(push_data, signatures)))


def multisig(required, keys):
    body = b"".join(push_data(key.public_key.compressed) for key in keys)
    return bytes([OP_1 - 1 + required]) + body + bytes([OP_1 - 1 + len(keys), OP_CHECKMULTISIG])


CHALLENGES = [
    (multisig(1, [KEY, OTHER]), [OTHER]),
    (multisig(2, [KEY, OTHER]), [KEY, OTHER]),
    (p2wpkh_script(KEY.public_key.hash160), [KEY]),
]


def refused(block, params):
    with pytest.raises(ValidationError) as caught:
        check_block(block, params)
    assert caught.value.reason is Reason.BAD_SIGNET_BLKSIG
    return caught.value.detail


@pytest.mark.parametrize(("challenge", "keys"), CHALLENGES, ids=["one of two", "two of two", "p2wpkh"])
def test_a_block_with_a_solution_is_accepted(challenge, keys):
    block = unsolved()
    check_block(solved(block, solution_for(block, challenge, keys)), signet(challenge))


@pytest.mark.parametrize(("challenge", "keys"), CHALLENGES, ids=["one of two", "two of two", "p2wpkh"])
def test_a_solution_is_for_one_block_and_one_challenge(challenge, keys):
    block = unsolved()
    solution = solution_for(block, challenge, keys)
    refused(solved(mined(block.transactions, time=block.header.time + 1), solution), signet(challenge))
    other = mined(committed(HEIGHT, [payment(2, witness=(b"x",))]))
    refused(solved(other, solution), signet(challenge))
    refused(solved(block, solution), signet(multisig(1, [PrivateKey.from_bytes(b"\x53" * 32)])))
    refused(block, signet(challenge))


def test_the_nonce_may_change_after_signing():
    challenge, keys = CHALLENGES[0]
    block = unsolved()
    block = solved(block, solution_for(block, challenge, keys))
    nonce = block.header.nonce + 1
    while int.from_bytes(replace(block.header, nonce=nonce).hash, "little") > REGTEST.pow_limit:
        nonce += 1
    check_block(replace(block, header=replace(block.header, nonce=nonce)), signet(challenge))


def test_a_challenge_that_anyone_meets_needs_no_solution_but_a_commitment():
    check_block(unsolved(), signet(bytes([OP_1])))
    assert "no witness commitment" in refused(mined([coinbase(HEIGHT)]), signet(bytes([OP_1])))


@pytest.mark.parametrize("solution", [b"\x05\x00", encoded(b"") + b"\x00", b"\xfd\x00\x00\x00", b"\x00\x01"])
def test_a_solution_that_does_not_decode_is_refused_even_where_none_is_needed(solution):
    refused(solved(unsolved(), solution), signet(bytes([OP_1])))


def test_a_header_without_a_solution_is_none():
    block = unsolved()
    check_block(with_commitment(block, commitment_of(block) + push_data(SIGNET_HEADER)), signet(bytes([OP_1])))


def test_only_the_first_push_with_the_header_is_a_solution_and_pushes_are_signed_in_their_shortest_form():
    challenge, keys = CHALLENGES[0]
    block = unsolved()
    tail = push_data(SIGNET_HEADER + b"more") + bytes([OP_CHECKSIG]) + b"\x4c\x02ab"
    place = with_commitment(block, commitment_of(block) + push_data(SIGNET_HEADER + encoded(b"")) + tail)
    to_spend, to_sign = signet_transactions(place, challenge)
    signature = keys[0].sign_ecdsa(SighashCache(to_sign, to_spend.outputs).legacy(0, challenge, 1)) + b"\x01"
    solution = push_data(SIGNET_HEADER + encoded(b"\x00" + push_data(signature)))
    check_block(with_commitment(block, commitment_of(block) + solution + tail), signet(challenge))
    short = tail.replace(b"\x4c\x02ab", b"\x02ab")
    check_block(with_commitment(block, commitment_of(block) + solution + short), signet(challenge))
    changed = tail.replace(b"more", b"less")
    refused(with_commitment(block, commitment_of(block) + solution + changed), signet(challenge))


@given(st.binary(max_size=60))
def test_any_bytes_for_a_solution_get_a_verdict(junk):
    refused(solved(unsolved(), junk), signet(CHALLENGES[0][0]))


def test_the_genesis_block_needs_no_solution():
    check_block(SIGNET.genesis, SIGNET)

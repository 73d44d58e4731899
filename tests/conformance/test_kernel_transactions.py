"""The rules of a transaction by itself, and the bytes it is parsed from, as Core's engine has them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.consensus.block_check import check_block
from shared.consensus.limits import MAX_MONEY
from shared.consensus.params import REGTEST
from shared.consensus.tx_check import check_transaction
from shared.consensus.tx_verify import legacy_sigops
from shared.errors import DecodeError, ValidationError
from shared.primitives.block import Block, BlockHeader
from shared.primitives.merkle import merkle_root
from shared.primitives.serialize import Reader
from shared.primitives.transaction import NULL_OUTPOINT, OutPoint, Transaction, TxIn, TxOut
from tests.oracles import oracle
from tests.properties import examples

pbk = oracle("pbk")

COINBASE = Transaction(1, (TxIn(NULL_OUTPOINT, b"\x51\x51"),), (TxOut(0, b""),))
CONSENSUS = pbk.ChainParameters(pbk.ChainType.REGTEST)

values = st.one_of(
    st.integers(0, MAX_MONEY),
    st.sampled_from([-1, 0, 1, MAX_MONEY // 2, MAX_MONEY // 2 + 1, MAX_MONEY, MAX_MONEY + 1, 2**63 - 1, -(2**63)]),
)
prevouts = st.sampled_from(
    [NULL_OUTPOINT, *(OutPoint(bytes([n]) * 32, vout) for n in range(3) for vout in (0, 1, 2**32 - 1))]
)
inputs = st.builds(TxIn, prevouts, st.sampled_from([b"", b"a", b"ab", bytes(100), bytes(101)]))
outputs = st.builds(TxOut, values, st.sampled_from([b"", b"\x51", b"\x6a" * 30, b"\xac" * 19_999, b"\xae" * 1_001]))
transactions = st.builds(
    Transaction,
    st.sampled_from([0, 1, 2, 2**32 - 1]),
    st.lists(inputs, min_size=1, max_size=4).map(tuple),
    st.lists(outputs, max_size=4).map(tuple),
)


def kernel_says(block):
    """Return whether Core's engine accepts a block by itself."""
    state = pbk.Block(block.serialize()).check(CONSENSUS.consensus_params, pbk.BlockCheckFlags.ALL)
    return state.validation_mode == pbk.ValidationMode.VALID


def we_say(check, *arguments):
    try:
        check(*arguments)
    except ValidationError:
        return False
    return True


def block_of(*txs):
    """Return a block of these transactions, with enough proof of work."""
    root, _ = merkle_root([tx.txid for tx in txs])
    for nonce in itertools.count():
        header = BlockHeader(4, bytes(32), root, 0, 0x207FFFFF, nonce)
        if int.from_bytes(header.hash, "little") <= REGTEST.pow_limit:
            return Block(header, txs)
    raise AssertionError


@examples(400)
@given(transactions)
def test_both_agree_on_a_transaction_by_itself(tx):
    # A coinbase is looked at as one, anything else behind another coinbase.
    block = block_of(tx) if tx.is_coinbase else block_of(COINBASE, tx)
    accepted = we_say(check_block, block, REGTEST)
    assert accepted == kernel_says(block)
    if legacy_sigops(tx) <= 20_000:
        assert accepted == we_say(check_transaction, tx)


@examples(150)
@given(st.lists(st.one_of(st.just(COINBASE), transactions), max_size=5))
def test_both_agree_on_a_block_by_itself(txs):
    block = block_of(*txs)
    assert we_say(check_block, block, REGTEST) == kernel_says(block)


@pytest.mark.parametrize("excess", [0, 1])
def test_both_agree_on_the_largest_transaction(excess):
    tx = Transaction(1, (TxIn(OutPoint(bytes(32), 0), b""),), (TxOut(0, b""),))
    room = 1_000_000 - tx.base_size - 4 - (80 + 1 + COINBASE.size)
    tx = Transaction(1, tx.inputs, (TxOut(0, bytes(room + excess)),))
    block = block_of(COINBASE, tx)
    assert block.base_size == 1_000_000 + excess
    assert we_say(check_block, block, REGTEST) == kernel_says(block) == (not excess)


@examples(400)
@given(transactions.filter(lambda tx: tx.outputs), st.data())
def test_both_read_the_same_bytes_as_transactions(tx, data):
    raw = bytearray(tx.serialize())
    at = data.draw(st.integers(4, min(len(raw), 60) - 1))
    raw[at] = data.draw(st.sampled_from([0, 1, 2, 0xFC, 0xFD, 0xFE, 0xFF]))
    raw = bytes(raw)
    try:
        ours = Transaction.read(Reader(raw)).serialize()  # as the kernel does, which ignores what follows
    except DecodeError:
        ours = None
    try:
        theirs = bytes(pbk.Transaction(raw))
    except RuntimeError:
        theirs = None
    assert ours == theirs

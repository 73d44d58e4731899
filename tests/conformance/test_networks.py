"""Blocks of the real networks, and of Core's own test chains, pass every rule when they are fed in."""

import ast
import dataclasses
import time

import pytest

from shared.consensus.block_check import BlockContext, check_block, check_block_context
from shared.consensus.params import MAINNET, REGTEST, SIGNET, TESTNET4
from shared.consensus.pow import bits_to_target, block_work
from shared.consensus.script_flags import block_flags
from shared.consensus.subsidy import block_subsidy
from shared.crypto.hashes import hash160
from shared.errors import ScriptError, ValidationError
from shared.primitives.block import Block, BlockHeader
from shared.primitives.merkle import merkle_root
from shared.primitives.transaction import NULL_OUTPOINT, OutPoint, Transaction, TxIn, TxOut
from shared.reasons import Reason
from shared.script.flags import Flags
from shared.script.interpreter import verify_input
from shared.script.script import push_number
from shared.script.standard import p2sh_script
from tests.conformance.memory_chain import MemoryChain

ALTERNATIVE_PAYEE = bytes.fromhex("76a914eadbac7f36c37e39361168b7aaee3cb24a25312d88ac")


def refused(chain, block, reason):
    with pytest.raises(ValidationError) as caught:
        chain.check(block)
    assert caught.value.reason is reason


@pytest.fixture(scope="module")
def signet_blocks(core_file):
    """The first ten blocks of the public signet."""
    for statement in ast.parse(core_file("feature_signet.py").read_text()).body:
        if isinstance(statement, ast.Assign) and statement.targets[0].id == "signet_blocks":
            return [Block.parse(bytes.fromhex(text)) for text in ast.literal_eval(statement.value)]
    raise AssertionError("no blocks")


def test_the_first_blocks_of_signet_are_valid(signet_blocks):
    chain = MemoryChain(SIGNET)
    for block in signet_blocks:
        chain.accept(block)
    assert chain.height == 10
    assert chain.headers[-1].bits == SIGNET.genesis.header.bits


def test_signet_blocks_are_no_solution_for_another_challenge(signet_blocks):
    both_keys = b"\x52" + SIGNET.signet_challenge[1:]
    chain = MemoryChain(dataclasses.replace(SIGNET, signet_challenge=both_keys))
    refused(chain, signet_blocks[0], Reason.BAD_SIGNET_BLKSIG)


def test_a_signature_of_signet_covers_the_time(signet_blocks):
    chain = MemoryChain(dataclasses.replace(SIGNET, pow_limit=REGTEST.pow_limit))
    header = dataclasses.replace(signet_blocks[0].header, time=signet_blocks[0].header.time + 1, bits=0x207FFFFF)
    while int.from_bytes(header.hash, "little") > REGTEST.pow_limit:
        header = dataclasses.replace(header, nonce=header.nonce + 1)
    refused(chain, Block(header, signet_blocks[0].transactions), Reason.BAD_SIGNET_BLKSIG)


@pytest.fixture(scope="module")
def alternative_blocks(core_vectors):
    """The first retarget period of an alternative mainnet, mined with real difficulty, and the block after it."""
    data = core_vectors("mainnet_alt.json")
    blocks = []
    prev = MAINNET.genesis.header
    for height, (seconds, nonce) in enumerate(zip(data["timestamps"], data["nonces"], strict=True), start=1):
        script_sig = push_number(height) + (b"\x00" if height <= 16 else b"")
        reward = TxOut(block_subsidy(height, MAINNET), ALTERNATIVE_PAYEE)
        coinbase = Transaction(2, (TxIn(NULL_OUTPOINT, script_sig),), (reward,))
        bits = 0x1D00FFFF if height < 2016 else 0x1C3FFFC0
        prev = BlockHeader(0x20000000, prev.hash, coinbase.txid, seconds, bits, nonce)
        blocks.append(Block(prev, (coinbase,)))
    return blocks


def test_an_alternative_mainnet_retargets_as_core_does(alternative_blocks):
    chain = MemoryChain(MAINNET)
    for block in alternative_blocks[:-1]:
        chain.accept(block)
    last = alternative_blocks[-1]
    assert chain.height == 2015
    assert chain.next_bits(last.header.time) == last.header.bits
    chain.accept(last)
    assert block_work(last.header.bits) // block_work(MAINNET.genesis.header.bits) == 4


def test_a_full_block_of_mainnet_is_valid_by_itself(core_file):
    block = Block.parse(core_file("block413567.raw").read_bytes())
    assert block.hash_hex == "0000000000000000025aff8be8a55df8f89c77296db6198f272d6577325d4069"
    assert len(block.transactions) == 1557
    check_block(block, MAINNET)
    # Before BIP113 a block's own time decides what is final.
    context = BlockContext(413_567, block.header.prev_hash, 0, 0, block.header.bits)
    check_block_context(block, context, MAINNET)
    with pytest.raises(ValidationError, match="bad-cb-height"):
        check_block_context(block, dataclasses.replace(context, height=413_568), MAINNET)


def test_the_scripts_within_a_block_of_mainnet_succeed(core_file):
    block = Block.parse(core_file("block413567.raw").read_bytes())
    outputs = {OutPoint(tx.txid, vout): output for tx in block.transactions for vout, output in enumerate(tx.outputs)}
    flags = block_flags(413_567, MAINNET, block.hash)
    checked = 0
    for tx in block.transactions[1:]:
        spent = [outputs.get(tx_in.prevout, TxOut(0, b"")) for tx_in in tx.inputs]
        for index, tx_in in enumerate(tx.inputs):
            if tx_in.prevout in outputs:
                verify_input(tx, index, spent, flags)
                checked += 1
    assert checked > 100


TESTNET3 = dataclasses.replace(
    MAINNET, name="testnet3", pow_allow_min_difficulty=True, bip34_height=21_111, csv_height=770_112
)


def test_blocks_of_testnet3_are_valid_with_their_scripts(core_vectors):
    checked = heights = 0
    for height, hash_hex, block_hex, scripts, *_ in core_vectors("blockfilters.json")[1:]:
        block = Block.parse(bytes.fromhex(block_hex))
        assert block.hash_hex == hash_hex
        check_block(block, TESTNET3)
        context = BlockContext(height, block.header.prev_hash, 0, block.header.time, block.header.bits)
        check_block_context(block, context, TESTNET3)
        heights += 1
        previous = iter([bytes.fromhex(script) for script in scripts])
        for tx in block.transactions[1:]:
            # What an amount is not signed in need not be known.
            spent = [TxOut(0, next(previous, b"")) for _ in tx.inputs]
            for index, output in enumerate(spent):
                if output.script_pubkey and not tx.inputs[index].witness:
                    verify_input(tx, index, spent, Flags.P2SH)
                    checked += 1
    assert heights >= 10
    assert checked > 5


def test_cores_regtest_chain_is_valid_with_all_its_scripts(core_file):
    chain = MemoryChain(REGTEST)
    for line in core_file("blocks.txt").read_text().split():
        chain.accept(Block.parse(bytes.fromhex(line)))
    assert chain.height == 206
    assert chain.inputs_verified > 0


# The first blocks of mainnet: version, time, bits, nonce, public key and extra nonce of the coinbase.
GENESIS_CHILD = (
    "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee14677ba1a3c3540b"
    "f7b1cdb606e857233e0e61bc6649ffff001d01e362990101000000010000000000000000000000000000000000000000000000000000000000"
    "000000ffffffff0704ffff001d0104ffffffff0100f2052a0100000043410496b538e853519c726a2c91e61ec11600ae1390813a627c66fb8b"
    "e7947be63c52da7589379515d4e0a604f8141781e62294721166bf621e73a82cbf2342c858eeac00000000"
)


def test_block_one_of_mainnet_is_valid():
    chain = MemoryChain(MAINNET)
    block = Block.parse(bytes.fromhex(GENESIS_CHILD))
    assert block.hash_hex == "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048"
    chain.accept(block)


def test_the_first_payment_between_people_is_valid():
    """The transaction of block 170, by the key of block 9's coinbase."""
    tx = Transaction.parse(
        bytes.fromhex(
            "0100000001c997a5e56e104102fa209c6a852dd90660a20b2d9c352423edce25857fcd3704000000004847304402204e45e16932b8af"
            "514961a1d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4acdd12909d831cc56cbbac4622082221"
            "a8768d1d0901ffffffff0200ca9a3b00000000434104ae1a62fe09c5f51b13905f07f06b99a2f7159b2225f374cd378d71302fa28414"
            "e7aab37397f554a7df5f142c21c1b7303b8a0626f1baded5c72a704f7e6cd84cac00286bee0000000043410411db93e1dcdb8a016b49"
            "840f8c53bc1eb68a382e97b1482ecad7b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643f656b412a3"
            "ac00000000"
        )
    )
    assert tx.txid_hex == "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16"
    owner = tx.outputs[1].script_pubkey  # the change went back to where the coin was
    verify_input(tx, 0, [TxOut(5_000_000_000, owner)], block_flags(170, MAINNET))
    with pytest.raises(ScriptError):
        verify_input(tx, 0, [TxOut(5_000_000_000, tx.outputs[0].script_pubkey)], block_flags(170, MAINNET))


# A chain with the rules of testnet4 and next to no work: periods of eight blocks of ten seconds.
SMALL = dataclasses.replace(
    TESTNET4,
    name="small",
    pow_limit=REGTEST.pow_limit,
    pow_spacing=10,
    pow_timespan=80,
    genesis=dataclasses.replace(
        REGTEST.genesis, header=dataclasses.replace(REGTEST.genesis.header, time=1_700_000_000, bits=0x207FFFFF)
    ),
)


def following(chain, seconds, bits=None, coinbase=None, txs=()):
    """Return the next block at a time, with the bits that are due and a coinbase of its own unless others are given."""
    height = chain.height + 1
    reward = TxOut(block_subsidy(height, chain.params), b"\x51")
    coinbase = coinbase or Transaction(2, (TxIn(NULL_OUTPOINT, push_number(height) + b"\x00"),), (reward,))
    root, _ = merkle_root([tx.txid for tx in (coinbase, *txs)])
    header = BlockHeader(4, chain.headers[-1].hash, root, seconds, bits or chain.next_bits(seconds), 0)
    while int.from_bytes(header.hash, "little") > bits_to_target(header.bits):
        header = dataclasses.replace(header, nonce=header.nonce + 1)
    return Block(header, (coinbase, *txs))


def grown(params, height, spacing):
    chain = MemoryChain(params)
    while chain.height < height:
        chain.accept(following(chain, chain.headers[-1].time + spacing))
    return chain


def test_a_testnet4_chain_allows_easy_blocks_after_a_pause_and_forgets_them_when_it_retargets():
    chain = grown(SMALL, 8, 2)
    hard = chain.headers[-1].bits
    assert hard < 0x207FFFFF, "blocks in quick succession made it harder"
    for _ in range(7):
        start = chain.headers[-1].time
        assert chain.next_bits(start + 20) == hard
        assert chain.next_bits(start + 21) == 0x207FFFFF
        refused(chain, following(chain, start + 20, 0x207FFFFF), Reason.BAD_DIFFBITS)
        refused(chain, following(chain, start + 21, hard), Reason.BAD_DIFFBITS)
        chain.accept(following(chain, start + 21))
    # The period took 147 seconds instead of 80: somewhat easier than its first block, whatever the others were.
    assert hard < chain.next_bits(chain.headers[-1].time + 21) < 0x207FFFFF
    without = MemoryChain(dataclasses.replace(SMALL, enforce_bip94=False))
    without.headers = chain.headers
    assert without.next_bits(chain.headers[-1].time + 21) == 0x207FFFFF


def test_a_testnet4_chain_refuses_the_timewarp():
    chain = grown(SMALL, 6, 1_000)
    chain.accept(following(chain, chain.headers[-1].time + 100_000))
    assert (chain.height + 1) % SMALL.retarget_interval == 0
    last = chain.headers[-1].time
    refused(chain, following(chain, last - 601), Reason.TIME_TIMEWARP_ATTACK)
    chain.check(following(chain, last - 600))
    warped = MemoryChain(dataclasses.replace(SMALL, enforce_bip94=False))
    warped.headers = chain.headers
    warped.check(following(warped, last - 601))


def test_times_are_bounded_by_the_median_and_the_clock():
    chain = grown(SMALL, 12, 10)
    now = int(time.time())
    with pytest.raises(ValidationError, match="time-too-new"):
        chain.check(following(chain, now + 7_201), now=now)
    chain.check(following(chain, now + 7_200), now=now)
    refused(chain, following(chain, chain.mtp_at(chain.height)), Reason.TIME_TOO_OLD)
    chain.check(following(chain, chain.mtp_at(chain.height) + 1))


def without(chain, **changes):
    """Return a chain with these headers and coins and other parameters."""
    other = MemoryChain(dataclasses.replace(chain.params, **changes))
    other.headers, other.unspent = chain.headers, chain.unspent
    return other


def test_a_repeated_coinbase_is_refused_but_in_the_blocks_that_are_excused():
    chain = grown(dataclasses.replace(SMALL, bip34_height=1_000), 3, 10)
    first = following(chain, chain.headers[-1].time + 10)
    chain.accept(first)
    again = following(chain, chain.headers[-1].time + 10, coinbase=first.transactions[0])
    with pytest.raises(ValidationError, match="bad-txns-BIP30"):
        chain.accept(again)
    excused = without(chain, bip30_exceptions=frozenset({again.hash}))
    excused.accept(again)
    coin = excused.unspent[OutPoint(first.transactions[0].txid, 0)]
    assert coin.height == 5, "the newer one takes the place of the older"


def test_a_script_rule_is_broken_only_in_the_blocks_that_are_excused():
    chain = grown(dataclasses.replace(SMALL, coinbase_maturity=1), 3, 10)
    p2sh = p2sh_script(hash160(b"\x00"))  # what is revealed fails, as only BIP16 minds
    reward = Transaction(2, (TxIn(NULL_OUTPOINT, push_number(4) + b"\x00"),), (TxOut(1_000, p2sh),))
    chain.accept(following(chain, chain.headers[-1].time + 10, coinbase=reward))
    spend = Transaction(2, (TxIn(OutPoint(reward.txid, 0), b"\x01\x00"),), (TxOut(1_000, b"\x51"),))
    block = following(chain, chain.headers[-1].time + 10, txs=[spend])
    with pytest.raises(ScriptError):
        chain.accept(block)
    without(chain, script_flag_exceptions=((block.hash, Flags.NONE),)).accept(block)

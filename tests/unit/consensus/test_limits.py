"""The limits of consensus, written out again, so that nobody changes one by mistake."""

from shared.consensus import limits
from shared.consensus.params import MAINNET, REGTEST
from shared.primitives import block, transaction
from shared.primitives.serialize import MAX_SIZE
from shared.script import interpreter, script


def test_the_limits_are_bitcoins():
    assert limits.COIN == 100_000_000
    assert limits.MAX_MONEY == 2_100_000_000_000_000
    assert transaction.WITNESS_SCALE_FACTOR == 4
    assert limits.MAX_BLOCK_WEIGHT == limits.MAX_BLOCK_SIZE == 4_000_000
    assert limits.MIN_TRANSACTION_WEIGHT == 240
    assert block.HEADER_SIZE == 80
    assert limits.MAX_BLOCK_SIGOPS_COST == 80_000
    assert transaction.LOCKTIME_THRESHOLD == 500_000_000
    assert limits.MEDIAN_TIME_SPAN == 11
    assert limits.MAX_FUTURE_BLOCK_TIME == 7200
    assert limits.MAX_TIMEWARP == 600
    assert (limits.MIN_COINBASE_SCRIPT, limits.MAX_COINBASE_SCRIPT) == (2, 100)
    assert transaction.SEQUENCE_LOCKTIME_DISABLE_FLAG == 0x80000000
    assert transaction.SEQUENCE_LOCKTIME_TYPE_FLAG == 0x00400000
    assert transaction.SEQUENCE_LOCKTIME_MASK == 0x0000FFFF
    assert 1 << transaction.SEQUENCE_LOCKTIME_GRANULARITY == 512
    assert MAX_SIZE == 32 * 1024 * 1024
    assert script.MAX_SCRIPT_SIZE == 10_000
    assert script.MAX_SCRIPT_ELEMENT_SIZE == 520
    assert script.MAX_PUBKEYS_PER_MULTISIG == 20
    assert interpreter.MAX_STACK_SIZE == 1000
    assert MAINNET.coinbase_maturity == REGTEST.coinbase_maturity == 100


def test_money_is_from_nothing_to_all_there_can_be():
    assert limits.is_money(0)
    assert limits.is_money(limits.MAX_MONEY)
    assert not limits.is_money(-1)
    assert not limits.is_money(limits.MAX_MONEY + 1)

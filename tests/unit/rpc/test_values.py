"""Amounts, feerates and descriptors as bitcoind writes and reads them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from embit.descriptor.checksum import add_checksum

from services.mempool.rpc.descriptors import infer
from services.mempool.rpc.server import protocol, values
from services.mempool.rpc.server.errors import RpcError
from shared.consensus.params import REGTEST
from shared.crypto.address import encode_address

GENESIS_SCRIPT = REGTEST.genesis.transactions[0].outputs[0].script_pubkey


@pytest.mark.parametrize(
    ("sats", "text"),
    [
        (0, "0.00000000"),
        (1, "0.00000001"),
        (5_000_000_000, "50.00000000"),
        (-1_234, "-0.00001234"),
        (2_100_000_000_000_000, "21000000.00000000"),
    ],
)
def test_an_amount_has_exactly_eight_decimals(sats: int, text: str) -> None:
    assert protocol.encode([values.btc(sats)]) == f"[{text}]\n".encode()


@pytest.mark.parametrize(
    ("value", "sats"),
    [
        (0, 0),
        (1, 100_000_000),
        (Decimal("0.1"), 10_000_000),
        ("0.00000001", 1),
        ("21000000", 2_100_000_000_000_000),
        (Decimal("1E-8"), 1),
        ("0.100000000", 10_000_000),
    ],
)
def test_an_amount_is_read_exactly(value: object, sats: int) -> None:
    assert values.amount(value) == sats


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, "Amount is not a number or string"),
        (None, "Amount is not a number or string"),
        ([], "Amount is not a number or string"),
        ("", "Invalid amount"),
        ("x", "Invalid amount"),
        (" 1", "Invalid amount"),
        ("1_0", "Invalid amount"),
        ("١", "Invalid amount"),
        ("NaN", "Invalid amount"),
        ("Infinity", "Invalid amount"),
        (Decimal("0.000000001"), "Invalid amount"),
        ("1e999999999", "Invalid amount"),
        ("-0.1", "Amount out of range"),
        (21_000_001, "Amount out of range"),
    ],
)
def test_a_bad_amount_is_a_type_error(value: object, message: str) -> None:
    with pytest.raises(RpcError) as error:
        values.amount(value)
    assert (error.value.code, error.value.message) == (-3, message)


def test_a_feerate_of_one_btc_is_a_mistake() -> None:
    with pytest.raises(RpcError) as error:
        values.feerate("1", 0)
    assert error.value.code == -8
    assert values.feerate("0.99999999", 0) == 99_999_999


def test_a_real_number_has_sixteen_digits() -> None:
    assert protocol.encode(values.real(0x0000FFFF / 0x7FFFFF * 256.0**-3)) == b"4.656542373906925e-10\n"
    assert protocol.encode(values.real(1.0)) == b"1\n"


def test_the_checksum_is_that_of_bip380() -> None:
    assert infer.infer(bytes.fromhex("deadbeef"), None) == "raw(deadbeef)#89f8spxm"


@pytest.mark.parametrize(
    ("script_hex", "text"),
    [
        (GENESIS_SCRIPT.hex(), f"pk({GENESIS_SCRIPT[1:-1].hex()})#vlz6ztea"),
        ("0014751e76e8199196d454941c45d1b3a323f1433bd6", "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)#"),
        ("76a914751e76e8199196d454941c45d1b3a323f1433bd688ac", "addr(mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r)#"),
        ("5120" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "rawtr(79be667e"),
        ("5120" + "ff" * 32, "addr(bcrt1p"),
        ("6a0568656c6c6f", "raw(6a0568656c6c6f)#"),
        ("", "raw()#"),
        ("5121" + "02" + "11" * 32 + "51ae", f"multi(1,02{'11' * 32})#"),
        ("21" + "07" + "11" * 32 + "ac", "raw("),
        ("51024e73", "addr(bcrt1pfeesnyr2tx)#"),
    ],
)
def test_a_descriptor_is_inferred_from_a_script(script_hex: str, text: str) -> None:
    script = bytes.fromhex(script_hex)
    inferred = infer.infer(script, encode_address(script, REGTEST.address))
    assert inferred.startswith(text)
    assert inferred == add_checksum(inferred.partition("#")[0])

"""Descriptors, messages, fees, the clock, logs, and the set of all coins."""

from __future__ import annotations

import hashlib
import logging
from decimal import Decimal

import pytest
from embit.descriptor.checksum import add_checksum

from services.mempool.rpc.descriptors import parse
from services.mempool.rpc.methods.chain.txoutset import serialize_coin
from services.mempool.rpc.methods.util import feerate_for
from shared.bus.events import ChainControl, ControlAction, ControlResult
from shared.chain.codec import decode_coin, decode_outpoint
from shared.consensus.params import REGTEST
from shared.crypto import muhash
from shared.crypto.bip32 import ExtendedKey
from tests import builders
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.rpc.conftest import ALICE, BOB, Chain, Rpc

MASTER = ExtendedKey.from_seed(bytes(range(32)))
TPUB = MASTER.neuter().serialize(REGTEST.address)
TPRV = MASTER.serialize(REGTEST.address)
KEY = ALICE.public_key.compressed.hex()
X_ONLY = ALICE.public_key.x_only.hex()


@pytest.mark.parametrize(
    ("text", "script"),
    [
        (f"pk({KEY})", f"21{KEY}ac"),
        (f"pkh({KEY})", f"76a914{ALICE.public_key.hash160.hex()}88ac"),
        (f"wpkh({KEY})", f"0014{ALICE.public_key.hash160.hex()}"),
        (f"multi(1,{KEY})", f"5121{KEY}51ae"),
        (f"tr({X_ONLY})", f"5120{ALICE.public_key.taproot_output_key().hex()}"),
        (f"rawtr({X_ONLY})", f"5120{X_ONLY}"),
        ("raw(6a00)", "6a00"),
        ("addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
    ],
)
def test_descriptors_and_their_scripts(text: str, script: str) -> None:
    assert parse.parse(add_checksum(text), REGTEST.address).scripts()[0].hex() == script


@pytest.mark.parametrize("text", [f"sh(wpkh({KEY}))", f"wsh(multi(1,{KEY}))", f"wsh(and_v(v:pk({KEY}),older(5)))"])
def test_nested_descriptors_have_addresses(rpc: Rpc, text: str) -> None:
    (address,) = rpc.call("deriveaddresses", add_checksum(text))
    assert rpc.call("validateaddress", address)["isscript"] is True
    info = rpc.call("getdescriptorinfo", text)
    assert (info["descriptor"], info["isrange"], info["issolvable"]) == (add_checksum(text), False, True)


def test_a_ranged_descriptor_gives_the_addresses_of_its_keys(rpc: Rpc) -> None:
    text = add_checksum(f"wpkh({TPUB}/0/*)")
    addresses = rpc.call("deriveaddresses", text, [1, 3])
    expected = [MASTER.derive(f"0/{index}").public_key.hash160.hex() for index in (1, 2, 3)]
    assert [rpc.call("validateaddress", address)["witness_program"] for address in addresses] == expected
    assert len(rpc.call("deriveaddresses", text, 4)) == 5


def test_private_keys_do_not_show_in_the_public_form(rpc: Rpc) -> None:
    info = rpc.call("getdescriptorinfo", f"wpkh({TPRV}/0/*)")
    assert info["hasprivatekeys"] is True
    assert (info["isrange"], info["descriptor"]) == (True, add_checksum(f"wpkh({TPUB}/0/*)"))
    assert info["checksum"] == add_checksum(f"wpkh({TPRV}/0/*)")[-8:]


def test_combo_has_all_forms_of_a_key(rpc: Rpc) -> None:
    assert len(rpc.call("deriveaddresses", add_checksum(f"combo({KEY})"))) == 3


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("getdescriptorinfo", ("",), -5, "'' is not a valid descriptor function"),
        ("getdescriptorinfo", ("wpkh(",), -5, "'wpkh(' is not a valid descriptor function"),
        ("getdescriptorinfo", ("wsh(multi(",), -5, "'wsh(multi(' is not a valid descriptor function"),
        ("getdescriptorinfo", (f"wpkh({KEY})#00000000",), -5, "Provided checksum '00000000' does not match"),
        ("getdescriptorinfo", (f"wpkh({KEY})#0",), -5, "Expected 8 character checksum, not 1 characters"),
        ("getdescriptorinfo", ("wpkh(é)",), -5, "Invalid characters in payload"),
        ("getdescriptorinfo", ("addr(x)",), -5, "Address is not valid"),
        ("getdescriptorinfo", ("raw(x)",), -5, "Raw script is not hex"),
        ("getdescriptorinfo", ("wsh(" * 5000,), -5, "the descriptor is too long or too deeply nested"),
        ("getdescriptorinfo", (MASTER.neuter().serialize(builders.REGTEST.address),), -5, "'tpub"),
        ("deriveaddresses", (f"wpkh({KEY})",), -5, "Missing checksum"),
        ("deriveaddresses", (add_checksum(f"wpkh({KEY})"), 5), -8, "Range should not be specified"),
        ("deriveaddresses", (add_checksum(f"wpkh({TPUB}/*)"),), -8, "Range must be specified"),
        ("deriveaddresses", (add_checksum(f"wpkh({TPUB}/*)"), [2, 1]), -8, "Range specified as [begin,end] must"),
        ("deriveaddresses", (add_checksum(f"wpkh({TPUB}/*)"), [-1, 1]), -8, "Range should be greater"),
        ("deriveaddresses", (add_checksum(f"wpkh({TPUB}/*)"), [0, 1 << 20]), -8, "Range is too large"),
        ("deriveaddresses", (add_checksum(f"wpkh({TPUB}/*)"), [1 << 31, 1 << 31]), -8, "End of range is too high"),
        ("deriveaddresses", (add_checksum(f"wpkh({TPUB}/*)"), [1]), -8, "Range must be specified as end or"),
        ("deriveaddresses", (add_checksum(f"pk({KEY})"),), -5, "Descriptor does not have a corresponding address"),
        ("scantxoutset", ("begin",), -8, "Invalid action 'begin'"),
        ("scantxoutset", ("start",), -1, "scanobjects argument is required for the start action"),
        ("scantxoutset", ("start", [1]), -8, "Scan object needs to be either a string or an object"),
        ("scantxoutset", ("start", [{}]), -8, "Descriptor needs to be provided in scan object"),
        ("gettxoutsetinfo", ("md5",), -8, "'md5' is not a valid hash_type"),
        ("gettxoutsetinfo", ("none", 1), -8, "Querying specific block heights requires coinstatsindex"),
        ("estimatesmartfee", (0,), -8, "Invalid conf_target, must be between 1 and 1008"),
        ("estimatesmartfee", (1, "fast"), -8, "Invalid estimate_mode parameter"),
        ("verifymessage", ("x", "", ""), -5, "Invalid address"),
        ("verifymessage", ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "", ""), -3, "Address does not refer"),
        ("signmessagewithprivkey", ("x", ""), -5, "Invalid private key"),
        ("getmemoryinfo", ("x",), -8, "unknown mode x"),
        ("logging", (["x"],), -8, "unknown logging category x"),
        ("setmocktime", (-1,), -8, "Mocktime must be in the range"),
        ("mockscheduler", (0,), -1, "delta_time must be between 1 and 3600 seconds (1 hr)"),
        ("getnetworkhashps", (0,), -8, "Invalid nblocks. Must be a positive number or -1."),
        ("getnetworkhashps", (1, 9), -8, "Block does not exist at specified height"),
        ("importprivkey", (), -32601, "Method not found"),
    ],
)
def test_what_is_refused(rpc: Rpc, method: str, params: tuple[object, ...], code: int, message: str) -> None:
    found = rpc.error(method, *params)
    assert (found[0], found[1][: len(message)]) == (code, message)


def test_a_message_is_signed_and_verified(rpc: Rpc) -> None:
    wif = ALICE.to_wif(REGTEST.address)
    address = rpc.call("deriveaddresses", add_checksum(f"pkh({KEY})"))[0]
    signature = rpc.call("signmessagewithprivkey", wif, "hello")
    assert rpc.call("verifymessage", address, signature, "hello") is True
    assert rpc.call("verifymessage", address, signature, "hallo") is False
    assert rpc.call("verifymessage", address, "AAAA", "hello") is False
    assert rpc.error("verifymessage", address, "!", "hello") == (-3, "Malformed base64 encoding")


def test_bitcoin_cores_own_signed_message(rpc: Rpc) -> None:
    # From Core's functional test rpc_signmessagewithprivkey.py.
    signature = "INbVnW4e6PeRmsv2Qgu8NuopvrVjkcxob+sX8OcZG0SALhWybUjzMLPdAsXI46YZGb0KQTRii+wWIQzRpG/U+S0="
    key = "cUeKHd5orzT3mz8P9pxyREHfsWtVfgsfDjiZZBcjUBAaGk1BTj7N"
    message = "This is just a test message"
    assert rpc.call("signmessagewithprivkey", key, message) == signature
    assert rpc.call("verifymessage", "mpLQjfK79b7CCV4VMJWEWAj5Mpx8Up5zxB", signature, message) is True


def test_a_fee_is_what_the_pool_makes_necessary(rpc: Rpc) -> None:
    assert rpc.call("estimatesmartfee", 6) == {"feerate": Decimal("0.00000100"), "blocks": 6}
    crowded = [(rate * 1_000, 1_000) for rate in range(1, 2_001)]  # two blocks' worth
    assert feerate_for(crowded, 1) == 1_000_001
    assert feerate_for(crowded, 2) == 100


def test_the_clock_is_an_order(rpc: Rpc, broker: FakeBroker) -> None:
    broker.answers[ChainControl] = lambda message: ControlResult(done=True)
    assert rpc.call("setmocktime", 1_700_000_000) is None
    assert broker.published[-1] == ChainControl(action=ControlAction.SET_TIME, time=1_700_000_000)
    assert rpc.call("mockscheduler", 60) is None


def test_logs_are_turned_on_and_off(rpc: Rpc) -> None:
    assert rpc.call("logging", ["bus"])["bus"] is True
    assert logging.getLogger("shared.bus").isEnabledFor(logging.DEBUG)
    assert not any(rpc.call("logging", [], ["all"]).values())


def test_small_answers(rpc: Rpc) -> None:
    assert rpc.call("ping") is None
    assert rpc.call("getindexinfo") == {"txindex": {"synced": True, "best_block_height": 3}}
    assert rpc.call("getindexinfo", "other") == {}
    assert rpc.call("getrpcinfo")["active_commands"][0]["method"] == "getrpcinfo"
    assert rpc.call("getmemoryinfo")["locked"]["used"] == 0


def test_how_hard_mining_is(rpc: Rpc) -> None:
    info = rpc.call("getmininginfo")
    assert (info["blocks"], info["chain"], info["next"]["height"]) == (3, "regtest", 4)
    # Two hashes of work for each block, one second apart.
    assert rpc.call("getnetworkhashps", 2) == 2
    assert rpc.call("getnetworkhashps", 120, 0) == 0


def test_muhash_has_bitcoin_cores_values() -> None:
    # From Core's crypto_tests.cpp: the elements 1 and 2 (as 32-byte keys of their streams) over element 0.
    def number(first: int) -> int:
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

        key = hashlib.sha256(bytes([first]) + bytes(31)).digest()
        stream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()
        return int.from_bytes(stream.update(bytes(384)), "little")

    assert muhash.element(bytes([1]) + bytes(31)) == number(1)
    total = number(0) * number(1) * pow(number(2), -1, muhash.PRIME) % muhash.PRIME
    expected = "10d312b100cbd32ada024a6646e40d3482fcff103668d2625f10002a607d5863"
    assert muhash.finalize(total)[::-1].hex() == expected


def test_the_set_of_coins_has_a_hash_and_a_sum(rpc: Rpc, chain: Chain) -> None:
    info = rpc.call("gettxoutsetinfo")
    raw = chain.view.txs.all_coins()
    data = b"".join(serialize_coin(decode_outpoint(key), decode_coin(raw[key])) for key in sorted(raw))
    expected = hashlib.sha256(hashlib.sha256(data).digest()).digest()[::-1].hex()
    assert info["hash_serialized_3"] == expected
    assert (info["height"], info["txouts"]) == (3, len(raw))
    assert info["total_amount"] == 150
    assert "hash_serialized_3" not in rpc.call("gettxoutsetinfo", "none")
    before = rpc.call("gettxoutsetinfo", "muhash")["muhash"]
    chain.view.connect(builders.make_block(chain.blocks[-1].header, 4, builders.p2wpkh(BOB)))
    assert rpc.call("gettxoutsetinfo", "muhash")["muhash"] != before


def test_coins_are_found_by_descriptor(rpc: Rpc, chain: Chain) -> None:
    found = rpc.call("scantxoutset", "start", [f"wpkh({BOB.public_key.compressed.hex()})"])
    (unspent,) = found["unspents"]
    assert (unspent["txid"], unspent["vout"], unspent["amount"]) == (chain.payment.txid_hex, 0, 10)
    assert (unspent["height"], unspent["confirmations"], unspent["coinbase"]) == (3, 1, False)
    assert (found["success"], found["total_amount"], found["bestblock"]) == (True, 10, chain.blocks[3].hash_hex)
    assert rpc.call("scantxoutset", "status") is None
    assert rpc.call("scantxoutset", "abort") is False

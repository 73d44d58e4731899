"""Building, signing, combining and PSBT: each kind of output is spent, and the interpreter is the judge."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from embit.psbt import PSBT

from services.mempool.rpc.psbt.codec import In, Psbt
from shared.consensus.params import REGTEST
from shared.crypto.hashes import hash160, sha256
from shared.primitives.transaction import Transaction
from shared.script.script import push_data
from shared.script.standard import p2pkh_script, p2sh_script, p2tr_script, p2wpkh_script, p2wsh_script
from tests import builders
from tests.unit.rpc.conftest import ALICE, BOB, Chain, Rpc

CAROL = builders.key("carol")
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def multisig(required: int, *keys: builders.PrivateKey) -> bytes:
    pushed = b"".join(push_data(key.public_key.compressed) for key in keys)
    return bytes([0x50 + required]) + pushed + bytes([0x50 + len(keys), 0xAE])


def wif(key: builders.PrivateKey) -> str:
    return key.to_wif(REGTEST.address)


PAIR = multisig(2, ALICE, BOB, CAROL)
PUBKEY = push_data(ALICE.public_key.compressed) + b"\xac"
NESTED_PAIR = p2wsh_script(sha256(PAIR))
P2WPKH = p2wpkh_script(ALICE.public_key.hash160)

KINDS = {
    "p2pk": (PUBKEY, {}, [ALICE]),
    "p2pkh": (p2pkh_script(ALICE.public_key.hash160), {}, [ALICE]),
    "p2wpkh": (P2WPKH, {}, [ALICE]),
    "p2sh-p2wpkh": (p2sh_script(hash160(P2WPKH)), {"redeemScript": P2WPKH.hex()}, [ALICE]),
    "p2tr": (p2tr_script(ALICE.public_key.taproot_output_key()), {}, [ALICE]),
    "rawtr": (p2tr_script(ALICE.public_key.x_only), {}, [ALICE]),
    "multisig": (PAIR, {}, [CAROL, ALICE]),
    "p2sh multisig": (p2sh_script(hash160(PAIR)), {"redeemScript": PAIR.hex()}, [ALICE, CAROL]),
    "p2wsh multisig": (NESTED_PAIR, {"witnessScript": PAIR.hex()}, [BOB, CAROL]),
    "p2sh-p2wsh multisig": (
        p2sh_script(hash160(NESTED_PAIR)),
        {"redeemScript": NESTED_PAIR.hex(), "witnessScript": PAIR.hex()},
        [ALICE, BOB],
    ),
}


def unsigned(rpc: Rpc, count: int = 1) -> str:
    inputs = [{"txid": f"{number:02x}" * 32, "vout": number} for number in range(1, count + 1)]
    raw = rpc.call("createrawtransaction", inputs, [{ADDRESS: "0.5"}])
    assert isinstance(raw, str)
    return raw


def prevout(script: bytes, extra: dict[str, str]) -> dict[str, object]:
    return {"txid": "01" * 32, "vout": 1, "scriptPubKey": script.hex(), "amount": 1, **extra}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sighash", ["ALL", "NONE|ANYONECANPAY", "SINGLE", "DEFAULT"])
def test_every_kind_of_output_is_signed(rpc: Rpc, kind: str, sighash: str) -> None:
    script, extra, keys = KINDS[kind]
    known = [prevout(script, extra)]
    signed = rpc.call("signrawtransactionwithkey", unsigned(rpc), list(map(wif, keys)), known, sighash)
    assert signed["complete"] is True, signed
    # To sign again changes nothing that matters: the signatures are found and kept.
    again = rpc.call("signrawtransactionwithkey", signed["hex"], [], known)
    assert (again["complete"], again["hex"]) == (True, signed["hex"])


@pytest.mark.parametrize("kind", ["multisig", "p2sh multisig", "p2wsh multisig", "p2sh-p2wsh multisig"])
def test_signatures_of_a_multisig_come_one_after_another(rpc: Rpc, kind: str) -> None:
    script, extra, keys = KINDS[kind]
    known = [prevout(script, extra)]
    first = rpc.call("signrawtransactionwithkey", unsigned(rpc), [wif(keys[0])], known)
    assert first["complete"] is False
    (error,) = first["errors"]
    assert (error["txid"], error["vout"]) == ("01" * 32, 1)
    second = rpc.call("signrawtransactionwithkey", first["hex"], [wif(keys[1])], known)
    assert second["complete"] is True


def test_a_wrong_key_and_an_unknown_coin_are_told(rpc: Rpc) -> None:
    script, extra, _ = KINDS["p2wpkh"]
    signed = rpc.call("signrawtransactionwithkey", unsigned(rpc, 2), [wif(BOB)], [prevout(script, extra)])
    assert signed["complete"] is False
    assert [error["error"] for error in signed["errors"]] == [
        "Witness program hash mismatch",
        "Input not found or already spent",
    ]


def test_variants_are_combined(rpc: Rpc, chain: Chain) -> None:
    coin = builders.output_of(chain.blocks[2].transactions[0], 0, ALICE)
    fund = builders.spend([coin], [builders.TxOut(4_999_999_000, NESTED_PAIR)])
    chain.view.add_to_pool(fund, 1_000)
    raw = rpc.call("createrawtransaction", [{"txid": fund.txid_hex, "vout": 0}], {ADDRESS: 1})
    known = [{"txid": fund.txid_hex, "vout": 0, "scriptPubKey": NESTED_PAIR.hex(), "witnessScript": PAIR.hex()}]
    halves = [rpc.call("signrawtransactionwithkey", raw, [wif(key)], known)["hex"] for key in (CAROL, ALICE)]
    whole = rpc.call("combinerawtransaction", halves)
    assert rpc.call("signrawtransactionwithkey", whole, [])["complete"] is True
    assert rpc.error("combinerawtransaction", []) == (-22, "Missing transactions")
    assert rpc.error("combinerawtransaction", [unsigned(rpc)]) == (-25, "Input not found or already spent")


def test_a_built_transaction_has_what_was_asked_for(rpc: Rpc) -> None:
    inputs = [{"txid": "ab" * 32, "vout": 1}, {"txid": "cd" * 32, "vout": 0, "sequence": 0}]
    raw = rpc.call("createrawtransaction", inputs, [{ADDRESS: "0.1"}, {"data": "00ff"}], 7, False, 3)
    tx = Transaction.parse(bytes.fromhex(raw))
    assert (tx.version, tx.lock_time) == (3, 7)
    assert [txin.sequence for txin in tx.inputs] == [0xFFFFFFFE, 0]
    assert [(out.value, out.script_pubkey.hex()[:6]) for out in tx.outputs] == [(10_000_000, "001475"), (0, "6a0200")]


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        (([{"txid": "ab"}], {}), -8, "txid must be of length 64"),
        (([{"txid": "ab" * 32}], {}), -8, "Invalid parameter, missing vout key"),
        (([{"txid": "ab" * 32, "vout": -1}], {}), -8, "Invalid parameter, vout cannot be negative"),
        (([{"txid": "ab" * 32, "vout": 0, "sequence": -1}], {}), -8, "Invalid parameter, sequence number"),
        (([], {"nowhere": 1}), -5, "Invalid Bitcoin address: nowhere"),
        (([], {ADDRESS: -1}), -3, "Amount out of range"),
        (([], {ADDRESS: True}), -3, "Amount is not a number or string"),
        (([], [{ADDRESS: 1}, {ADDRESS: 2}]), -8, "Invalid parameter, duplicated address: "),
        (([], [{"data": "00"}, {"data": "01"}]), -8, "Invalid parameter, duplicate key: data"),
        (([], [{"data": "x"}]), -8, "Data must be hexadecimal string (not 'x')"),
        (([], [{}]), -8, "Invalid parameter, key-value pair must contain exactly one key"),
        (([], ["x"]), -8, "Invalid parameter, key-value pair not an object as expected"),
        (([], None), -8, "Invalid parameter, output argument must be non-null"),
        (([], 5), -3, "JSON value of type number is not of expected type array"),
        (([1], {}), -3, "JSON value of type number is not of expected type object"),
        (([], {}, 1 << 32), -8, "Invalid parameter, locktime out of range"),
        (([], {}, 0, True, 4), -8, "Invalid parameter, version out of range(1~3)"),
        (
            ([{"txid": "ab" * 32, "vout": 0, "sequence": 0xFFFFFFFF}], {}, 0, True),
            -8,
            "Invalid parameter combination: Sequence number(s) contradict replaceable option",
        ),
    ],
)
def test_what_building_refuses(rpc: Rpc, params: Sequence[object], code: int, message: str) -> None:
    for method in ("createrawtransaction", "createpsbt"):
        found = rpc.error(method, *params)
        assert (found[0], found[1][: len(message)]) == (code, message)


@pytest.mark.parametrize(
    ("keys", "prevouts", "sighash", "code", "message"),
    [
        (["x"], [], None, -5, "Invalid private key"),
        ([1], [], None, -3, "JSON value of type number is not of expected type string"),
        ([], [{"txid": "01" * 32, "vout": 1, "scriptPubKey": "zz"}], None, -8, "scriptPubKey must be hexadecimal"),
        ([], [{"txid": "01" * 32, "vout": 1}], None, -3, "JSON value of type null is not of expected type string"),
        ([], [{"txid": "01" * 32, "vout": 1, "scriptPubKey": P2WPKH.hex()}], None, -3, "Missing amount for"),
        ([], [prevout(NESTED_PAIR, {"witnessScript": "51"})], None, -8, "redeemScript/witnessScript does not match"),
        ([], [], "MOST", -8, "'MOST' is not a valid sighash parameter."),
    ],
)
def test_what_signing_refuses(
    rpc: Rpc, keys: list[object], prevouts: list[object], sighash: str | None, code: int, message: str
) -> None:
    found = rpc.error("signrawtransactionwithkey", unsigned(rpc), keys, prevouts, sighash)
    assert (found[0], found[1][: len(message)]) == (code, message)


def test_scripts_are_decoded_with_what_wraps_them(rpc: Rpc) -> None:
    shown = rpc.call("decodescript", PUBKEY.hex())
    assert shown["type"] == "pubkey"
    assert shown["segwit"]["hex"] == P2WPKH.hex()
    assert shown["segwit"]["p2sh-segwit"] == rpc.call("decodescript", P2WPKH.hex())["p2sh"]
    assert rpc.call("decodescript", PAIR.hex())["segwit"]["hex"] == NESTED_PAIR.hex()
    assert "p2sh" not in rpc.call("decodescript", "6a")
    assert rpc.call("decodescript", "")["type"] == "nonstandard"
    assert rpc.error("decodescript", "x") == (-8, "argument must be hexadecimal string (not 'x')")


def test_a_psbt_from_its_creation_to_its_transaction(rpc: Rpc, chain: Chain) -> None:
    coin = builders.output_of(chain.blocks[2].transactions[0], 0, ALICE)
    fund = builders.spend([coin], [builders.TxOut(4_999_999_000, NESTED_PAIR)])
    chain.view.add_to_pool(fund, 1_000)
    inputs = [{"txid": fund.txid_hex, "vout": 0, "sequence": 0}]
    created = rpc.call("createpsbt", inputs, {ADDRESS: 49})
    keys = ",".join(key.public_key.compressed.hex() for key in (ALICE, BOB, CAROL))
    updated = rpc.call("utxoupdatepsbt", created, [f"wsh(multi(2,{keys}))"])
    shown = rpc.call("decodepsbt", updated)
    assert shown["fee"] == Decimal("0.99999000")
    assert shown["inputs"][0]["witness_script"]["hex"] == PAIR.hex()
    assert shown["inputs"][0]["non_witness_utxo"]["txid"] == fund.txid_hex
    assert shown["tx"]["vin"][0]["sequence"] == 0
    # Two signers, each with the transaction's raw form; their signatures go into PSBTs of their own.
    raw = Psbt.decode(updated).tx
    known = [{"txid": fund.txid_hex, "vout": 0, "scriptPubKey": NESTED_PAIR.hex(), "witnessScript": PAIR.hex()}]
    halves = []
    for key in (BOB, CAROL):
        signed = rpc.call("signrawtransactionwithkey", raw.serialize().hex(), [wif(key)], known)["hex"]
        witness = Transaction.parse(bytes.fromhex(signed)).inputs[0].witness
        psbt = Psbt.decode(updated)
        psbt.inputs[0][bytes([In.PARTIAL_SIG]) + key.public_key.compressed] = next(item for item in witness if item)
        halves.append(psbt.encode())
    assert rpc.call("finalizepsbt", halves[0])["complete"] is False
    combined = rpc.call("combinepsbt", halves)
    assert len(rpc.call("decodepsbt", combined)["inputs"][0]["partial_signatures"]) == 2
    kept = rpc.call("finalizepsbt", combined, False)
    assert kept["complete"] is True
    assert "final_scriptwitness" in rpc.call("decodepsbt", kept["psbt"])["inputs"][0]
    final = rpc.call("finalizepsbt", combined)
    assert rpc.call("signrawtransactionwithkey", final["hex"], [])["complete"] is True
    assert rpc.call("finalizepsbt", kept["psbt"]) == final


def test_another_library_reads_our_psbt(rpc: Rpc) -> None:
    created = rpc.call("createpsbt", [{"txid": "ab" * 32, "vout": 3}], {ADDRESS: 1})
    other = PSBT.from_string(created)
    assert other.to_string() == created
    assert (other.inputs[0].vout, other.outputs[0].value) == (3, 100_000_000)


def test_a_raw_transaction_becomes_a_psbt(rpc: Rpc, chain: Chain) -> None:
    raw = chain.payment.serialize().hex()
    message = "Inputs must not have scriptSigs and scriptWitnesses"
    assert rpc.error("converttopsbt", raw) == (-22, message)
    assert rpc.call("decodepsbt", rpc.call("converttopsbt", raw, True))["tx"]["txid"] == chain.payment.txid_hex
    assert rpc.error("converttopsbt", "00")[0] == -22


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("decodepsbt", ("!",), -22, "TX decode failed invalid base64"),
        ("decodepsbt", ("AAAAAAAA",), -22, "TX decode failed Invalid PSBT magic bytes"),
        ("decodepsbt", ("cHNidP8A",), -22, "TX decode failed No unsigned transaction was provided"),
        ("decodepsbt", ("cHNidP8B",), -22, "TX decode failed PSBT key"),
        ("combinepsbt", ([],), -8, "Parameter 'txs' cannot be empty"),
        ("combinepsbt", ([1],), -3, "JSON value of type number is not of expected type string"),
        ("finalizepsbt", ("x",), -22, "TX decode failed"),
        ("utxoupdatepsbt", ("x",), -22, "TX decode failed"),
    ],
)
def test_what_psbt_methods_refuse(rpc: Rpc, method: str, params: Sequence[object], code: int, message: str) -> None:
    found = rpc.error(method, *params)
    assert (found[0], found[1][: len(message)]) == (code, message)


def test_psbts_of_different_transactions_do_not_combine(rpc: Rpc) -> None:
    psbts = [rpc.call("createpsbt", [{"txid": "ab" * 32, "vout": vout}], {}) for vout in (0, 1)]
    assert rpc.error("combinepsbt", psbts) == (-8, "PSBTs not compatible (different transactions)")

"""Transactions looked up, decoded, tested and sent."""

from __future__ import annotations

from decimal import Decimal

import pytest

from shared.bus.events import Failure, TxSubmitted, TxVerdict, TxVerdicts
from shared.errors import RequestTimeout
from shared.primitives.transaction import Transaction, TxIn, TxOut
from tests import builders
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.rpc.conftest import ALICE, BOB, FEE, Chain, Rpc, parse, refused, verdicts

GENESIS_TX = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
UNKNOWN = "22" * 32
TOO_EXPENSIVE = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"


@pytest.fixture
def tx(chain: Chain) -> Transaction:
    """A payment that could be sent."""
    return builders.pay(builders.output_of(chain.payment, 0, BOB), ALICE, 400_000_000, FEE)


def raw(tx: Transaction) -> str:
    return tx.serialize().hex()


# ── getrawtransaction ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_transaction_as_hex(rpc: Rpc, chain: Chain) -> None:
    for level in (0, False, None):
        assert rpc.call("getrawtransaction", chain.payment.txid_hex, level) == raw(chain.payment)


def test_a_confirmed_transaction_in_full(rpc: Rpc, chain: Chain) -> None:
    payment, block = chain.payment, chain.blocks[3]
    shown = rpc.call("getrawtransaction", payment.txid_hex, 1)
    witness = payment.inputs[0].witness
    to_bob = shown["vout"][0]["scriptPubKey"]
    assert shown == {
        "txid": payment.txid_hex,
        "hash": payment.wtxid_hex,
        "version": 2,
        "size": payment.size,
        "vsize": payment.vsize,
        "weight": payment.weight,
        "locktime": 0,
        "vin": [
            {
                "txid": chain.blocks[1].transactions[0].txid_hex,
                "vout": 0,
                "scriptSig": {"asm": "", "hex": ""},
                "txinwitness": [item.hex() for item in witness],
                "sequence": 0xFFFFFFFD,
            }
        ],
        "vout": [
            {"value": Decimal("10.00000000"), "n": 0, "scriptPubKey": to_bob},
            {"value": Decimal("39.99998766"), "n": 1, "scriptPubKey": shown["vout"][1]["scriptPubKey"]},
        ],
        "hex": raw(payment),
        "blockhash": block.hash_hex,
        "confirmations": 1,
        "time": block.header.time,
        "blocktime": block.header.time,
    }
    assert list(to_bob) == ["asm", "desc", "hex", "address", "type"]
    assert to_bob["address"].startswith("bcrt1q")
    assert to_bob["desc"].startswith(f"addr({to_bob['address']})#")


def test_verbosity_2_has_fee_and_prevouts(rpc: Rpc, chain: Chain) -> None:
    shown = rpc.call("getrawtransaction", chain.payment.txid_hex, 2)
    assert shown["fee"] == Decimal("0.00001234")
    assert shown["vin"][0]["prevout"]["value"] == Decimal("50.00000000")


def test_an_unconfirmed_transaction_has_no_block(rpc: Rpc, chain: Chain, tx: Transaction) -> None:
    chain.view.add_to_pool(tx, FEE)
    for level in (1, 2):
        shown = rpc.call("getrawtransaction", tx.txid_hex, level)
        assert shown["hex"] == raw(tx)
        assert not {"blockhash", "confirmations", "time", "fee"} & set(shown)


def test_a_transaction_of_the_block_given(rpc: Rpc, chain: Chain) -> None:
    shown = rpc.call("getrawtransaction", chain.payment.txid_hex, 2, chain.blocks[3].hash_hex)
    assert next(iter(shown.items())) == ("in_active_chain", True)
    assert shown["fee"] == Decimal("0.00001234")
    assert rpc.call("getrawtransaction", chain.payment.txid_hex, 0, chain.blocks[3].hash_hex) == raw(chain.payment)


def test_a_transaction_of_a_block_off_the_best_chain(rpc: Rpc, chain: Chain) -> None:
    side = builders.make_block(chain.blocks[2].header, 3, builders.p2wpkh(BOB), [chain.payment], tag=b"side")
    chain.view.add_side_block(side, 3)
    shown = rpc.call("getrawtransaction", chain.payment.txid_hex, 2, side.hash_hex)
    assert (shown["in_active_chain"], shown["confirmations"]) == (False, 0)
    assert not {"time", "blocktime", "fee"} & set(shown)  # its coins were never looked up


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        (["12"], -8, "parameter 1 must be of length 64 (not 2, for '12')"),
        ([UNKNOWN, 0, "12"], -8, "parameter 3 must be of length 64 (not 2, for '12')"),
        ([UNKNOWN, 0, UNKNOWN], -5, "Block hash not found"),
        (
            [UNKNOWN],
            -5,
            "No such mempool or blockchain transaction. Use gettransaction for wallet transactions.",
        ),
        (
            [UNKNOWN, 0, "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"],
            -5,
            "No such transaction found in the provided block. Use gettransaction for wallet transactions.",
        ),
        (
            [GENESIS_TX],
            -5,
            "The genesis block coinbase is not considered an ordinary transaction and cannot be retrieved",
        ),
        ([UNKNOWN, "1"], -3, "JSON value of type string is not of expected type number"),
    ],
)
def test_looking_up_what_is_not_there(rpc: Rpc, params: list[object], code: int, message: str) -> None:
    assert rpc.error("getrawtransaction", *params) == (code, message)


# ── decoderawtransaction ────────────────────────────────────────────────────────────────────────────────────────


def test_decoding_shows_the_fields_without_the_hex(rpc: Rpc, tx: Transaction) -> None:
    shown = rpc.call("decoderawtransaction", raw(tx))
    assert shown["txid"] == tx.txid_hex
    assert "hex" not in shown
    assert rpc.call("decoderawtransaction", raw(tx), True) == shown


@pytest.mark.parametrize("text", ["", "00", "zz", "0 0", "02000000000000000000"])
def test_what_is_no_transaction_does_not_decode(rpc: Rpc, text: str) -> None:
    assert rpc.error("decoderawtransaction", text) == (-22, "TX decode failed")


def test_a_witness_may_be_ruled_out(rpc: Rpc, tx: Transaction) -> None:
    assert rpc.error("decoderawtransaction", raw(tx), False) == (-22, "TX decode failed")
    assert rpc.call("decoderawtransaction", tx.serialize(include_witness=False).hex(), False)["txid"] == tx.txid_hex


def test_a_signature_in_a_script_sig_shows_its_hash_type(rpc: Rpc, tx: Transaction) -> None:
    signature = tx.inputs[0].witness[0]
    script_sig = bytes([len(signature)]) + signature
    legacy = Transaction(2, (TxIn(tx.inputs[0].prevout, script_sig),), tx.outputs)
    shown = rpc.call("decoderawtransaction", raw(legacy))
    assert shown["vin"][0]["scriptSig"]["asm"] == signature[:-1].hex() + "[ALL]"


# ── sendrawtransaction ──────────────────────────────────────────────────────────────────────────────────────────


def test_sending_submits_the_bytes_and_returns_the_txid(rpc: Rpc, broker: FakeBroker, tx: Transaction) -> None:
    broker.answers[TxSubmitted] = verdicts(accepted=True, fee=FEE, vsize=tx.vsize)
    assert rpc.call("sendrawtransaction", raw(tx)) == tx.txid_hex
    assert broker.published == [TxSubmitted(txs=(raw(tx),), max_feerate=10_000_000)]


@pytest.mark.parametrize(("given", "limit"), [(0, None), ("0.00001", 1_000), (0.5, 50_000_000)])
def test_the_feerate_limit_travels_with_it(
    rpc: Rpc, broker: FakeBroker, tx: Transaction, given: object, limit: int | None
) -> None:
    broker.answers[TxSubmitted] = verdicts(accepted=True)
    rpc.call("sendrawtransaction", raw(tx), given)
    assert broker.published == [TxSubmitted(txs=(raw(tx),), max_feerate=limit)]


@pytest.mark.parametrize(
    ("reason", "detail", "code", "message"),
    [
        ("bad-txns-inputs-missingorspent", "input 0", -25, "bad-txns-inputs-missingorspent"),
        ("max-fee-exceeded", "2 > 1", -25, TOO_EXPENSIVE),
        ("max feerate exceeded", "", -25, TOO_EXPENSIVE),
        ("txn-already-known", "", -27, "Transaction outputs already in utxo set"),
        ("min relay fee not met", "0 < 15", -26, "min relay fee not met, 0 < 15"),
        ("insufficient fee", "rejecting", -26, "insufficient fee, rejecting"),
        (
            "mempool-script-verify-flag-failed (Invalid Schnorr signature)",
            "input 0",
            -26,
            "mempool-script-verify-flag-failed (Invalid Schnorr signature), input 0",
        ),
    ],
)
def test_a_refusal_has_bitcoinds_code_and_message(
    rpc: Rpc, broker: FakeBroker, tx: Transaction, reason: str, detail: str, code: int, message: str
) -> None:
    broker.answers[TxSubmitted] = refused(reason, detail)
    assert rpc.error("sendrawtransaction", raw(tx)) == (code, message)


@pytest.mark.parametrize("reason", ["txn-already-in-mempool", "txn-same-nonwitness-data-in-mempool"])
def test_sending_again_what_is_in_the_pool_succeeds(rpc: Rpc, broker: FakeBroker, tx: Transaction, reason: str) -> None:
    broker.answers[TxSubmitted] = refused(reason)
    assert rpc.call("sendrawtransaction", raw(tx)) == tx.txid_hex


@pytest.mark.parametrize("text", ["", "00", "xyz", "02000000000000000000"])
def test_undecodable_bytes_never_reach_the_bus(rpc: Rpc, broker: FakeBroker, text: str) -> None:
    message = "TX decode failed. Make sure the tx has at least one input."
    assert rpc.error("sendrawtransaction", text) == (-22, message)
    assert broker.published == []


@pytest.mark.parametrize("script", [b"\x6a\x01x", b"\x05abc", b"\xba", b"\x4d\x09\x02" + bytes(521)])
def test_burning_coins_needs_consent(rpc: Rpc, broker: FakeBroker, chain: Chain, script: bytes) -> None:
    broker.answers[TxSubmitted] = verdicts(accepted=True)
    coin = builders.output_of(chain.payment, 0, BOB)
    tx = builders.spend([coin], [TxOut(1_000, script)])
    message = "Unspendable output exceeds maximum configured by user (maxburnamount)"
    assert rpc.error("sendrawtransaction", raw(tx), 0, "0.00000999") == (-25, message)
    assert rpc.error("sendrawtransaction", raw(tx), 0) == (-25, message)
    assert broker.published == []
    assert rpc.call("sendrawtransaction", raw(tx), 0, "0.00001000") == tx.txid_hex


@pytest.mark.parametrize(
    ("limit", "code", "message"),
    [
        (1, -8, "Fee rates larger than or equal to 1BTC/kvB are not accepted"),
        (-0.1, -3, "Amount out of range"),
        ("x", -3, "Invalid amount"),
        ([], -3, "Amount is not a number or string"),
    ],
)
def test_a_bad_feerate_limit_is_refused(rpc: Rpc, tx: Transaction, limit: object, code: int, message: str) -> None:
    assert rpc.error("sendrawtransaction", raw(tx), limit) == (code, message)


def test_the_broker_away_is_a_state_that_passes(rpc: Rpc, broker: FakeBroker, tx: Transaction) -> None:
    broker.away = True
    assert rpc.error("sendrawtransaction", raw(tx))[0] == -28


def test_no_answer_in_time_says_that_the_outcome_is_open(rpc: Rpc, broker: FakeBroker, tx: Transaction) -> None:
    def never(message: TxSubmitted) -> TxVerdicts:
        raise RequestTimeout("no answer")

    broker.answers[TxSubmitted] = never
    code, message = rpc.error("sendrawtransaction", raw(tx))
    assert code == -1
    assert "may still take effect" in message


def test_a_failure_behind_the_bus_is_an_internal_error(rpc: Rpc, broker: FakeBroker, tx: Transaction) -> None:
    broker.answers[TxSubmitted] = lambda message: Failure(error="broken")
    assert rpc.error("sendrawtransaction", raw(tx)) == (-32603, "broken")


def test_an_unforeseen_failure_is_logged_and_answered(
    rpc: Rpc, broker: FakeBroker, tx: Transaction, caplog: pytest.LogCaptureFixture
) -> None:
    broker.answers[TxSubmitted] = lambda message: TxVerdicts(verdicts=(None,))  # type: ignore[arg-type]
    code, message = rpc.error("sendrawtransaction", raw(tx))
    assert (code, "log" in message) == (-32603, True)
    assert "Traceback" in caplog.text
    assert rpc.call("getblockcount") == 3


# ── batches of submissions ──────────────────────────────────────────────────────────────────────────────────────


class CountingBroker(FakeBroker):
    """Notes how many requests went out together."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds: list[int] = []

    async def ask_many(self, messages: object, timeout: float, ids: object = ()) -> object:  # type: ignore[override]
        self.rounds.append(len(messages))  # type: ignore[arg-type]
        return await super().ask_many(messages, timeout)  # type: ignore[arg-type]


class TestBatches:
    """Neighbouring submissions go out together, in order."""

    @pytest.fixture
    def broker(self) -> CountingBroker:
        return CountingBroker()

    @staticmethod
    def send(*raws: str) -> list[dict[str, object]]:
        return [{"method": "sendrawtransaction", "params": [text], "id": place} for place, text in enumerate(raws)]

    def test_neighbours_are_published_together_and_answered_in_order(
        self, rpc: Rpc, broker: CountingBroker, chain: Chain, tx: Transaction
    ) -> None:
        broker.answers[TxSubmitted] = verdicts(accepted=True)
        sent = [raw(tx), "junk", raw(chain.payment)]
        replies = parse(rpc.post(self.send(*sent)).data)
        assert broker.rounds == [2]
        assert [message.txs for message in broker.published] == [(sent[0],), (sent[2],)]  # type: ignore[attr-defined]
        assert [reply["id"] for reply in replies] == [0, 1, 2]
        assert [reply["result"] for reply in replies] == [tx.txid_hex, None, chain.payment.txid_hex]
        assert replies[1]["error"]["code"] == -22

    def test_a_call_between_them_sees_the_effect_of_those_before_it(
        self, rpc: Rpc, broker: CountingBroker, chain: Chain, tx: Transaction
    ) -> None:
        def accept(message: TxSubmitted) -> TxVerdicts:
            chain.view.add_to_pool(tx, FEE)
            return verdicts(accepted=True)(message)

        broker.answers[TxSubmitted] = accept
        ask = {"method": "getrawmempool", "id": "pool"}
        replies = parse(rpc.post([ask, *self.send(raw(tx)), ask, *self.send(raw(tx))]).data)
        assert broker.rounds == [1, 1]
        assert [reply["result"] for reply in replies] == [[], tx.txid_hex, [tx.txid_hex], tx.txid_hex]

    def test_one_that_cannot_be_handled_does_not_fail_the_others(
        self, rpc: Rpc, broker: CountingBroker, chain: Chain, tx: Transaction
    ) -> None:
        def answer(message: TxSubmitted) -> TxVerdicts | Failure:
            return Failure(error="broken") if message.txs == (raw(tx),) else verdicts(accepted=True)(message)

        broker.answers[TxSubmitted] = answer
        replies = parse(rpc.post(self.send(raw(chain.payment), raw(tx))).data)
        assert replies[0]["result"] == chain.payment.txid_hex
        assert replies[1]["error"] == {"code": -32603, "message": "broken"}


# ── testmempoolaccept ───────────────────────────────────────────────────────────────────────────────────────────


def test_what_would_be_accepted(rpc: Rpc, broker: FakeBroker, tx: Transaction) -> None:
    broker.answers[TxSubmitted] = verdicts(accepted=True, fee=FEE, vsize=141)
    assert rpc.call("testmempoolaccept", [raw(tx)]) == [
        {
            "txid": tx.txid_hex,
            "wtxid": tx.wtxid_hex,
            "allowed": True,
            "vsize": 141,
            "fees": {
                "base": Decimal("0.00001234"),
                "effective-feerate": Decimal("0.00008751"),
                "effective-includes": [tx.wtxid_hex],
            },
        }
    ]
    assert broker.published == [TxSubmitted(txs=(raw(tx),), test_only=True)]


@pytest.mark.parametrize(
    ("reason", "detail", "shown"),
    [
        ("bad-txns-inputs-missingorspent", "input 0", {"reject-reason": "missing-inputs"}),
        (
            "min relay fee not met",
            "0 < 15",
            {"reject-reason": "min relay fee not met", "reject-details": "min relay fee not met, 0 < 15"},
        ),
        ("txn-already-known", "", {"reject-reason": "txn-already-known", "reject-details": "txn-already-known"}),
    ],
)
def test_what_would_be_refused(
    rpc: Rpc, broker: FakeBroker, tx: Transaction, reason: str, detail: str, shown: dict[str, str]
) -> None:
    broker.answers[TxSubmitted] = refused(reason, detail)
    expected = {"txid": tx.txid_hex, "wtxid": tx.wtxid_hex, "allowed": False, **shown}
    assert rpc.call("testmempoolaccept", [raw(tx)]) == [expected]


def test_nothing_is_said_of_what_follows_a_fee_over_the_limit(
    rpc: Rpc, broker: FakeBroker, chain: Chain, tx: Transaction
) -> None:
    broker.answers[TxSubmitted] = verdicts(accepted=True, fee=1_411, vsize=141)
    first, second = rpc.call("testmempoolaccept", [raw(chain.payment), raw(tx)], "0.00010000")
    assert (first["allowed"], first["reject-reason"]) == (False, "max-fee-exceeded")
    assert second == {"txid": tx.txid_hex, "wtxid": tx.wtxid_hex}


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ([[]], -8, "Array must contain between 1 and 25 transactions."),
        ([["00"] * 26], -8, "Array must contain between 1 and 25 transactions."),
        ([["00"]], -22, "TX decode failed: 00 Make sure the tx has at least one input."),
        ([[7]], -3, "JSON value of type number is not of expected type string"),
    ],
)
def test_bad_packages(rpc: Rpc, params: list[object], code: int, message: str) -> None:
    assert rpc.error("testmempoolaccept", *params) == (code, message)


def test_a_verdict_without_a_fee_is_an_internal_error(rpc: Rpc, broker: FakeBroker, tx: Transaction) -> None:
    broker.answers[TxSubmitted] = lambda message: TxVerdicts(
        verdicts=(TxVerdict(txid=tx.txid_hex, wtxid=tx.wtxid_hex, accepted=True),)
    )
    assert rpc.error("testmempoolaccept", [raw(tx)])[0] == -32603

import pytest

from services.explorer.api.submit import submit
from services.explorer.errors import RequestError
from shared.bus.events import Failure, TxSubmitted, TxVerdict, TxVerdicts
from shared.errors import BrokerUnavailable, RequestFailed
from shared.policy import DEFAULT_MAX_FEERATE
from shared.primitives.transaction import OutPoint, TxOut
from shared.process.waiting import run
from tests.builders import Spendable, key, p2wpkh, pay
from tests.unit.bus.fake_broker import FakeBroker

ALICE = key("alice")
TX = pay(Spendable(OutPoint(b"\x01" * 32, 0), TxOut(100_000, p2wpkh(ALICE)), ALICE), key("bob"), 50_000)


def verdict(**fields) -> TxVerdict:
    return TxVerdict(txid=TX.txid_hex, wtxid=TX.wtxid_hex, **fields)


@pytest.fixture
def broker():
    broker = FakeBroker()
    broker.answers[TxSubmitted] = lambda message: TxVerdicts(verdicts=(verdict(accepted=True),))
    return broker


def test_an_accepted_transaction_gives_its_txid(broker):
    assert run(submit(broker, f" {TX.serialize().hex()}\n")) == TX.txid_hex
    assert broker.published == [TxSubmitted(txs=(TX.serialize().hex(),), max_feerate=DEFAULT_MAX_FEERATE)]


@pytest.mark.parametrize("reason", ["txn-already-in-mempool", "txn-same-nonwitness-data-in-mempool"])
def test_one_that_is_in_the_pool_already_is_a_success(broker, reason):
    broker.answers[TxSubmitted] = lambda message: TxVerdicts(verdicts=(verdict(accepted=False, reason=reason),))
    assert run(submit(broker, TX.serialize().hex())) == TX.txid_hex


@pytest.mark.parametrize(
    ("reason", "detail", "text"),
    [
        ("min relay fee not met", "0 < 141", "-26: min relay fee not met, 0 < 141"),
        ("replacement-failed", "why", "-26: replacement-failed, why"),
        ("missing-inputs", "", "-25: bad-txns-inputs-missingorspent"),
        ("bad-txns-inputs-missingorspent", "", "-25: bad-txns-inputs-missingorspent"),
        ("txn-already-known", "", "-27: Transaction outputs already in utxo set"),
        ("max-fee-exceeded", "9 > 8", "-25: Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"),
    ],
)
def test_a_refusal_reads_as_bitcoinds(broker, reason, detail, text):
    refused = verdict(accepted=False, reason=reason, detail=detail)
    broker.answers[TxSubmitted] = lambda message: TxVerdicts(verdicts=(refused,))
    with pytest.raises(RequestError) as caught:
        run(submit(broker, TX.serialize().hex()))
    assert (caught.value.status, caught.value.message) == (400, f"sendrawtransaction RPC error {text}")


@pytest.mark.parametrize(
    "raw", ["", "zz", "00", TX.serialize().hex()[:-2], TX.serialize().hex() + "00", "02" + "0" * 18]
)
def test_what_is_no_transaction_is_refused_before_anyone_is_asked(broker, raw):
    with pytest.raises(RequestError, match=r"RPC error -22: TX decode failed") as caught:
        run(submit(broker, raw))
    assert caught.value.status == 400
    assert broker.published == []


def test_a_broker_that_is_away_is_not_the_senders_fault(broker):
    broker.away = True
    with pytest.raises(BrokerUnavailable):
        run(submit(broker, TX.serialize().hex()))


def test_a_failed_request_is_not_a_verdict(broker):
    broker.answers[TxSubmitted] = lambda message: Failure(error="crashed")
    with pytest.raises(RequestFailed):
        run(submit(broker, TX.serialize().hex()))

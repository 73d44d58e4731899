"""One graph of the pool: explorer, RPC and template judge every family of transactions alike."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction

import pytest
import redis as redis_py
from flask.testing import FlaskClient

from services.explorer.pages.template_filters import rate_text
from services.mempool.mining.select_txs import select_txs
from services.mempool.mining.work_templates import WorkTemplates
from services.mempool.rpc.app import create_rpc_app
from services.mempool.rpc.server.auth import Credentials
from services.mempool.state import NodeState
from shared.bus.events import TemplateRequested
from shared.chain.pool_snapshot import read_cluster, read_pool
from shared.chain.redis_keys import Keys
from shared.chain.store import connect
from shared.config import Settings
from shared.consensus.params import REGTEST
from shared.policy import MAX_CLUSTER_COUNT
from shared.primitives.hex import display_hash
from shared.primitives.transaction import Transaction, TxOut
from shared.process.shutdown import ExitFlag
from tests.builders import Spendable, output_of, p2wpkh, spend
from tests.integration.explorer.chain import TestChain
from tests.integration.explorer.conftest import ALICE, client_for
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.rpc.conftest import PASSWORD, USER, Rpc

OUTPUTS = 6

Row = tuple[int, tuple[int, ...]]
"""Fee in satoshis, and the numbers of the parents."""

FAMILIES: dict[str, Sequence[Row]] = {
    "one alone": [(500, ())],
    "two children pay for a parent": [(100, ()), (1_000, (0,)), (1_000, (0,))],
    "a poor child": [(2_000, ()), (150, (0,))],
    "equal feerates": [(300, ()), (300, (0,)), (300, (0,))],
    "a grandchild pays for all": [(150, ()), (150, (0,)), (150, (0,)), (9_000, (1, 2))],
    "two parents, one that pays": [(5_000, ()), (150, ()), (2_000, (0, 1))],
    "many": [(seed.randint(150, 5_000), tuple({seed.randrange(n) for _ in range(2)}) if n else ())
             for seed in [random.Random(5)] for n in range(12)],
}  # fmt: skip


@pytest.fixture
def chain(redis: redis_py.Redis) -> TestChain:
    return TestChain(redis)


@pytest.fixture
def explorer(chain: TestChain) -> FlaskClient:
    return client_for(chain.view, FakeBroker())


@pytest.fixture
def rpc_broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def rpc(chain: TestChain, rpc_broker: FakeBroker) -> Rpc:
    app = create_rpc_app(Settings(), REGTEST, chain.view, rpc_broker, Credentials(USER, PASSWORD), {}, ExitFlag())
    return Rpc(app.test_client())


def load_node(redis_url: str) -> NodeState:
    """The state of a writer that starts now."""
    node = NodeState(connect(redis_url), Keys(REGTEST.name), REGTEST)
    node.load(1)
    return node


def put(chain: TestChain, rows: Sequence[Row]) -> list[Transaction]:
    """Put a family into the pool: each has six outputs, and spends one of each parent, or a mined coin."""
    txs: list[Transaction] = []
    free: list[list[Spendable]] = []
    for fee, parents in rows:
        mined = [] if parents else [output_of(chain.mine(ALICE).transactions[0], 0, ALICE)]
        coins = mined + [free[parent].pop() for parent in parents]
        share = (sum(coin.output.value for coin in coins) - fee) // OUTPUTS
        rest = sum(coin.output.value for coin in coins) - fee - share * (OUTPUTS - 1)
        tx = spend(coins, [TxOut(value, p2wpkh(ALICE)) for value in (rest, *[share] * (OUTPUTS - 1))])
        txs.append(tx)
        free.append([output_of(tx, vout, ALICE) for vout in range(OUTPUTS)])
        chain.pool_add(tx)
    return txs


@pytest.mark.parametrize("name", FAMILIES)
def test_every_door_judges_a_family_alike(
    chain: TestChain, explorer: FlaskClient, rpc: Rpc, rpc_broker: FakeBroker, redis_url: str, name: str
) -> None:
    txs = put(chain, FAMILIES[name])
    entries = {tx.txid: rpc.call("getmempoolentry", tx.txid_hex) for tx in txs}
    assert rpc.call("getrawmempool", True) == {display_hash(txid): entry for txid, entry in entries.items()}
    pool = read_pool(chain.view)
    for tx in txs:
        entry, shown = entries[tx.txid], explorer.get(f"/api/v1/cpfp/{tx.txid_hex}").json
        chunk = pool.chunk(tx.txid)
        assert (entry["chunkweight"], entry["fees"]["chunk"] * 10**8) == (chunk.size, chunk.fee)
        vsize = sum(pool.txs[txid].entry.vsize for txid in chunk.txids)
        assert shown["effectiveFeePerVsize"] == chunk.fee / vsize
        assert {item["txid"] for item in shown["ancestors"]} == set(rpc.call("getmempoolancestors", tx.txid_hex))
        assert {item["txid"] for item in shown["descendants"]} == set(rpc.call("getmempooldescendants", tx.txid_hex))
        related = {"ancestors": "getmempoolancestors", "descendants": "getmempooldescendants"}
        for kind, method in related.items():
            detailed = rpc.call(method, tx.txid_hex, True)
            assert detailed == {item["txid"]: entries[bytes.fromhex(item["txid"])[::-1]] for item in shown[kind]}
        if shown["ancestors"] or shown["descendants"]:
            page = explorer.get(f"/tx/{tx.txid_hex}", headers={"Accept": "text/html"}).text
            [rate] = [line for line in page.splitlines() if "Effective feerate" in line]
            assert f">{rate_text(chunk.fee / vsize)} <" in rate
    node = load_node(redis_url)
    order = [record.txid for record in select_txs(node.pool)]
    rates = [Fraction(pool.chunk(txid).fee, pool.chunk(txid).size) for txid in order]
    assert rates == sorted(rates, reverse=True)
    rpc_broker.answers[TemplateRequested] = lambda _: WorkTemplates(node).template()
    template = rpc.call("getblocktemplate", {"rules": ["segwit"]})
    assert [tx["txid"] for tx in template["transactions"]] == [display_hash(txid) for txid in order]


def test_a_parent_that_two_children_pay_for_shows_their_feerate(chain: TestChain, explorer: FlaskClient) -> None:
    txs = put(chain, FAMILIES["two children pay for a parent"])
    together = 2_100 / sum(tx.vsize for tx in txs)
    for tx in txs:
        assert explorer.get(f"/api/v1/cpfp/{tx.txid_hex}").json["effectiveFeePerVsize"] == together


def test_a_cluster_is_read_in_few_steps_and_one_alone_in_four(
    chain: TestChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    for name in ("present", "spends", "prioritised"):
        original = getattr(chain.view.pool, name)
        monkeypatch.setattr(
            chain.view.pool, name, lambda *args, name=name, original=original: (steps.append(name), original(*args))[1]
        )
    [alone] = put(chain, [(500, ())])
    assert read_cluster(chain.view, alone.txid).txs.keys() == {alone.txid}
    assert len(steps) <= 4
    steps.clear()
    txs = put(chain, [(500, (number - 1,) if number else ()) for number in range(9)])
    assert read_cluster(chain.view, txs[4].txid).txs.keys() == {tx.txid for tx in txs}
    assert len(steps) <= 2 * (4 + 2) + 1, "both ways at once"


def test_nothing_is_read_of_a_transaction_that_is_not_in_the_pool(chain: TestChain) -> None:
    block = chain.mine(ALICE)
    assert read_cluster(chain.view, block.transactions[0].txid).txs == {}
    assert read_cluster(chain.view, bytes(32)).txs == {}


def test_of_a_cluster_that_is_too_large_all_that_a_transaction_tells_of_is_read(chain: TestChain, rpc: Rpc) -> None:
    """A reorganisation may leave one: here a chain, each with a second child that has nothing to do with the last."""
    length = 2 * MAX_CLUSTER_COUNT + 20
    rows: list[Row] = [(500, ())]
    for number in range(length):
        rows += [(500, (2 * number,)), (500, (2 * number,))]
    txs = put(chain, rows)
    trunk = [tx.txid for tx in txs[::2]]
    found = read_cluster(chain.view, trunk[-1])
    assert found.graph.ancestors([trunk[-1]]) == set(trunk)
    assert len(found.txs) < len(txs)
    assert trunk[-1] in found.chunk(trunk[-1]).txids
    assert rpc.call("getmempoolentry", display_hash(trunk[-1]))["ancestorcount"] == length + 1
    assert rpc.call("getmempoolentry", display_hash(trunk[0]))["descendantcount"] == len(txs)

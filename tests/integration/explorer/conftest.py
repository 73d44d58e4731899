"""The explorer's application over a real Redis that holds a small chain, with a broker in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import redis as redis_py
from flask.testing import FlaskClient

from services.explorer.app import create_explorer
from shared.bus.events import TemplateTx, WorkTemplate
from shared.chain.store import connect
from shared.chain.view import ChainView
from shared.config import Settings
from shared.consensus.params import REGTEST
from shared.crypto.address import encode_address
from shared.crypto.keys import PrivateKey
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction, TxOut
from tests.builders import Spendable, key, output_of, p2wpkh, pay, spend
from tests.integration.explorer.chain import TestChain
from tests.unit.bus.fake_broker import FakeBroker

ALICE, BOB, CAROL = key("alice"), key("bob"), key("carol")
COIN = 100_000_000


TEMPLATE = WorkTemplate(
    capabilities=("proposal",),
    version=0x20000000,
    rules=("csv", "!segwit", "taproot"),
    vbavailable={},
    vbrequired=0,
    previousblockhash="ab" * 32,
    transactions=(TemplateTx(data="00", txid="cd" * 32, hash="ef" * 32, depends=(), fee=1, sigops=1, weight=400),),
    coinbaseaux={},
    coinbasevalue=50 * COIN,
    longpollid="ab" * 32 + "7",
    target="7f" + "ff" * 31,
    mintime=1,
    mutable=("time", "transactions", "prevblock"),
    noncerange="00000000ffffffff",
    sigoplimit=80_000,
    sizelimit=4_000_000,
    weightlimit=4_000_000,
    curtime=2,
    bits="207fffff",
    height=42,
    default_witness_commitment="6a24aa21a9ed",
)


def address_of(name: str) -> str:
    address = encode_address(p2wpkh(key(name)), REGTEST.address)
    assert address is not None
    return address


@dataclass(frozen=True)
class Story:
    """A chain in which alice mines and pays bob and carol, a block goes stale, and bob's payment waits in the pool."""

    chain: TestChain
    payment: Transaction
    """Confirmed: 12 BTC to bob, change to alice."""
    burn: Transaction
    """Confirmed: carries data, and an output without an address."""
    waiting: Transaction
    """In the pool: bob pays carol 2 BTC of the 12."""
    child: Transaction
    """In the pool: carol spends her output of `waiting`."""
    big: Block
    """Has 31 transactions."""
    stale: Block


def tell_story(client: redis_py.Redis) -> Story:
    chain = TestChain(client)
    mined = [chain.mine(ALICE, miner=f"miner-{number % 3}") for number in range(36)]
    coins = [output_of(block.transactions[0], 0, ALICE) for block in mined]
    payment = pay(coins[0], BOB, 12 * COIN)
    burn = spend(
        [coins[1]], [TxOut(0, b"\x6a\x03<b>"), TxOut(COIN, b"\x51"), TxOut(48 * COIN, p2wpkh(ALICE))], lock_time=3
    )
    chain.mine(ALICE, [payment, burn])
    big = chain.mine(ALICE, [pay(coin, BOB, COIN, fee=1_000 + index) for index, coin in enumerate(coins[2:32])])
    chain.mine(ALICE)
    stale, _ = chain.replace_tip(CAROL)
    waiting = pay(output_of(payment, 0, BOB), CAROL, 2 * COIN, fee=5_000)
    child = pay(output_of(waiting, 0, CAROL), ALICE, COIN, fee=700)
    chain.pool_add(waiting, time=1_700_000_000)
    chain.pool_add(child, time=1_700_000_001)
    return Story(chain, payment, burn, waiting, child, big, stale)


@pytest.fixture
def chain(redis: redis_py.Redis) -> TestChain:
    """A chain of nothing but its genesis block."""
    return TestChain(redis)


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


def client_for(view: ChainView, broker: FakeBroker) -> FlaskClient:
    return create_explorer(Settings(), REGTEST, view, broker, {}).app.test_client()


def mined_coin(chain: TestChain, owner: PrivateKey = ALICE) -> Spendable:
    return output_of(chain.mine(owner).transactions[0], 0, owner)


def page_reader(client: FlaskClient) -> Callable[..., str]:
    """Return a function that gets a page as a browser does, with the status that is expected."""

    def get(path: str, status: int = 200) -> str:
        answer = client.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == status
        return answer.text

    return get


@pytest.fixture(scope="module")
def story(redis_url: str) -> Iterator[Story]:
    """The story, built once for a module whose tests only read."""
    with connect(redis_url) as client:
        client.flushall()
        yield tell_story(client)


@pytest.fixture
def client(story: Story, broker: FakeBroker) -> FlaskClient:
    return client_for(story.chain.view, broker)

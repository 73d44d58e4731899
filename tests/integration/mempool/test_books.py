"""Random payments, blocks and reorganisations keep the books exact."""

from __future__ import annotations

import random

import redis as redis_py
from hypothesis import given
from hypothesis import strategies as st

from shared.consensus.limits import COIN
from tests.integration.mempool.books import check_books
from tests.integration.mempool.conftest import Chain
from tests.integration.mempool.play import Play
from tests.properties import with_shared_fixtures
from tests.unit.mempool.memory import links

actions = st.one_of(
    st.tuples(st.just("pay"), st.integers(0, 2**32)),
    st.tuples(st.just("replace"), st.integers(0, 2**32)),
    st.tuples(st.just("mine"), st.integers(0, 2**32)),
    st.tuples(st.just("fork"), st.integers(0, 2**32)),
    st.tuples(st.just("refuse"), st.integers(0, 2**32)),
    st.tuples(st.just("restart"), st.just(0)),
)


@with_shared_fixtures(12)
@given(steps=st.lists(actions, min_size=5, max_size=40))
def test_any_sequence_of_payments_blocks_and_reorganisations_keeps_the_books(
    redis: redis_py.Redis, steps: list[tuple[str, int]]
) -> None:
    redis.flushall()
    play = Play(Chain(redis))
    for action, seed in steps:
        getattr(play, action)(random.Random(seed))
    check_books(redis)
    assert set(play.chain.view.pool.txids()) == {item.tx.txid for item in play.chain.node.pool}
    node = play.chain.new_writer()
    assert links(node.pool) == links(play.chain.node.pool)


def test_the_books_of_a_busy_chain_are_exact(redis: redis_py.Redis) -> None:
    play = Play(Chain(redis))
    rng = random.Random(2009)
    for _ in range(250):
        action = rng.choices(["pay", "replace", "mine", "fork", "refuse"], [16, 8, 8, 2, 1])[0]
        getattr(play, action)(rng)
    check_books(redis)
    tip = play.chain.node.tree.tip
    assert tip.chain_tx_count - tip.height - 1 > 20, "payments were confirmed"
    assert b"block.disconnected" in {topic.encode() for topic, _ in play.chain.events()}
    assert sum(b'"why":"replaced"' in body for _, body in play.chain.events()) > 10
    assert sum(coin.output.value for coin in play.coins()) > COIN

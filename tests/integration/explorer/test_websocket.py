"""`/api/v1/ws` in mempool.space's protocol: each request gets its messages, with the shapes of the REST API."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from services.explorer.live.websocket import broadcaster
from shared.config import Settings
from tests.builders import key, output_of, p2wpkh, pay
from tests.integration.explorer.chain import TestChain
from tests.integration.explorer.conftest import COIN, address_of
from tests.integration.explorer.streams import running

ALICE, BOB, CAROL = key("alice"), key("bob"), key("carol")


@pytest.fixture
def chain(redis):
    chain = TestChain(redis)
    for _ in range(12):
        chain.mine(ALICE)
    return chain


@pytest.fixture
def instance(chain, monkeypatch):
    monkeypatch.setattr(broadcaster, "GATHER_SECONDS", 0.05)
    with running(chain.view) as instance:
        yield instance


class Socket:
    def __init__(self, instance):
        self._stack = contextlib.ExitStack()
        self._ws = self._stack.enter_context(connect(f"ws://127.0.0.1:{instance.port}/api/v1/ws", open_timeout=20))

    def say(self, **message):
        self._ws.send(json.dumps({name.replace("_", "-"): value for name, value in message.items()}))

    def send(self, data):
        self._ws.send(data)

    def ask(self, *keys, **message):
        self.say(**message)
        return self.hear(*keys)

    def hear(self, *keys):
        """Return the next message that has all these keys."""
        deadline = time.monotonic() + 20
        while True:
            message = json.loads(self._ws.recv(timeout=max(0, deadline - time.monotonic())))
            if set(keys) <= message.keys():
                return message

    def settled(self):
        """Go on when everything that was said before has been understood."""
        self.ask("pong", action="ping")
        return self

    def close(self):
        self._stack.close()


@pytest.fixture
def ws(instance):
    client = Socket(instance)
    yield client
    client.close()


def get(instance, path):
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=20)
    connection.request("GET", path)
    text = connection.getresponse().read().decode()
    connection.close()
    return json.loads(text) if text.startswith(("{", "[")) else text


def coin(chain, height):
    return output_of(chain.blocks[height].transactions[0], 0, ALICE)


def tell(chain, instance):
    instance.hub.wake()


def test_init_tells_the_whole_state(ws, instance, chain):
    chain.pool_add(pay(coin(chain, 1), BOB, COIN))
    message = ws.ask("blocks", action="init")
    blocks = get(instance, "/api/v1/blocks")
    assert message["blocks"] == blocks[:8][::-1]
    assert message["blocks"][-1]["height"] == 12
    assert message["mempool-blocks"] == get(instance, "/api/v1/fees/mempool-blocks")
    assert message["fees"] == get(instance, "/api/v1/fees/recommended")
    assert message["mempoolInfo"]["size"] == 1
    assert message["da"]["remainingBlocks"] > 0
    assert len(message["transactions"]) == 1
    assert {"vBytesPerSecond", "backendInfo", "conversions", "loadingIndicators"} <= message.keys()


def test_a_ping_is_answered(ws):
    assert ws.ask("pong", action="ping") == {"pong": True}


def test_what_is_wanted_is_told_at_once_and_when_it_changes(ws, instance, chain):
    first = ws.ask("blocks", action="want", data=["blocks", "mempool-blocks", "stats", "live-2h-chart"])
    assert set(first) == {"blocks", "mempool-blocks", "mempoolInfo", "fees", "da", "vBytesPerSecond"}
    block = chain.mine(ALICE)
    tell(chain, instance)
    while (told := ws.hear("block"))["block"]["id"] != block.hash_hex:
        pass
    assert told["block"] == get(instance, "/api/v1/blocks")[0]
    chain.pool_add(pay(coin(chain, 1), BOB, COIN))
    tell(chain, instance)
    while (told := ws.hear("mempoolInfo"))["mempoolInfo"]["size"] != 1:
        pass
    assert told["mempool-blocks"][0]["nTx"] == 1
    assert {"fees", "da", "transactions", "vBytesPerSecond"} <= told.keys()


def test_after_a_reorganisation_the_blocks_are_told_anew(ws, instance, chain):
    ws.ask("blocks", action="want", data=["blocks"])
    chain.replace_tip(BOB)
    tell(chain, instance)
    tip = chain.tip.hash_hex
    while ws.hear("blocks")["blocks"][-1]["id"] != tip:
        pass


def test_a_transaction_is_followed_from_the_pool_into_a_block(ws, instance, chain):
    tx = pay(coin(chain, 1), BOB, COIN)
    ws.say(track_tx=tx.txid_hex)
    ws.settled()
    chain.pool_add(tx)
    tell(chain, instance)
    told = ws.hear("tx")
    assert told["tx"] == get(instance, f"/api/tx/{tx.txid_hex}")
    place = {"block": 0, "vsize": tx.vsize / 2}
    assert told["txPosition"] == {"txid": tx.txid_hex, "position": place}
    child = pay(output_of(tx, 0, BOB), CAROL, COIN // 2)
    chain.pool_add(child)
    tell(chain, instance)
    assert ws.hear("utxoSpent")["utxoSpent"] == {"0": {"vin": 0, "txid": child.txid_hex}}
    chain.mine(ALICE, [tx])
    tell(chain, instance)
    assert ws.hear("txConfirmed")["txConfirmed"] == tx.txid_hex


def test_a_transaction_that_is_there_is_told_at_once(ws, instance, chain):
    tx = pay(coin(chain, 1), BOB, COIN)
    chain.pool_add(tx)
    told = ws.ask("txPosition", track_tx=tx.txid_hex, watch_mempool=True)
    assert told["tx"]["txid"] == tx.txid_hex
    confirmed = chain.blocks[3].transactions[0].txid_hex
    told = ws.ask("tracked-txs", track_txs=[tx.txid_hex, confirmed])["tracked-txs"]
    assert told[confirmed] == {"confirmed": True}
    assert told[tx.txid_hex] == {"confirmed": False, "position": {"block": 0, "vsize": tx.vsize / 2}}


def test_a_replacement_is_told_to_who_follows_what_it_replaced(ws, instance, chain):
    first, second = pay(coin(chain, 1), BOB, COIN, fee=1_000), pay(coin(chain, 1), CAROL, COIN, fee=9_000)
    chain.pool_add(first)
    ws.say(track_tx=first.txid_hex, track_rbf="all", track_mempool_txids=True)
    ws.settled()
    chain.pool_replace(second, [first], time=1_700_000_100)
    tell(chain, instance)
    told = ws.hear("txReplaced")
    assert told["txReplaced"] == told["rbfTransaction"] == {"txid": second.txid_hex}
    assert told["rbfLatest"] == get(instance, "/api/v1/replacements")
    assert told["rbfLatest"][0]["tx"]["txid"] == second.txid_hex
    assert told["mempool-txids"]["replaced"] == [{"replaced": first.txid_hex, "by": second.txid_hex}]
    again = ws.ask("txReplaced", track_tx=first.txid_hex, watch_mempool=True)
    assert again["txReplaced"] == {"txid": second.txid_hex}


def test_an_address_is_told_of_its_payments(ws, instance, chain):
    bob = address_of("bob")
    script = p2wpkh(BOB).hex()
    ws.say(track_address=bob, track_addresses=[bob, address_of("carol")], track_scriptpubkeys=[script])
    ws.settled()
    tx, other = pay(coin(chain, 1), BOB, COIN), pay(coin(chain, 2), ALICE, COIN)
    chain.pool_add(tx)
    chain.pool_add(other)
    tell(chain, instance)
    told = ws.hear("address-transactions")
    shown = get(instance, f"/api/tx/{tx.txid_hex}")
    assert told["address-transactions"] == [shown]
    groups = {"mempool": [shown], "confirmed": [], "removed": []}
    assert told["multi-address-transactions"] == {bob: groups}
    assert told["multi-scriptpubkey-transactions"] == {script: groups}
    chain.mine(ALICE, [tx, other])
    tell(chain, instance)
    told = ws.hear("block-transactions")
    shown = get(instance, f"/api/tx/{tx.txid_hex}")
    assert told["block-transactions"] == [shown]
    assert shown["status"]["confirmed"]
    assert told["multi-address-transactions"][bob]["confirmed"] == [shown]


def raw_connection(instance):
    return socket.create_connection(("127.0.0.1", instance.port))


def test_the_pool_is_told_as_it_comes_and_goes(ws, instance, chain):
    ws.say(track_mempool=True, track_mempool_txids=True)
    ws.settled()
    tx = pay(coin(chain, 1), BOB, COIN)
    chain.pool_add(tx)
    tell(chain, instance)
    told = ws.hear("mempool-transactions")
    assert [item["txid"] for item in told["mempool-transactions"]["added"]] == [tx.txid_hex]
    assert told["mempool-txids"]["added"] == [tx.txid_hex]
    before = told["mempool-txids"]["sequence"]
    chain.mine(ALICE, [tx])
    tell(chain, instance)
    told = ws.hear("mempool-txids")["mempool-txids"]
    assert tx.txid_hex in told["mined"]
    assert told["removed"] == []
    assert told["sequence"] > before


def test_the_transactions_of_a_projected_block_are_told_then_what_changes(ws, instance, chain):
    tx, other = pay(coin(chain, 1), BOB, COIN, fee=2_000), pay(coin(chain, 2), BOB, COIN)
    chain.pool_add(tx)
    told = ws.ask("projected-block-transactions", track_mempool_block=0)["projected-block-transactions"]
    [short] = told["blockTransactions"]
    assert short[:3] == [tx.txid_hex, 2_000, tx.vsize]
    chain.pool_add(other)
    tell(chain, instance)
    added = []
    while other.txid_hex not in added:
        delta = ws.hear("projected-block-transactions")["projected-block-transactions"]["delta"]
        added += [item[0] for item in delta["added"]]
    chain.mine(ALICE, [tx])
    tell(chain, instance)
    while (
        tx.txid_hex not in ws.hear("projected-block-transactions")["projected-block-transactions"]["delta"]["removed"]
    ):
        pass


def test_what_is_wrong_is_answered_and_the_connection_goes_on(ws):
    for nonsense in ("", "nonsense", "[]", b"\x00\xff", "{" * 1_000):
        ws.send(nonsense)
        assert ws.hear("error") == {"error": "a message is a JSON object"}
    assert "track-address-error" in ws.ask("error", track_address="x", action="dance")
    assert ws.ask("pong", action="ping") == {"pong": True}


def test_a_message_that_is_too_long_ends_the_connection(ws):
    ws.send("x" * 100_000)
    with pytest.raises(ConnectionClosed) as ended:
        ws.hear("error")
    assert ended.value.rcvd.code == 1009


def test_without_an_upgrade_it_says_what_it_is(instance):
    assert get(instance, "/api/v1/ws") == "this is a websocket"


def test_only_trusted_hosts_and_so_many_are_let_in(chain, caplog):
    with running(chain.view, Settings(max_streams=1)) as instance:
        first = Socket(instance)
        first.settled()
        with pytest.raises(InvalidStatus, match="429"):
            Socket(instance)
        with pytest.raises(InvalidStatus, match="421"):
            connect(f"ws://evil.example:{instance.port}/api/v1/ws", sock=raw_connection(instance))
        assert caplog.records == []
        first.close()


def test_open_websockets_do_not_hold_up_the_end(chain):
    with running(chain.view) as instance:
        sockets = [Socket(instance).settled() for _ in range(20)]
        began = time.monotonic()
    assert time.monotonic() - began < 3
    for ended in sockets:
        with pytest.raises(ConnectionClosed):
            ended.hear("error")
        ended.close()

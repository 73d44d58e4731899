"""The bus as other programs see it: the examples, and a spy that compares each message with its description."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import jsonschema_rs
import pika
import pytest

from deploy.setup.access import VHOST, guest_definitions
from shared import trace
from shared.bus import asyncapi, events
from shared.bus.events import SCHEMA_VERSION, BlockMined, ChainControl, ControlAction
from shared.bus.topics import EXCHANGE, PUBLISHES, REPLY_EXCHANGE, outlet
from shared.consensus.params import REGTEST
from shared.crypto.address import encode_address
from shared.primitives.transaction import Transaction
from tests.builders import key, output_of, p2wpkh, pay
from tests.conftest import run_server
from tests.e2e.conftest import Stack, StartStack, eventually
from tests.servers import NativeRabbitMQ

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE = 60.0
ALICE, BOB = key("alice"), key("bob")

pytestmark = pytest.mark.rabbitmq


@pytest.fixture(scope="module")
def server() -> Iterator[NativeRabbitMQ]:
    yield from run_server(NativeRabbitMQ)


@pytest.fixture(scope="module")
def stack(server: NativeRabbitMQ, start_stack: StartStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with start_stack(tmp_path_factory.mktemp("stack"), "--broker", "rabbitmq", "--amqp-url", server.url) as state:
        yield Stack(state)


@pytest.fixture
def friend(server: NativeRabbitMQ, tmp_path: Path) -> str:
    """URL of a user with the rights that other people's programs get."""
    password = uuid.uuid4().hex
    definitions = json.dumps(guest_definitions("friend", password)).replace(f'"vhost": "{VHOST}"', '"vhost": "/"')
    (tmp_path / "friend.json").write_text(definitions)
    server.control("import_definitions", str(tmp_path / "friend.json"))
    return f"amqp://friend:{password}@127.0.0.1:{urlsplit(server.url).port}/%2F"


def coin_of(stack: Stack, owner: Any) -> tuple[Transaction, int]:
    """Return a confirmed transaction of the faucet, and the place of the output that pays the owner."""
    address = encode_address(p2wpkh(owner), REGTEST.address)
    txid = stack.explorer.post("/faucet", {"address": address})["txId"]
    tx = Transaction.parse(bytes.fromhex(stack.explorer.get(f"/tx/{txid}/hex")))
    return tx, next(place for place, output in enumerate(tx.outputs) if output.script_pubkey == p2wpkh(owner))


# ── the examples ────────────────────────────────────────────────────────────────────────────────────────────────


def example(name: str, url: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    environment = {"PATH": os.environ["PATH"], "AMQP_URL": url}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, **options)


def produce(url: str, raw: str) -> str:
    with example("producer.py", url, raw) as process:
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        return output.strip()


def test_the_examples_submit_a_transaction_and_hear_what_becomes_of_it(stack: Stack, friend: str) -> None:
    tx = pay(output_of(*coin_of(stack, ALICE), ALICE), BOB, 50_000)
    raw = tx.serialize().hex()
    with example("consumer.py", friend) as consumer:
        assert consumer.stdout is not None
        overdue = threading.Timer(PATIENCE, consumer.kill)  # then there is nothing more to read
        overdue.start()
        try:
            assert consumer.stdout.readline().startswith("listening on friend.")
            assert produce(friend, raw) == f"{tx.txid_hex} accepted"
            assert produce(friend, raw[:-2]) == "refused: TX decode failed"
            (block_hash,) = stack.mine(stack.balance("creator")["address"])
            missing = {("tx.accepted", tx.txid_hex), ("tx.removed", tx.txid_hex), ("block.connected", block_hash)}
            while missing:
                _, topic, subject, *_, traceparent = consumer.stdout.readline().split()
                assert trace.parse(traceparent) == traceparent
                missing.discard((topic, subject))
        finally:
            overdue.cancel()
            consumer.kill()


# ── what travels, and its description ───────────────────────────────────────────────────────────────────────────


class Spy:
    """Gets a copy of every message and of every reply."""

    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self._connection.channel()
        self.name = f"spy.{uuid.uuid4().hex}"
        self.channel.queue_declare(self.name, exclusive=True)
        for exchange in (EXCHANGE, REPLY_EXCHANGE):
            self.channel.queue_bind(self.name, exchange, "#")
        self.seen: list[tuple[Any, Any, bytes]] = []

    def types(self) -> set[str]:
        """Read what has come; return the types of all messages so far."""
        while (found := self.channel.basic_get(self.name, auto_ack=True))[0] is not None:
            self.seen.append(found)
        return {properties.type for _, properties, _ in self.seen}

    def close(self) -> None:
        self._connection.close()


def do_everything(stack: Stack, spy: Spy) -> None:
    """Cause a message of each topic, and a reply of each kind."""
    coin = output_of(*coin_of(stack, ALICE), ALICE)
    stack.rpc("sendrawtransaction", pay(coin, BOB, 50_000).serialize().hex())
    stack.rpc("testmempoolaccept", [pay(coin, BOB, 60_000).serialize().hex()])
    (block_hash,) = stack.mine(stack.balance("creator")["address"])
    with pytest.raises(HTTPError) as refused:  # and published as tx.rejected
        stack.rpc("sendrawtransaction", pay(coin, BOB, 70_000).serialize().hex())
    refused.value.close()
    stack.rpc("submitblock", stack.rpc("getblock", block_hash, 0))
    stack.rpc("invalidateblock", block_hash)
    stack.rpc("reconsiderblock", block_hash)
    stack.explorer.get("/getnewaddress")
    stack.explorer.get("/api/block-template")
    stack.node.get("/mine")
    order = events.encode(ChainControl(action=ControlAction.RECONSIDER, block=block_hash))
    block = events.encode(BlockMined(block=stack.rpc("getblock", block_hash, 0)))
    # The node's port hands these to the writer of its own process: they travel if another process sends them.
    for topic, body in (("tx.submitted", b'{"txs": 5}'), ("chain.control", order), ("block.mined", block)):
        properties = pika.BasicProperties(type=topic, reply_to=spy.name, correlation_id=f"spy {topic}")
        spy.channel.basic_publish(EXCHANGE, topic, body, properties)


def test_every_message_that_travels_is_as_described(stack: Stack, server: NativeRabbitMQ) -> None:
    document = asyncapi.document()
    with contextlib.closing(Spy(server.url)) as spy:
        do_everything(stack, spy)
        expected = {message["name"] for message in document["components"]["messages"].values()}
        eventually(lambda: spy.types() >= expected, PATIENCE, "a message of each kind")
    requests: dict[str, str] = {}
    for method, properties, body in spy.seen:
        if (properties.correlation_id or "").startswith("spy ") and properties.reply_to:
            continue  # the spy's own
        message = next(one for one in document["components"]["messages"].values() if one["name"] == properties.type)
        _check_body_and_properties(document, message, properties, body)
        if method.exchange != REPLY_EXCHANGE:
            assert method.exchange in {outlet(who) for who, topics in PUBLISHES.items() if method.routing_key in topics}
            channel = document["channels"][method.routing_key]
            assert list(channel["messages"]) == [message["title"]]
            assert bool(properties.reply_to) <= ("reply" in document["operations"][method.routing_key])
            requests[properties.correlation_id] = properties.type
        else:
            channel = document["channels"]["replies"]
            asked = requests.get(properties.correlation_id) or properties.correlation_id.removeprefix("spy ")
            kinds = [kind["$ref"].rsplit("/")[-1] for kind in document["operations"][asked]["reply"]["messages"]]
            assert properties.type in kinds
            assert channel["bindings"]["amqp"]["exchange"]["name"] == method.exchange


def _check_body_and_properties(document: dict[str, Any], message: dict[str, Any], properties: Any, body: bytes) -> None:
    headers = {name: value for name, value in properties.headers.items() if not name.startswith("x-")}
    headers = json.loads(json.dumps(headers))  # with plain numbers in the place of pika's
    is_request = bool(properties.reply_to)
    assert set(headers) - {"deadline"} == {"traceparent", "schema-version"}
    assert ("deadline" in headers) == is_request
    assert headers["schema-version"] == SCHEMA_VERSION
    for part, value in (("payload", json.loads(body)), ("headers", headers)):
        schema = message[part] | {"components": document["components"]}
        jsonschema_rs.validate(schema, value)
        _check_names(document, message[part]["$ref"], value)
    assert properties.content_type == message["contentType"]
    assert properties.type == message["bindings"]["amqp"]["messageType"]
    assert (properties.delivery_mode, properties.app_id) == (2, "warren")
    assert properties.message_id
    assert properties.timestamp
    assert bool(properties.correlation_id) <= ("correlationId" in message)


def _check_names(document: dict[str, Any], reference: str, value: dict[str, Any]) -> None:
    """A schema allows any other field, for messages grow; but what travels today is described."""
    properties = document["components"]["schemas"][reference.rsplit("/")[-1]]["properties"]
    assert set(value) <= set(properties)

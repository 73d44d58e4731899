"""`/events`: every fact once and in order, at whichever instance, and nobody waits for a client that does not read."""

from __future__ import annotations

import http.client
import json
import socket
import time

import pytest

from services.explorer.live import event_hub, sse_endpoint
from shared.bus import events
from shared.config import Settings
from tests.builders import key, output_of, pay
from tests.integration.explorer.chain import TestChain
from tests.integration.explorer.conftest import COIN
from tests.integration.explorer.streams import Stream, running

ALICE, BOB = key("alice"), key("bob")


@pytest.fixture
def instance(chain):
    with running(chain.view) as instance:
        yield instance


@pytest.fixture
def open_stream():
    streams = []

    def connect(*args, **more) -> Stream:
        streams.append(Stream(*args, **more))
        return streams[-1]

    yield connect
    for stream in streams:
        stream.close()


def get(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    result = answer.status, answer.read().decode(), answer.headers
    connection.close()
    return result


def is_ended(client):
    """Whether the server ends the connection, in order or by a reset."""
    try:
        while client.recv(1_000_000):
            pass
    except ConnectionResetError:
        pass
    return True


def seq(chain):
    return chain.view.tip().seq


def append_events(chain, redis, count):
    """Append facts of 2 kB to the outbox, without a change that they tell of."""
    began, pipe = seq(chain), redis.pipeline()
    body = events.encode(events.TxRemoved(txid="ab" * 1_000, why="expired"))
    for number in range(began + 1, began + count + 1):
        pipe.xadd(chain.keys.events, {"topic": "tx.removed", "body": body}, id=f"{number}-0")
    pipe.hset(chain.keys.tip, "seq", began + count)
    pipe.execute()


def grow(chain, instance, count=1):
    for _ in range(count):
        chain.mine(ALICE)
    instance.hub.wake()


def test_every_kind_of_fact_comes_once_and_in_the_order_of_commits(chain, instance, open_stream):
    block = chain.mine(ALICE)
    began = seq(chain)
    stream = open_stream(instance.port, last_event_id=began)
    assert stream.next_block().id == began
    tx = pay(output_of(block.transactions[0], 0, ALICE), BOB, COIN)
    chain.pool_add(tx)
    chain.mine(ALICE, [tx])
    chain.replace_tip(BOB)
    instance.hub.wake()
    sent = [stream.next() for _ in range(6)]
    assert [event.event for event in sent] == [
        "tx.accepted",
        "block.connected",
        "tx.removed",
        "block.disconnected",
        "block.connected",
        "block.connected",
    ]
    assert [event.id for event in sent] == list(range(began + 1, seq(chain) + 1))
    facts = [events.decode(event.event, event.data.encode()) for event in sent]
    assert facts == chain.view.events_since(began, 10)
    assert (facts[0].txid, facts[1].height) == (tx.txid_hex, 2)


def test_the_answer_is_an_event_stream_that_nobody_keeps_or_holds_back(instance, open_stream):
    headers = open_stream(instance.port).response.headers
    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Accel-Buffering"] == "no"
    assert headers["Access-Control-Allow-Origin"] == "*"


def test_api_events_is_the_same(chain, instance):
    status, text, _ = get(instance.port, "/api/events?topics=nonsense")
    assert (status, "Unknown topic 'nonsense'" in text) == (400, True)


def test_only_the_topics_asked_for_are_sent(chain, instance, open_stream):
    block = chain.mine(ALICE)
    stream = open_stream(instance.port, "?topics=block.connected,block.disconnected", last_event_id=seq(chain))
    chain.pool_add(pay(output_of(block.transactions[0], 0, ALICE), BOB, COIN))
    grow(chain, instance)
    sent = stream.next()
    assert (sent.event, json.loads(sent.data)["height"]) == ("block.connected", 2)


def test_a_client_of_rare_topics_still_learns_how_far_it_is(chain, instance, open_stream, monkeypatch):
    monkeypatch.setattr(sse_endpoint, "HEARTBEAT", 0.05)
    stream = open_stream(instance.port, "?topics=tx.removed")
    stream.next_block()
    grow(chain, instance)
    wanted = seq(chain)
    while stream.last_id != wanted:
        assert stream.next_block().event == ""


def test_it_is_heard_without_the_broker(chain, instance, open_stream):
    stream = open_stream(instance.port, last_event_id=seq(chain))
    chain.mine(ALICE)  # and nobody wakes the hub
    assert stream.next().event == "block.connected"


def test_a_client_that_comes_back_misses_nothing_at_another_instance(chain, instance, open_stream):
    stream = open_stream(instance.port, last_event_id=seq(chain))
    grow(chain, instance, 3)
    heard = [stream.next().id for _ in range(2)]
    stream.close()
    grow(chain, instance, 5)
    with running(chain.view) as other:
        again = open_stream(other.port, last_event_id=stream.last_id)
        heard += [again.next().id for _ in range(6)]
        grow(chain, other)
        heard.append(again.next().id)
        assert heard == list(range(seq(chain) - 8, seq(chain) + 1))
        again.close()


def test_the_number_may_be_in_the_query_and_the_header_counts_more(chain, instance, open_stream):
    grow(chain, instance, 3)
    assert open_stream(instance.port, "?last_event_id=1").next().id == 2
    assert open_stream(instance.port, "?last_event_id=1", last_event_id=2).next().id == 3


def test_what_is_longer_ago_than_the_log_comes_from_the_outbox(chain, instance, open_stream, monkeypatch):
    monkeypatch.setattr(event_hub, "LOG_LENGTH", 2)
    monkeypatch.setattr(event_hub, "PAGE", 3)
    live = open_stream(instance.port, last_event_id=seq(chain))
    grow(chain, instance, 20)
    last = seq(chain)
    while live.next().id != last:
        pass
    stream = open_stream(instance.port, last_event_id=1)
    assert [stream.next().id for _ in range(last - 1)] == list(range(2, last + 1))


def test_what_the_outbox_no_longer_has_is_a_gap(chain, instance, redis, open_stream):
    grow(chain, instance, 10)
    redis.xtrim(chain.keys.events, minid="6-0", approximate=False)
    with running(chain.view) as fresh:
        stream = open_stream(fresh.port, last_event_id=2)
        sent = [stream.next() for _ in range(3)]
        assert [(event.event, event.id) for event in sent] == [
            ("gap", 5),
            ("block.connected", 6),
            ("block.connected", 7),
        ]
        stream.close()


def test_a_number_that_the_chain_has_not_come_to_is_a_gap(chain, instance, open_stream):
    stream = open_stream(instance.port, last_event_id=1_000)
    sent = stream.next()
    assert (sent.event, sent.id) == ("gap", seq(chain))
    grow(chain, instance)
    assert stream.next().id == seq(chain)


def test_a_chain_that_is_begun_anew_is_a_gap(chain, instance, redis, open_stream):
    grow(chain, instance, 5)
    stream = open_stream(instance.port, last_event_id=seq(chain) - 1)
    assert stream.next().id == seq(chain)
    redis.flushall()
    fresh = TestChain(redis)
    fresh.mine(ALICE)
    assert (stream.next().event, stream.last_id) == ("gap", seq(fresh))


@pytest.mark.parametrize(
    ("path", "headers", "text"),
    [
        ("/events?topics=block.connected,x", {}, "Unknown topic 'x'"),
        ("/events?last_event_id=-1", {}, "Invalid Last-Event-ID"),
        ("/events", {"Last-Event-ID": "x"}, "Invalid Last-Event-ID"),
    ],
)
def test_bad_requests_are_refused(instance, path, headers, text):
    status, body, answered = get(instance.port, path, **headers)
    assert (status, body.split(":")[0]) == (400, text)
    assert answered["Access-Control-Allow-Origin"] == "*"


def test_only_so_many_streams_are_open_at_a_time(chain, open_stream):
    with running(chain.view, Settings(max_streams=2)) as instance:
        first, second = open_stream(instance.port), open_stream(instance.port)
        first.next_block(), second.next_block()
        status, text, headers = get(instance.port, "/events")
        assert (status, text, headers["Retry-After"]) == (429, "too many streams are open already", "1")
        first.close()
        deadline = time.monotonic() + 20
        while (again := open_stream(instance.port)).response.status != 200:
            assert time.monotonic() < deadline
        again.close(), second.close()


def test_a_client_that_does_not_read_is_dropped_while_others_go_on(chain, instance, redis, open_stream, monkeypatch):
    monkeypatch.setattr(sse_endpoint, "SEND_SECONDS", 0.5)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        deaf.connect(("127.0.0.1", instance.port))
        deaf.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert deaf.recv(16)
        count = 8_000  # of 2 kB: more than what the kernel takes for a client that does not read, 4 MB at most
        end = seq(chain) + count
        append_events(chain, redis, count)
        instance.hub.wake()
        # All that the other client is sent fits into the kernel's buffers: it cannot be too slow on a busy machine.
        stream = open_stream(instance.port, last_event_id=end - 10)
        assert [stream.next().id for _ in range(10)] == list(range(end - 9, end + 1))
        deadline = time.monotonic() + 20
        while 'warren_explorer_streams{kind="events"} 1.0' not in get(instance.port, "/metrics")[1]:
            assert time.monotonic() < deadline, "it was not dropped"
            time.sleep(0.02)
        deaf.settimeout(20)
        assert is_ended(deaf)  # only now it reads: one that reads at once may be quick enough to stay
    append_events(chain, redis, 1)
    instance.hub.wake()
    assert stream.next().id == end + 1


def test_open_streams_do_not_hold_up_the_end(chain, open_stream):
    with running(chain.view) as instance:
        streams = [open_stream(instance.port) for _ in range(50)]
        for stream in streams:
            stream.next_block()
        began = time.monotonic()
    assert time.monotonic() - began < 3
    for stream in streams:
        with pytest.raises(EOFError):
            stream.next()

"""Requests that wait: each gets its own reply, and none waits longer than it must."""

from __future__ import annotations

import threading
import time

import pytest

from shared.bus import events
from shared.bus.events import BlockMined, BlockVerdict, Failure, Message, MineResult
from shared.bus.replies import ReplyBox
from shared.errors import BrokerUnavailable, RequestFailed, RequestTimeout
from shared.process import waiting


def verdict(name: str) -> BlockVerdict:
    return BlockVerdict(hash=name, accepted=True)


def asked(count: int) -> list[BlockMined]:
    return [BlockMined(block="00")] * count


def arrive(box: ReplyBox, id_: str, reply: Message) -> None:
    box.put(id_, events.message_type(reply), events.encode(reply))


def soon() -> float:
    return time.monotonic() + 20.0


def test_replies_come_back_in_the_order_of_their_requests() -> None:
    box = ReplyBox()
    call, ids = box.expect(asked(3))
    for place in (2, 0, 1):
        assert not call.done.done()
        arrive(box, ids[place], verdict(str(place)))
    assert waiting.run(box.replies(call, ids, soon())) == [verdict("0"), verdict("1"), verdict("2")]


def test_ids_are_of_one_box_and_one_request() -> None:
    box, other = ReplyBox(), ReplyBox()
    ids = [*box.expect(asked(2))[1], *box.expect(asked(2))[1], *other.expect(asked(2))[1]]
    assert len(set(ids)) == 6


def test_nothing_to_wait_for_is_done_at_once() -> None:
    box = ReplyBox()
    call, ids = box.expect(asked(0))
    assert call.done.done()
    assert waiting.run(box.replies(call, ids, soon())) == []


def test_a_reply_that_nobody_waits_for_is_dropped_and_so_is_a_second_one() -> None:
    box = ReplyBox()
    call, ids = box.expect(asked(2))
    arrive(box, "nobody", verdict("x"))
    arrive(box, ids[0], verdict("first"))
    arrive(box, ids[0], verdict("second"))
    assert not call.done.done()
    arrive(box, ids[1], verdict("other"))
    assert waiting.run(box.replies(call, ids, soon())) == [verdict("first"), verdict("other")]


def test_a_timeout_says_how_many_are_missing_and_waits_for_them_no_more() -> None:
    box = ReplyBox()
    call, ids = box.expect(asked(3))
    arrive(box, ids[1], verdict("1"))
    with pytest.raises(RequestTimeout, match="2 of 3"):
        waiting.run(box.replies(call, ids, time.monotonic()))
    assert not box._waiting


@pytest.mark.parametrize(
    ("type_name", "body", "error"),
    [
        ("Failure", events.encode(Failure(error="tripped over")), "tripped over"),
        ("BlockVerdict", b"\xff", "undecodable reply"),
        ("no.such", b"{}", "undecodable reply"),
        ("", b"", "undecodable reply"),
        ("MineResult", events.encode(MineResult(hashes=())), r"unexpected reply to block\.mined: MineResult"),
    ],
)
def test_one_failure_ends_the_whole_call_at_once(type_name: str, body: bytes, error: str) -> None:
    box = ReplyBox()
    call, ids = box.expect(asked(2))
    box.put(ids[1], type_name, body)
    assert call.done.done()
    with pytest.raises(RequestFailed, match=error):
        waiting.run(box.replies(call, ids, soon()))
    assert not box._waiting


def test_what_is_forgotten_is_not_waited_for() -> None:
    box = ReplyBox()
    _, ids = box.expect(asked(2))
    box.forget(ids[:1])
    assert list(box._waiting) == ids[1:]
    box.forget(ids)
    assert not box._waiting


def test_a_broker_that_goes_away_ends_every_call_at_once() -> None:
    box = ReplyBox()
    calls = [box.expect(asked(2)) for _ in range(2)]
    errors: list[str] = []

    def wait(place: int) -> None:
        with pytest.raises(BrokerUnavailable) as caught:
            waiting.run(box.replies(*calls[place], soon()))
        errors.append(str(caught.value))

    threads = [threading.Thread(target=wait, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    box.fail_all("gone")
    for thread in threads:
        thread.join(5.0)
    assert errors == ["gone", "gone"]
    box.expect(asked(1))
    box.fail_all("gone again")
    assert not box._waiting
    call, ids = box.expect(asked(1))
    arrive(box, ids[0], verdict("later"))
    assert waiting.run(box.replies(call, ids, soon())) == [verdict("later")]

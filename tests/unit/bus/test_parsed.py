"""What a sender has parsed of its message stays in its process."""

from __future__ import annotations

from shared.bus import events
from shared.bus.events import TxSubmitted


def test_what_is_parsed_is_not_sent_and_makes_no_other_message() -> None:
    plain, noted = TxSubmitted(txs=("00",)), TxSubmitted(txs=("00",)).with_parsed(("anything",))
    assert (plain.parsed, noted.parsed) == (None, ("anything",))
    assert plain == noted
    assert events.encode(noted) == events.encode(plain) == b'{"txs":["00"]}'
    received = events.decode("tx.submitted", b'{"txs":["00"],"parsed":["anything"]}')
    assert isinstance(received, TxSubmitted)
    assert received.parsed is None

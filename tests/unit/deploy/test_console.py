import io
import os

import pytest

from deploy import console
from deploy.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """The time that the console sees, to be moved by a test."""
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_a_terminal_shows_what_is_waited_for_until_the_next_line(clock, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    told = Console(stream)
    for _ in range(3):
        told.waiting("waiting for redis")
    clock[0] += 1
    told.waiting("waiting for redis")
    told.say("redis")
    told.say("done")
    clear = "\r\x1b[K"
    assert stream.getvalue() == (f"{clear}waiting for redis (0 s){clear}waiting for redis (1 s){clear}redis\ndone\n")


@pytest.mark.parametrize(("stream", "term"), [(io.StringIO, "xterm"), (Terminal, "dumb")])
def test_elsewhere_only_a_long_silence_is_broken(clock, monkeypatch, stream, term):
    monkeypatch.setenv("TERM", term)
    written = stream()
    told = Console(written)
    for _ in range(25):
        told.waiting("waiting for redis")
        clock[0] += 1
    assert written.getvalue() == "waiting for redis\n" * 2


def test_a_reader_that_goes_away_stops_nothing():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        told = Console(stream)
        told.say("one")
        told.say("two")


def test_a_closed_stream_stops_nothing():
    Console(None).say("one")
    stream = io.StringIO()
    told = Console(stream)
    stream.close()
    told.say("one")


def test_what_a_stream_cannot_encode_is_escaped():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Console(stream).say("caf\xe9 \udcff")
    assert raw.getvalue() == b"caf\\xe9 \\udcff\n"

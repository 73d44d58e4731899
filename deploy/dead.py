"""`./warren dead`: shows messages that services could not handle, gives them back to their queues, or removes them."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.errors import LaunchError
from deploy.launcher.chain_store import redis_url_of, running_secret
from deploy.launcher.options import resolve_chain
from deploy.stack import state
from shared.bus.dead_letters import DeadLetter, DeadLetters
from shared.bus.open_broker import open_dead_letters
from shared.config import Settings

Say = Callable[[str], None]


def run(options: argparse.Namespace, settings: Settings, say: Say) -> int:
    """Carry out the action that the options name; return 1 if one of the named messages is not there or has to stay."""
    with _dead_letters(options, settings) as found:
        match options.action:
            case "list":
                letters = [letter for letter in found.read() if _is_chosen(options, letter)]
                _list(letters, say, as_json=options.json)
            case "show":
                letters = [letter for letter in found.read() if _is_chosen(options, letter)]
                for letter in letters:
                    _show(letter, say, as_json=options.json)
            case "replay":
                letters, stay = found.replay(lambda letter: _is_chosen(options, letter))
                _report("given back", letters, say, as_json=options.json)
                if stay:
                    queues = ", ".join(sorted({letter.queue or "(unknown)" for letter in stay}))
                    raise LaunchError(f"{len(stay)} stay, because there is no queue {queues} any more")
            case _:
                letters = found.purge(lambda letter: _is_chosen(options, letter))
                _report("removed", letters, say, as_json=options.json)
    missing = set(options.ids) - {letter.id for letter in letters}
    if missing:
        raise LaunchError(f"no dead letter {', '.join(sorted(missing))} (see `warren dead list`)")
    return 0


@contextmanager
def _dead_letters(options: argparse.Namespace, settings: Settings) -> Iterator[DeadLetters]:
    """Open the broker that the options name, or else that of the stack on the data directory."""
    chain, chain_name = resolve_chain(options.chain)
    data_dir = Path(options.data_dir).absolute()
    settings = replace(settings, chain=chain, broker=options.broker, amqp_url=options.amqp_url)
    with contextlib.ExitStack() as stack:
        running = state.read(data_dir)
        runs = running is not None and running.launcher.is_alive()
        if running is not None and runs and not (options.amqp_url or options.redis_url):
            settings = replace(settings, broker=running.broker)
        if settings.broker == "rabbitmq":
            if not settings.amqp_url:
                if not runs:
                    raise LaunchError(f"no stack runs on {data_dir}: --amqp-url names the broker")
                settings = replace(settings, amqp_url=running_secret(data_dir, chain_name, "amqp-url"))
        else:
            url = stack.enter_context(redis_url_of(data_dir, chain_name, options.redis_url))
            settings = replace(settings, redis_url=url)
        yield stack.enter_context(contextlib.closing(open_dead_letters(settings)))


def _is_chosen(options: argparse.Namespace, letter: DeadLetter) -> bool:
    return (
        (not options.ids or letter.id in options.ids)
        and options.service in ("", letter.service)
        and options.topic in ("", letter.topic)
    )


def _list(letters: Sequence[DeadLetter], say: Say, *, as_json: bool) -> None:
    if as_json:
        say(json.dumps([_as_dict(letter) for letter in letters], indent=2))
        return
    if not letters:
        say("no dead letters")
        return
    say(f"{'id':<14}{'since':<22}{'queue':<18}{'topic':<20}reason")
    for letter in letters:
        say(f"{letter.id:<14}{_time(letter):<22}{letter.queue:<18}{_plain(letter.topic):<20}{_plain(letter.reason)}")


def _show(letter: DeadLetter, say: Say, *, as_json: bool) -> None:
    shown = _as_dict(letter)
    if as_json:
        say(json.dumps(shown))
        return
    for name, value in shown.items():
        say(f"{name + ':':<13}{json.dumps(value) if isinstance(value, dict | list) else _plain(str(value))}")
    say("")


def _report(what: str, letters: Sequence[DeadLetter], say: Say, *, as_json: bool) -> None:
    if as_json:
        say(json.dumps([_as_dict(letter) for letter in letters], indent=2))
    else:
        say(f"{what}: {len(letters)} message{'' if len(letters) == 1 else 's'}")


def _as_dict(letter: DeadLetter) -> dict[str, Any]:
    """Return a message for programs; `body` is its JSON, or the text if it is none."""
    text = letter.body.decode("utf-8", "backslashreplace")
    try:
        body = json.loads(text)
    except ValueError:
        body = text
    return {
        "id": letter.id,
        "service": letter.service,
        "queue": letter.queue,
        "topic": letter.topic,
        "message_id": letter.message_id,
        "reason": letter.reason,
        "time": letter.time,
        "traceparent": letter.traceparent,
        "body": body,
    }


def _time(letter: DeadLetter) -> str:
    return datetime.fromtimestamp(letter.time, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if letter.time else "-"


def _plain(text: str) -> str:
    """Return text of others with nothing in it that a terminal would obey."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)

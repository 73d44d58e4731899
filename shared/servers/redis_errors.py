"""Classifies the errors of redis-py: the server cannot do its work for now, or the command itself is wrong.

redis-py has a class for most error replies and strips their code from the message (`OOM`, `READONLY`, …); a reply with
another code arrives as a plain `ResponseError` whose message begins with the code. An error of a command within a Lua
script has the code that it has outside of one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from redis import exceptions
from redis.sentinel import MasterNotFoundError

_IN_PIPELINE = re.compile(r"Command # \d+ \(.*\) of pipeline caused error: ", re.DOTALL)
"""The words that redis-py puts before the server's: they show the arguments of a command."""
_TLS = re.compile(r"(\[SSL: [A-Z0-9_]+\] [^()]+?)\.? *(?:\(_ssl\.c|$)")
"""OpenSSL's words in a message of redis-py."""
_AWAY = (exceptions.ConnectionError, exceptions.TimeoutError)
_REFUSALS = (
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,  # and MasterDownError, which is one
    exceptions.TryAgainError,
    exceptions.NoPermissionError,
)
_OTHER_REFUSALS = (
    "MISCONF ",  # cannot save to disk
    "NOREPLICAS ",  # has fewer replicas than it wants
    "BUSY ",  # runs a script for too long
    "UNBLOCKED ",  # became a replica while a client waited
    "The user executing the script ",  # NOPERM within a script, from Redis 7.0 on
    "ACL failure in script: ",  # … and from Redis 7.2 on
)


def server_message(error: exceptions.RedisError) -> str:
    """Return the message of an error without the command and its arguments, which may be secret."""
    return _IN_PIPELINE.sub("", str(error), count=1)


class NoPrimary(MasterNotFoundError):
    """No Sentinel knows a primary that is up; `reasons` are those of the Sentinels that did not answer."""

    def __init__(self, name: str, reasons: Sequence[str]) -> None:
        super().__init__(f"no Sentinel knows a primary {name!r} that is up{''.join(f'; {each}' for each in reasons)}")


def why_away(error: exceptions.RedisError) -> str:
    """Return why a server is away, in words that are ours or OpenSSL's; redis-py's may be long."""
    if isinstance(error, NoPrimary):
        return str(error)
    found = _TLS.search(str(error))
    return f"{type(error).__name__}, {found[1]}" if found else type(error).__name__


def outage(error: exceptions.RedisError) -> str | None:
    """Return the reason why the server cannot do its work for now, None if the command was wrong.

    A refused password and a missing permission are outages, too: the command succeeds as soon as an operator has
    corrected them.
    """
    code = error.status_code
    if isinstance(error, _AWAY) and code is None:
        return f"Redis is away: {why_away(error)}"
    if isinstance(error, _AWAY + _REFUSALS):
        return f"Redis refuses: {code or type(error).__name__} {server_message(error)}"
    text = server_message(error)
    return f"Redis refuses: {text}" if text.startswith(_OTHER_REFUSALS) else None

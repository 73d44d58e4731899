"""Which errors of redis-py say that the server cannot do its work for now."""

from __future__ import annotations

import pytest
import redis
from redis import exceptions
from redis._parsers.base import BaseParser

from shared.servers.redis_errors import outage

REFUSALS = [
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "READONLY You can't write against a read only replica.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "NOREPLICAS Not enough good replicas to write.",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "BUSY Redis is busy running a script.",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM this user has no permissions to run the 'set' command",
]
IN_SCRIPTS = ["ERR The user executing the script can't run this command", "ERR ACL failure in script: no permission"]
MISTAKES = [
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "ERR unknown command 'MISCONF'",
    "ERR a script said OOM ",
    "CONFLICT the chain has moved",
    "BUSYGROUP Consumer Group name already exists",
    "NOSCRIPT No matching script. Please use EVAL.",
]


@pytest.mark.parametrize("reply", REFUSALS, ids=[reply.split(" ")[0] for reply in REFUSALS])
def test_a_reply_that_names_a_state_of_the_server_is_an_outage_and_keeps_its_words(reply: str) -> None:
    assert outage(BaseParser.parse_error(reply)) == f"Redis refuses: {reply}"


@pytest.mark.parametrize("reply", REFUSALS, ids=[reply.split(" ")[0] for reply in REFUSALS])
def test_an_outage_within_a_pipeline_shows_no_arguments(reply: str) -> None:
    error = BaseParser.parse_error(reply)
    redis.Redis().pipeline().annotate_exception(error, 2, ("SET", "wallet", "sealed\n) of pipeline caused error: seed"))
    assert outage(error) == f"Redis refuses: {reply}"


@pytest.mark.parametrize("reply", MISTAKES, ids=[reply.split(" ")[0] for reply in MISTAKES])
def test_arguments_that_look_like_an_outage_are_none(reply: str) -> None:
    error = BaseParser.parse_error(reply)
    redis.Redis().pipeline().annotate_exception(error, 1, ("SET", "x", ") of pipeline caused error: MISCONF "))
    assert outage(error) is None


@pytest.mark.parametrize("reply", IN_SCRIPTS)
def test_a_user_without_permission_within_a_script_is_an_outage(reply: str) -> None:
    assert outage(BaseParser.parse_error(reply)) == f"Redis refuses: {reply.removeprefix('ERR ')}"


@pytest.mark.parametrize("error", [exceptions.ConnectionError("Error 111"), exceptions.TimeoutError("Timeout")])
def test_a_server_that_does_not_answer_is_away(error: exceptions.RedisError) -> None:
    assert outage(error) == f"Redis is away: {type(error).__name__}"


@pytest.mark.parametrize("reply", MISTAKES, ids=[reply.split(" ")[0] for reply in MISTAKES])
def test_a_mistake_in_a_command_is_no_outage(reply: str) -> None:
    assert outage(BaseParser.parse_error(reply)) is None


@pytest.mark.parametrize("error", [exceptions.WatchError("changed"), exceptions.DataError("a list")])
def test_an_error_of_the_client_is_no_outage(error: exceptions.RedisError) -> None:
    assert outage(error) is None

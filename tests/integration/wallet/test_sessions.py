"""Unlocked wallets, notices and form tokens, shared by all instances through Redis, which cannot read them."""

from __future__ import annotations

import base64
import logging
import re

import pytest
import redis as redis_py
from flask.testing import FlaskClient

from services.wallet.sessions import LIFETIME, Notice, Sessions, cookie_name
from shared.chain.redis_keys import Keys
from shared.consensus.params import REGTEST
from shared.crypto.bip32 import ExtendedKey
from shared.errors import StoreUnavailable
from tests.clock import Clock
from tests.integration.wallet.conftest import COIN, PASSWORD, Stack

KEY = ExtendedKey.from_seed(bytes(64))
KEYS = Keys("regtest")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(redis: redis_py.Redis, clock: Clock) -> Sessions:
    return Sessions(redis, KEYS, REGTEST.address, clock)


def stored(redis: redis_py.Redis) -> dict[str, int]:
    """The names of what sessions keep, with the seconds until Redis deletes each."""
    return {name.decode(): redis.ttl(name) for name in redis.scan_iter()}


def test_a_wallet_stays_unlocked_for_fifteen_minutes(sessions: Sessions, clock: Clock) -> None:
    token = sessions.unlock(None, "w", KEY)
    assert sessions.key(token, "w") == KEY
    clock.now += 15 * 60 - 1
    assert sessions.key(token, "w") == KEY
    assert sessions.seconds_left(token, "w") == 1
    clock.now += 1
    assert sessions.key(token, "w") is None
    assert sessions.seconds_left(token, "w") == 0


def test_using_the_key_does_not_prolong_it(sessions: Sessions, clock: Clock) -> None:
    token = sessions.unlock(None, "w", KEY)
    clock.now += LIFETIME / 2
    assert sessions.key(token, "w") == KEY
    clock.now += LIFETIME / 2
    assert sessions.key(token, "w") is None


def test_each_browser_and_each_wallet_is_unlocked_by_itself(sessions: Sessions) -> None:
    token = sessions.unlock(None, "w", KEY)
    other = sessions.unlock(None, "v", KEY)
    assert sessions.key(token, "v") is None
    assert sessions.key(other, "w") is None
    assert sessions.key(None, "w") is None
    assert sessions.key("made up", "w") is None
    assert sessions.key("\udc80", "w") is None


def test_locking_deletes_one_wallets_key(sessions: Sessions, redis: redis_py.Redis) -> None:
    token = sessions.unlock(None, "w", KEY)
    token = sessions.unlock(token, "v", KEY)
    sessions.lock(token, "w")
    assert sessions.key(token, "w") is None
    assert sessions.key(token, "v") == KEY
    sessions.lock(token, "v")
    assert redis.keys() == []


def test_the_first_unlock_gives_a_new_cookie_so_that_none_can_be_planted(sessions: Sessions) -> None:
    planted = sessions.new_token()
    token = sessions.unlock(planted, "w", KEY)
    assert token != planted
    assert sessions.key(planted, "w") is None
    assert sessions.unlock(token, "v", KEY) == token


def test_a_cookie_that_only_has_a_notice_does_not_survive_unlocking(sessions: Sessions) -> None:
    planted = sessions.new_token()
    sessions.add_notice(planted, Notice("good", "done"))
    token = sessions.unlock(planted, "w", KEY)
    assert token != planted
    assert sessions.key(planted, "w") is None
    assert sessions.key(token, "w") == KEY


@pytest.mark.parametrize("end", ["lock", "time"])
def test_a_cookie_whose_wallets_are_all_locked_again_is_replaced_too(
    sessions: Sessions, clock: Clock, end: str
) -> None:
    token = sessions.unlock(None, "w", KEY)
    if end == "lock":
        sessions.lock(token, "w")
    else:
        clock.now += LIFETIME
    assert sessions.unlock(token, "w", KEY) != token


def test_redis_deletes_a_session_with_the_wallet_that_was_unlocked_last(
    sessions: Sessions, clock: Clock, redis: redis_py.Redis
) -> None:
    token = sessions.unlock(None, "w", KEY)
    [name] = stored(redis)
    redis.expire(name, 5)
    clock.now += LIFETIME - 1
    assert sessions.unlock(token, "v", KEY) == token
    assert list(stored(redis)) == [name]
    assert LIFETIME - 60 < redis.ttl(name) <= LIFETIME
    clock.now += 1
    assert (sessions.key(token, "w"), sessions.key(token, "v")) == (None, KEY)


def test_the_last_five_notices_are_kept_in_order_for_a_minute(sessions: Sessions, redis: redis_py.Redis) -> None:
    token = sessions.new_token()
    for number in range(6):
        sessions.add_notice(token, Notice("good", str(number), "/link"))
    [seconds] = stored(redis).values()
    assert 30 < seconds <= 60
    assert sessions.take_notices(token) == [Notice("good", number, "/link") for number in "12345"]
    assert sessions.take_notices(token) == []
    assert redis.keys() == []
    assert sessions.take_notices(None) == []


def test_a_notice_that_comes_while_others_are_taken_is_kept(
    sessions: Sessions, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = sessions.new_token()
    sessions.add_notice(token, Notice("good", "one"))
    lrange = redis.lrange

    def taking(*args: object) -> object:
        found = lrange(*args)
        sessions.add_notice(token, Notice("good", "two"))
        return found

    monkeypatch.setattr(redis, "lrange", taking)
    assert [notice.text for notice in sessions.take_notices(token)] == ["one"]
    monkeypatch.undo()
    assert [notice.text for notice in sessions.take_notices(token)] == ["two"]


def test_notices_do_not_fail_while_redis_takes_no_writes(
    sessions: Sessions, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = sessions.new_token()
    sessions.add_notice(token, Notice("good", "one"))
    redis.replicaof("127.0.0.1", 1)  # type: ignore[no-untyped-call]
    try:
        sessions.add_notice(token, Notice("good", "two"))
        for _ in range(2):
            assert [notice.text for notice in sessions.take_notices(token)] == ["one"]
        with pytest.raises(StoreUnavailable):
            sessions.unlock(None, "w", KEY)
    finally:
        redis.replicaof("NO", "ONE")  # type: ignore[no-untyped-call]


def test_locking_what_is_not_unlocked_does_nothing(sessions: Sessions) -> None:
    token = sessions.unlock(None, "w", KEY)
    sessions.lock(token, "v")
    sessions.lock(None, "w")
    sessions.lock("made up", "w")
    assert sessions.key(token, "w") == KEY


def test_a_form_token_belongs_to_one_session_of_all_instances(sessions: Sessions, redis: redis_py.Redis) -> None:
    token = sessions.new_token()
    form_token = sessions.form_token(token)
    assert sessions.is_form_token(token, form_token)
    assert Sessions(redis, KEYS, REGTEST.address).is_form_token(token, form_token)
    assert not sessions.is_form_token(sessions.new_token(), form_token)
    assert not sessions.is_form_token(None, form_token)
    assert not sessions.is_form_token("", sessions.form_token(""))
    assert not sessions.is_form_token(token, "")
    assert not sessions.is_form_token(token, "ä\ud800")
    assert token not in form_token


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://127.0.0.1:8080", "warren_session_8080"),
        ("http://127.0.0.1:8081", "warren_session_8081"),
        ("https://wallet.example", "warren_session_443"),
        ("http://wallet.example/", "warren_session_80"),
    ],
)
def test_the_cookies_name_is_that_of_the_address_and_not_of_the_instance(url: str, name: str) -> None:
    assert cookie_name(url) == name


# ── the seal ────────────────────────────────────────────────────────────────────────────────────────────────────


def everything(redis: redis_py.Redis) -> bytes:
    """All that Redis holds, names and values, as its files have it."""
    return b"".join(name + (redis.dump(name) or b"") for name in redis.scan_iter())


def test_redis_learns_neither_a_key_nor_a_cookie(sessions: Sessions, redis: redis_py.Redis) -> None:
    redis.config_set("rdbcompression", "no")
    token = sessions.unlock(None, "w", KEY)
    sessions.add_notice(token, Notice("good", "paid a lot"))
    data = everything(redis)
    assert len(stored(redis)) == 2
    assert KEY.private_key is not None
    secret = KEY.private_key.secret
    text = KEY.serialize(REGTEST.address)
    hidden = [secret, secret.hex().encode(), base64.b64encode(secret), text.encode(), token.encode(), b"paid a lot"]
    hidden += [text[start : start + 12].encode() for start in range(0, len(text) - 12, 12)]
    assert not [part for part in hidden if part in data]


def test_contents_of_one_place_open_in_no_other(sessions: Sessions, redis: redis_py.Redis) -> None:
    token, other = sessions.unlock(None, "w", KEY), sessions.unlock(None, "w", KEY)
    first, second = redis.keys()
    redis.hset(first, "v", redis.hget(first, "w"))
    moved, kept = redis.hget(first, "w"), redis.hget(second, "w")
    assert moved is not None
    assert kept is not None
    redis.hset(first, "w", kept)
    redis.hset(second, "w", moved)
    for cookie in (token, other):
        assert [sessions.key(cookie, wallet_id) for wallet_id in ("v", "w")] == [None, None]
    redis.hset(first, "w", moved[:-1] + bytes([moved[-1] ^ 1]))
    redis.hset(second, "w", b"short")
    for cookie in (token, other):
        assert sessions.key(cookie, "w") is None


# ── two instances ───────────────────────────────────────────────────────────────────────────────────────────────


class Proxy:
    """A browser that each request leads to the next instance."""

    def __init__(self, stack: Stack) -> None:
        self._instances = [stack.http, stack.new_instance()]
        self._turn = 0
        self.cookie = ""

    def open(self, path: str, **arguments: object):
        """A request; the browser keeps the cookie that it is given."""
        self._turn += 1
        client: FlaskClient = self._instances[self._turn % 2]
        client.delete_cookie("warren_session_8080")
        if self.cookie:
            client.set_cookie("warren_session_8080", self.cookie)
        response = client.open(path, **arguments)
        if found := client.get_cookie("warren_session_8080"):
            self.cookie = found.value
        return response

    def post(self, path: str, **body: str):
        return self.open(f"/api/wallets{path}", method="POST", json=body)

    def form(self, page: str, action: str, **fields: str):
        token = re.search(r'name="form_token" value="(\w+)"', self.open(page).text)
        assert token
        return self.open(action, method="POST", data={"form_token": token[1], **fields})


@pytest.fixture
def proxy(stack: Stack) -> Proxy:
    return Proxy(stack)


def test_sends_are_answered_the_same_by_every_instance(stack: Stack, proxy: Proxy) -> None:
    stack.fund("w", 2)
    payee = stack.create("payee")
    assert {proxy.post("/w/send", to=payee, amount="1").status_code for _ in range(2)} == {401}
    assert proxy.post("/w/unlock", password=PASSWORD).status_code == 200
    answers = [proxy.post("/w/send", to=payee, amount="1") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 6
    assert stack.get("/payee").json["unconfirmed"] == 6 * COIN
    infos = [proxy.open("/api/wallets/w").json for _ in range(2)]
    assert [info["unlocked"] for info in infos] == [True, True]
    assert proxy.post("/w/lock").json == {"unlocked": False}
    assert {proxy.post("/w/send", to=payee, amount="1").status_code for _ in range(2)} == {401}
    assert not [name for name in stack.wallet_records() if ":session:" in name]


def test_forms_and_notices_go_through_every_instance(stack: Stack, proxy: Proxy) -> None:
    stack.fund("w", 2)
    payee = stack.create("payee")
    unlocked = proxy.form("/w", "/w/unlock", password=PASSWORD)
    assert unlocked.status_code == 303, unlocked.text
    for number in range(2):
        shown = proxy.open("/w").text
        assert ("Unlocked for 15 minutes" in shown) == (number == 0)
        assert "unlocked in this browser" in shown.lower() or "Lock" in shown
    for number in range(2):
        review = proxy.form("/w", "/w/review", to=payee, amount="1", feerate="1")
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', review.text))
        assert "no password needed" in review.text
        sent = proxy.open("/w/send", method="POST", data=fields)
        assert (number, sent.status_code) == (number, 303), sent.text
    assert stack.get("/payee").json["unconfirmed"] == 2 * COIN
    assert proxy.form("/w", "/w/lock").status_code == 303
    for _ in range(2):
        assert "no password needed" not in proxy.form("/w", "/w/review", to=payee, amount="1", feerate="1").text


def test_a_session_outlives_the_service(stack: Stack) -> None:
    stack.fund("w", 1)
    payee = stack.create("payee")
    assert stack.post("/w/unlock", password=PASSWORD).status_code == 200
    cookie = stack.http.get_cookie("warren_session_8080")
    assert cookie is not None
    restarted = stack.new_instance()
    restarted.set_cookie("warren_session_8080", cookie.value)
    answer = restarted.post("/api/wallets/w/send", json={"to": payee, "amount": "1"})
    assert answer.status_code == 200, answer.json


def test_no_log_line_shows_a_cookie(stack: Stack, proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stack.fund("w", 1)
    proxy.form("/w", "/w/unlock", password=PASSWORD)
    proxy.form("/w", "/w/send", to="nobody", amount="1")
    proxy.form("/w", "/w/lock")
    assert len(proxy.cookie) == 43
    assert proxy.cookie not in caplog.text
    assert PASSWORD not in caplog.text

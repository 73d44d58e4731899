"""Unlocked wallets and form tokens, with a clock of the test's own."""

from __future__ import annotations

import pytest

from services.wallet.sessions import LIFETIME, Notice, Sessions
from shared.crypto.bip32 import ExtendedKey
from tests.clock import Clock

KEY = ExtendedKey.from_seed(bytes(64))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(clock)


def test_a_wallet_stays_unlocked_for_fifteen_minutes(sessions: Sessions, clock: Clock) -> None:
    token = sessions.unlock(None, "w", KEY)
    assert sessions.key(token, "w") is KEY
    clock.now += 15 * 60 - 1
    assert sessions.key(token, "w") is KEY
    assert sessions.seconds_left(token, "w") == 1
    clock.now += 1
    assert sessions.key(token, "w") is None
    assert sessions.seconds_left(token, "w") == 0


def test_using_the_key_does_not_prolong_it(sessions: Sessions, clock: Clock) -> None:
    token = sessions.unlock(None, "w", KEY)
    clock.now += LIFETIME / 2
    assert sessions.key(token, "w") is KEY
    clock.now += LIFETIME / 2
    assert sessions.key(token, "w") is None


def test_each_browser_and_each_wallet_is_unlocked_by_itself(sessions: Sessions) -> None:
    token = sessions.unlock(None, "w", KEY)
    other = sessions.unlock(None, "v", KEY)
    assert sessions.key(token, "v") is None
    assert sessions.key(other, "w") is None
    assert sessions.key(None, "w") is None
    assert sessions.key("made up", "w") is None


def test_locking_forgets_one_wallet(sessions: Sessions) -> None:
    token = sessions.unlock(None, "w", KEY)
    token = sessions.unlock(token, "v", KEY)
    sessions.lock(token, "w")
    assert sessions.key(token, "w") is None
    assert sessions.key(token, "v") is KEY


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
    assert sessions.key(token, "w") is KEY


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


def test_a_session_lasts_as_long_as_the_wallet_that_was_unlocked_last(sessions: Sessions, clock: Clock) -> None:
    token = sessions.unlock(None, "w", KEY)
    clock.now += LIFETIME - 1
    assert sessions.unlock(token, "v", KEY) == token
    clock.now += LIFETIME - 1
    sessions.purge()
    assert (sessions.key(token, "w"), sessions.key(token, "v")) == (None, KEY)
    assert (sessions.seconds_left(token, "w"), sessions.seconds_left(token, "v")) == (0, 1)
    clock.now += 1
    sessions.purge()
    assert not sessions._sessions


def test_a_notice_neither_shortens_a_session_nor_outlives_a_minute(sessions: Sessions, clock: Clock) -> None:
    unlocked = sessions.unlock(None, "w", KEY)
    sessions.add_notice(unlocked, Notice("good", "done"))
    other = sessions.new_token()
    sessions.add_notice(other, Notice("good", "done"))
    clock.now += 59
    sessions.purge()
    assert len(sessions._sessions) == 2
    clock.now += 1
    sessions.purge()
    assert len(sessions._sessions) == 1
    assert sessions.take_notices(other) == []
    assert sessions.key(unlocked, "w") is KEY


def test_the_last_five_notices_are_kept_in_order(sessions: Sessions) -> None:
    token = sessions.new_token()
    for number in range(6):
        sessions.add_notice(token, Notice("good", str(number)))
    assert [notice.text for notice in sessions.take_notices(token)] == list("12345")
    assert sessions.take_notices(None) == []


def test_locking_what_is_not_unlocked_does_nothing(sessions: Sessions) -> None:
    token = sessions.unlock(None, "w", KEY)
    sessions.lock(token, "v")
    sessions.lock(None, "w")
    sessions.lock("made up", "w")
    assert sessions.key(token, "w") is KEY


def test_purging_forgets_what_is_over_and_nothing_else(sessions: Sessions, clock: Clock) -> None:
    old = sessions.unlock(None, "w", KEY)
    clock.now += LIFETIME - 1
    fresh = sessions.unlock(None, "w", KEY)
    clock.now += 1
    sessions.purge()
    assert len(sessions._sessions) == 1
    assert sessions.key(old, "w") is None
    assert sessions.key(fresh, "w") is KEY


def test_purging_forgets_a_key_whose_time_is_up_though_its_session_goes_on(sessions: Sessions, clock: Clock) -> None:
    token = sessions.unlock(None, "w", KEY)
    clock.now += 1
    sessions.unlock(token, "v", KEY)
    clock.now += LIFETIME - 1
    sessions.purge()
    [session] = sessions._sessions.values()
    assert list(session.keys) == ["v"]


def test_the_number_of_sessions_is_bounded(monkeypatch: pytest.MonkeyPatch, sessions: Sessions, clock: Clock) -> None:
    monkeypatch.setattr("services.wallet.sessions._MAX_SESSIONS", 2)
    tokens = []
    for _ in range(3):
        clock.now += 1
        tokens.append(sessions.unlock(None, "w", KEY))
    assert [sessions.key(token, "w") for token in tokens] == [None, KEY, KEY]


def test_ten_thousand_browsers_may_be_unlocked(sessions: Sessions, clock: Clock) -> None:
    first = sessions.unlock(None, "w", KEY)
    clock.now += 1
    for _ in range(9_999):
        sessions.unlock(None, "w", KEY)
    assert sessions.key(first, "w") is KEY
    sessions.unlock(None, "w", KEY)
    assert sessions.key(first, "w") is None


def test_a_form_token_belongs_to_one_session_of_one_process(sessions: Sessions, clock: Clock) -> None:
    token = sessions.new_token()
    form_token = sessions.form_token(token)
    assert sessions.is_form_token(token, form_token)
    assert not sessions.is_form_token(sessions.new_token(), form_token)
    assert not sessions.is_form_token(None, form_token)
    assert not sessions.is_form_token("", sessions.form_token(""))
    assert not sessions.is_form_token(token, "")
    assert not sessions.is_form_token(token, "ä\ud800")
    assert not Sessions(clock).is_form_token(token, form_token)


def test_notices_are_shown_once(sessions: Sessions, clock: Clock) -> None:
    token = sessions.new_token()
    sessions.add_notice(token, Notice("good", "done"))
    assert sessions.take_notices(token) == [Notice("good", "done")]
    assert sessions.take_notices(token) == []
    clock.now += 61
    sessions.purge()
    assert not sessions._sessions


def test_a_session_shows_no_key(sessions: Sessions) -> None:
    sessions.unlock(None, "w", KEY)
    assert KEY.private_key is not None
    assert KEY.private_key.secret.hex() not in repr(sessions._sessions)
    assert repr(KEY.private_key.secret) not in repr(sessions._sessions)

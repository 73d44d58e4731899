"""Limits of one client's requests at once and over time, and the clients that are remembered. Time is simulated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.explorer.rate_limit import (
    AUTOMATIC_RATE,
    BURST_SECONDS,
    Limiter,
    rate_limit,
)
from shared.config import Settings
from shared.errors import ConfigError
from shared.web.clients import client_address, read_networks
from tests.clock import Clock

RATE = 10


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> Limiter:
    return Limiter(RATE, clock, most=3)


def admitted(limiter: Limiter, client: str, tries: int) -> int:
    return sum(limiter.take(client) == 0 for _ in range(tries))


def test_a_client_may_use_what_it_has_saved_up_at_once(limiter):
    assert admitted(limiter, "a", 1_000) == RATE * BURST_SECONDS


def test_then_it_gets_its_rate(limiter, clock):
    admitted(limiter, "a", 1_000)
    for _ in range(10):
        clock.now += 1
        assert admitted(limiter, "a", 1_000) == RATE


def test_it_is_told_how_long_to_wait(limiter, clock):
    admitted(limiter, "a", 1_000)
    wait = limiter.take("a")
    assert wait == pytest.approx(1 / RATE)
    clock.now += wait
    assert limiter.take("a") == 0


def test_a_refused_request_costs_nothing(limiter):
    admitted(limiter, "a", 1_000)
    assert limiter.take("a") == limiter.take("a")


def test_one_client_does_not_pay_for_another(limiter):
    admitted(limiter, "a", 1_000)
    assert limiter.take("b") == 0


def test_a_client_that_has_waited_is_forgotten(limiter, clock):
    limiter.take("a")
    clock.now += 1
    limiter.take("b")
    assert len(limiter) == 1


def test_no_more_clients_are_remembered_than_there_is_room_for(limiter):
    for number in range(100):
        limiter.take(f"client {number}")
    assert len(limiter) == 3


@given(st.lists(st.floats(min_value=0, max_value=2), min_size=1, max_size=200))
def test_nobody_ever_gets_more_than_rate_and_burst_allow(pauses):
    clock = Clock()
    limiter = Limiter(RATE, clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        taken += admitted(limiter, "a", 3)
    assert taken <= RATE * (BURST_SECONDS + sum(pauses)) + 1


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_there_is_no_limit_on_loopback(host):
    assert rate_limit(Settings(host=host)) == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "chain.example"])
def test_there_is_one_where_others_can_reach_the_service(host):
    assert rate_limit(Settings(host=host)) == AUTOMATIC_RATE


def test_a_limit_that_is_set_holds_everywhere():
    assert rate_limit(Settings(rate_limit=7)) == 7
    assert rate_limit(Settings(host="0.0.0.0", rate_limit=0)) == 0


PROXIES = read_networks("10.0.0.0/8, ::1, 192.0.2.9")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.5", None, "203.0.113.5"),
        ("203.0.113.5", "198.51.100.1", "203.0.113.5"),  # anybody can say so
        ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "198.51.100.77, 198.51.100.1", "198.51.100.1"),  # what the client itself wrote comes first
        ("10.1.2.3", "198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("192.0.2.9", "2001:db8::1", "2001:db8::1"),
        ("10.1.2.3", "nonsense", "10.1.2.3"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("", "198.51.100.1", ""),
    ],
)
def test_whom_a_proxy_asks_for_counts_if_the_proxy_is_trusted(peer, forwarded, client):
    assert client_address(peer, forwarded, PROXIES) == client


def test_proxies_that_are_no_addresses_stop_the_service():
    with pytest.raises(ConfigError, match="WARREN_TRUSTED_PROXIES"):
        read_networks("proxy.example")

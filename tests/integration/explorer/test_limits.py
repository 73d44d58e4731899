"""A limit on requests as a client meets it."""

from __future__ import annotations

import pytest

from services.explorer.app import create_explorer
from services.explorer.rate_limit import BURST_SECONDS
from shared.config import Settings
from shared.consensus.params import REGTEST
from tests.integration.explorer.streams import Stream, running
from tests.integration.explorer.test_events import get as ask


@pytest.fixture
def limited(story, broker):
    settings = Settings(rate_limit=1, trusted_proxies="127.0.0.1")
    return create_explorer(settings, REGTEST, story.chain.view, broker, {}).app.test_client()


def use_up(client, **options):
    for _ in range(BURST_SECONDS):
        assert client.get("/blocks/tip/height", **options).status_code == 200


def test_a_program_that_asks_for_too_much_is_told_when_to_come_back(limited):
    use_up(limited)
    answer = limited.get("/api/blocks/tip/height")
    assert (answer.status_code, answer.text) == (429, "too many requests")
    assert answer.content_type == "text/plain"
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_browser_gets_a_page(limited):
    use_up(limited)
    answer = limited.get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.mimetype) == (429, "text/html")
    assert answer.headers["Retry-After"] == "1"
    assert "Too many requests" in answer.text


def test_clients_behind_a_proxy_are_told_apart(limited):
    use_up(limited, headers={"X-Forwarded-For": "198.51.100.1"})
    other = limited.get("/blocks/tip/height", headers={"X-Forwarded-For": "198.51.100.2"})
    assert other.status_code == 200
    assert limited.get("/blocks/tip/height", headers={"X-Forwarded-For": "198.51.100.1"}).status_code == 429


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/shared/warren.css", "/static/explorer.css"])
def test_what_watches_the_service_and_what_pages_are_made_of_is_free(limited, path):
    use_up(limited)
    with limited.get(path) as answer:
        assert answer.status_code == 200


def test_nobody_is_limited_on_loopback(client):
    for _ in range(300):
        assert client.get("/blocks/tip/height").status_code == 200


def test_one_client_may_hold_a_quarter_of_the_streams(story):
    settings = Settings(rate_limit=50, max_streams=8, trusted_proxies="127.0.0.1")
    with running(story.chain.view, settings) as instance:
        held = [Stream(instance.port) for _ in range(2)]
        status, text, headers = ask(instance.port, "/events")
        assert (status, text, headers["Retry-After"]) == (429, "too many streams are open for one client already", "1")
        assert ask(instance.port, "/wait?height=0")[:2] == (429, "too many requests wait for one client already")
        assert ask(instance.port, "/wait?height=0", **{"X-Forwarded-For": "198.51.100.1"})[0] == 200
        for stream in held:
            stream.close()


def test_waiting_requests_count_too(story):
    with running(story.chain.view, Settings(rate_limit=1)) as instance:
        answers = [ask(instance.port, "/wait?height=0") for _ in range(2 * BURST_SECONDS)]
    assert answers[0][0] == 200
    assert answers[-1][:2] == (429, "too many requests")


def test_a_client_has_one_limit_for_pages_api_and_waiting_requests_together(story):
    with running(story.chain.view, Settings(rate_limit=1)) as instance:
        paths = ["/blocks/tip/height", "/wait?height=0"] * BURST_SECONDS
        answers = [ask(instance.port, path)[0] for path in paths]
    assert answers[:BURST_SECONDS] == [200] * BURST_SECONDS
    assert answers[-2:] == [429, 429]

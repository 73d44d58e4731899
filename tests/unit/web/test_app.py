from types import SimpleNamespace

import pytest
from flask import request

from shared.config import Settings
from shared.errors import StoreUnavailable
from shared.web.app import create_app


@pytest.fixture
def app():
    state = SimpleNamespace(up=True)

    def check():
        if not state.up:
            raise StoreUnavailable("away")
        return ""

    app = create_app("tests.web", Settings(trusted_hosts="chain.example"), "regtest", {"redis": check}, max_body=1_000)
    app.state = state
    app.add_url_rule("/crash", "crash", view_func=lambda: 1 / 0)
    app.add_url_rule("/take", "take", view_func=lambda: request.get_data(), methods=["POST"])
    return app


@pytest.fixture
def client(app):
    return app.test_client()


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def test_every_answer_forbids_inline_scripts_and_framing(client):
    for path in ("/healthz", "/no-such-page", "/shared/warren.css"):
        with client.get(path) as answer:
            policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe-inline" not in policy
        assert "frame-ancestors 'none'" in policy


def test_an_unknown_page_is_a_problem_for_programs_and_a_page_for_browsers(client):
    answer = client.get("/no-such-page")
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    page = client.get("/no-such-page", headers=BROWSER)
    assert page.status_code == 404
    assert "<h1>Not Found</h1>" in page.text


@pytest.mark.parametrize("headers", [{}, BROWSER])
def test_a_crash_shows_no_stack_trace(client, headers):
    answer = client.get("/crash", headers=headers)
    assert answer.status_code == 500
    assert "Traceback" not in answer.text
    assert "ZeroDivision" not in answer.text


def test_readiness_names_what_is_away(client, app):
    assert client.get("/readyz").json == {"redis": True}
    app.state.up = False
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (503, {"redis": False, "reasons": {"redis": "away"}})
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:80", "chain.example:3000", "dev.localhost"])
def test_loopback_and_trusted_hosts_are_served(client, host):
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1"])
def test_a_rebound_name_is_refused(client, host):
    assert client.get("/healthz", headers={"Host": host}).status_code == 421


def test_metrics_are_shown_under_any_name_and_say_which_need_is_not_met(client, app):
    app.state.up = False
    client.get("/readyz")
    answer = client.get("/metrics", headers={"Host": "10.0.0.1:8080"})
    assert answer.status_code == 200
    assert 'warren_ready{need="redis"} 0.0' in answer.text


def test_a_body_over_the_limit_is_refused(client):
    assert client.post("/take", data=b"x" * 1_000).status_code == 200
    assert client.post("/take", data=b"x" * 1_001).status_code == 413


def test_pages_name_the_chain_and_link_the_services(client):
    page = client.get("/no-such-page", headers=BROWSER).text
    assert "regtest" in page
    for url in ("http://127.0.0.1:8080/", "http://127.0.0.1:3000/", "http://127.0.0.1:18443/mine"):
        assert f'href="{url}"' in page


def test_pages_load_nothing_from_elsewhere_and_have_no_inline_code(client):
    page = client.get("/no-such-page", headers=BROWSER).text
    assert "style=" not in page
    assert "onclick" not in page
    for tag in page.split("<script")[1:]:
        assert tag.startswith(' src="/')
    for path in ("warren.css", "warren.js", "favicon.svg"):
        with client.get(f"/shared/{path}") as answer:
            body = answer.text
        assert "http://" not in body.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in body


def test_metrics_are_served(client):
    assert b"warren_bus_published" in client.get("/metrics").data


@pytest.mark.parametrize("path", ["/shared/../app.py", "/shared/%2e%2e/app.py", "/shared/nothing.css"])
def test_only_shared_files_are_served(client, path):
    assert client.get(path).status_code == 404

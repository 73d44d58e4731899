"""Pages of other sites: what they may make a browser do, by the headers that browsers send."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from shared.config import Settings
from shared.errors import ConfigError
from shared.web.app import create_app
from shared.web.origins import TrustedOrigins

NAMED = "https://app.example"


@pytest.fixture
def client() -> FlaskClient:
    settings = Settings(trusted_origins=f" {NAMED} ,http://127.0.0.1:5000")
    app = create_app("tests.web", settings, "regtest", {}, 1_000, frozenset({"/open"}))
    for path in ("/open", "/closed"):
        app.add_url_rule(path, path[1:], lambda: "done", methods=["GET", "POST", "PUT"])
    return app.test_client()


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:8080"},
    {"Origin": "https://app.example.evil.example"},
    {"Origin": "http://app.example"},
    {"Referer": "http://evil.example/localhost"},
    {"Referer": f"{NAMED}/page"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json"])
def test_a_page_of_another_site_may_read_and_post_to_open_paths_only(
    client: FlaskClient, headers: dict[str, str], content_type: str
) -> None:
    for method in ("POST", "PUT"):
        answer = client.open("/closed", method=method, headers=headers, data=b"x", content_type=content_type)
        assert answer.status_code == 403
        assert "WARREN_TRUSTED_ORIGINS" in answer.text
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert client.post("/open", headers=headers, data=b"x", content_type=content_type).text == "done"
    assert client.get("/closed", headers=headers).text == "done"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost"},
        {"Origin": "HTTP://LOCALHOST"},
        {"Referer": "http://localhost/page"},
    ],
)
def test_programs_and_the_services_own_pages_may_do_all(client: FlaskClient, headers: dict[str, str]) -> None:
    assert client.post("/closed", headers=headers).text == "done"


@pytest.mark.parametrize("origin", [NAMED, "HTTPS://App.Example", "http://127.0.0.1:5000"])
def test_a_page_of_a_named_origin_may_do_all_and_read_the_answers(client: FlaskClient, origin: str) -> None:
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    answer = client.post("/closed", headers=headers, json={})
    assert (answer.text, answer.headers["Access-Control-Allow-Origin"]) == ("done", origin)
    preflight = client.options("/closed", headers={**headers, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 200
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize("text", ["app.example", "*", "null", "https://app.example/", "ftp://app.example", "https://"])
def test_what_is_no_origin_is_told_at_the_start(text: str) -> None:
    with pytest.raises(ConfigError, match="WARREN_TRUSTED_ORIGINS"):
        TrustedOrigins(text)

"""The API's description: it is valid, says no more and no less than is mounted, and its examples are true."""

from __future__ import annotations

import re

import jsonschema_rs
import pytest
import schemathesis
from flask.testing import FlaskClient

from services.explorer.api import regtest_server
from services.explorer.app import create_explorer
from services.explorer.openapi.document import document, errors_of
from services.explorer.openapi.schemas import example_of
from services.explorer.operations import OPERATIONS, operations
from shared.bus import asyncapi
from shared.bus.events import AddressRequested, AddressResult, TemplateRequested
from shared.config import Settings
from shared.consensus.params import MAINNET, REGTEST
from tests.benchmarks.http_load import Client
from tests.integration.explorer.conftest import TEMPLATE, address_of
from tests.integration.explorer.streams import running


@pytest.fixture
def explorer(story, broker):
    return create_explorer(Settings(), REGTEST, story.chain.view, broker, {})


@pytest.fixture
def app(explorer):
    return explorer.app


def shape(path: str) -> str:
    """A path of Flask or of the description without the names of its parameters."""
    return re.sub(r"<\w+>|{\w+}", "{}", path).rstrip("/")


def mounted(explorer, beginning: str) -> set[tuple[str, str]]:
    routes = {
        (method, shape(rule.rule.removeprefix(beginning)))
        for rule in explorer.app.url_map.iter_rules()
        if rule.rule.startswith(beginning + "/")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    streams = {path.removeprefix(beginning) for path in explorer.endpoints if path.startswith(beginning + "/")}
    return routes | {("GET", path) for path in streams - {"/v1/ws"}}  # a websocket is beyond what OpenAPI can say


def test_every_mounted_route_is_described_and_nothing_else(explorer):
    described = [(operation.method, shape(operation.path)) for operation in operations(has_faucet=True)]
    assert len(described) == len(set(described))
    assert mounted(explorer, "/api") == set(described)


def test_clients_that_expect_esplora_at_the_root_find_all_but_mempool_space_there(explorer):
    described = {(operation.method, shape(operation.path)) for operation in operations(has_faucet=True)}
    at_root = mounted(explorer, "")
    assert described - at_root == {(method, path) for method, path in described if path.startswith("/v1/")}


def test_every_route_of_regtest_server_is_in_its_table(explorer):
    assert mounted(explorer, "/1") == {(row.method, shape(row.path)) for row in regtest_server.OPERATIONS}


def test_a_chain_without_a_faucet_does_not_speak_of_one(story, broker):
    app = create_explorer(Settings(faucet="off"), REGTEST, story.chain.view, broker, {}).app
    paths = app.test_client().get("/openapi.json").json["paths"]
    assert paths.keys() == {operation.path for operation in OPERATIONS}


def test_the_description_is_served_twice_and_is_valid(client: FlaskClient):
    answer = client.get("/openapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert client.get("/api/openapi.json").json == answer.json
    assert answer.json["openapi"] == "3.1.0"
    schema = schemathesis.openapi.from_dict(answer.json)
    schema.validate()


def test_the_description_of_messages_is_served_and_linked(client: FlaskClient):
    answer = client.get("/asyncapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.json == asyncapi.document()
    assert 'href="/asyncapi.json"' in client.get("/docs", headers={"Accept": "text/html"}).text


@pytest.mark.parametrize("params", [REGTEST, MAINNET])
def test_every_schema_is_one_and_its_example_meets_it(params):
    components = document(params, operations(has_faucet=True))["components"]
    for name, schema in components["schemas"].items():
        jsonschema_rs.meta.validate({**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"})
        validator = jsonschema_rs.validator_for(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$ref": f"#/components/schemas/{name}",
                "components": components,
            }
        )
        validator.validate(example_of(schema, components["schemas"]))


def test_names_of_operations_are_unique():
    paths = document(REGTEST, operations(has_faucet=True))["paths"]
    names = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert len(names) == len(set(names))


def test_every_parameter_of_a_path_is_described():
    for operation in operations(has_faucet=True):
        names = {parameter.name for parameter in operation.parameters if parameter.place == "path"}
        assert names == set(re.findall(r"{(\w+)}", operation.path)), operation.path


def test_every_operation_has_what_can_happen_to_any():
    assert all({429, 503} <= errors_of(operation).keys() for operation in operations(has_faucet=True))


def test_every_example_of_the_page_can_be_tried(client: FlaskClient, story, broker):
    broker.answers[TemplateRequested] = lambda message: TEMPLATE
    broker.answers[AddressRequested] = lambda message: AddressResult(address=address_of("alice"))
    page = client.get("/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    links = re.findall(r'href="(/api/[^"]*)"', page.text)
    gets = [operation.path for operation in operations(has_faucet=True) if operation.method == "GET"]
    assert len(links) == len(gets) - 2  # there is no transaction to broadcast, and events have no end
    with running(story.chain.view, broker=broker) as instance:
        asker = Client(instance.port)
        for link in links:
            status, body = asker.ask(link.replace("&amp;", "&"))
            assert status == 200, (link, body)
        asker.close()


def test_the_page_has_every_operation_and_no_scripts_or_styles_of_its_own(client: FlaskClient):
    text = client.get("/docs").text
    assert text.count('class="docs-method') == len(operations(has_faucet=True))
    assert "style=" not in text
    assert "<style" not in text
    assert re.findall(r"<script(?![^>]*src=)", text) == []

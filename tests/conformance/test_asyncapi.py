"""The description of the messages is a valid AsyncAPI 3.0 document, by AsyncAPI's own schema."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from shared.bus import asyncapi
from tests.npm import installed

SOURCE = Path(__file__).parent / "asyncapi"


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> jsonschema_rs.Draft7Validator:
    packages = installed(SOURCE, tmp_path_factory.mktemp("npm") / "asyncapi") / "node_modules"
    text = (packages / "@asyncapi/specs/schemas/3.0.0.json").read_text(encoding="utf-8")
    return jsonschema_rs.Draft7Validator(json.loads(text))


def test_the_document_meets_asyncapis_own_schema(validator: jsonschema_rs.Draft7Validator) -> None:
    assert [str(error) for error in validator.iter_errors(asyncapi.document())] == []


def no_action(document: dict[str, Any]) -> None:
    del document["operations"]["tx.submitted"]["action"]


def no_kind_of_exchange(document: dict[str, Any]) -> None:
    document["channels"]["tx.submitted"]["bindings"]["amqp"]["exchange"]["type"] = "star"


def no_kind_of_type(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["TxAccepted"]["properties"]["fee"]["type"] = "amount"


@pytest.mark.parametrize("spoil", [no_action, no_kind_of_exchange, no_kind_of_type])
def test_the_schema_finds_faults(
    validator: jsonschema_rs.Draft7Validator, spoil: Callable[[dict[str, Any]], None]
) -> None:
    document = copy.deepcopy(asyncapi.document())
    spoil(document)
    assert not validator.is_valid(document)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "$ref")
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from references(part)


def test_every_reference_leads_somewhere() -> None:
    document = asyncapi.document()
    found = set(references(document))
    assert len(found) > 60
    for reference in found:
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]

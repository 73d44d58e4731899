"""JSON schemas (draft 2020-12) of the operations' types, and examples that are made of the fields' own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.explorer.api.fields import TXID_EXAMPLE
from services.explorer.api.operation import OCTETS, Operation

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/"
_SOME: Mapping[str, Any] = {"string": "…", "integer": 0, "number": 0.0, "boolean": True, "null": None}
"""Examples of types that give none."""


def answer_schemas(operations: Sequence[Operation]) -> tuple[list[Schema], dict[str, Schema]]:
    """Return the schema of each operation's answer, and by name the schemas of structs that these refer to."""
    types = [bytes if operation.content_type == OCTETS else operation.answer_type for operation in operations]
    found, components = msgspec.json.schema_components(types, ref_template=_REFERENCE + "{name}")
    binary: Schema = {"type": "string", "format": "binary", "examples": ["…"]}
    schemas = [binary if kind is bytes else schema for kind, schema in zip(types, found, strict=True)]
    return schemas, components


def schema_of(kind: Any) -> Schema:
    """Return the schema of a parameter or a body, with all that it refers to within it."""
    schema = msgspec.json.schema(kind)
    definitions = schema.pop("$defs", {})
    reference = schema.pop("$ref", "").rsplit("/", 1)[-1]
    return definitions[reference] | schema if reference else schema


def example_of(schema: Schema, components: Mapping[str, Schema]) -> Any:
    """Return a value that has every field of a schema, made of the fields' examples."""
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        return example_of(components[schema["$ref"].removeprefix(_REFERENCE)], components)
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], components)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "array" if "items" in schema:
            return [example_of(schema["items"], components)] * schema.get("minItems", 1)
        case "object" if "properties" in schema:
            return {name: example_of(field, components) for name, field in schema["properties"].items()}
        case "object":
            return {TXID_EXAMPLE: example_of(schema["additionalProperties"], components)}
    return _SOME[schema["type"]]

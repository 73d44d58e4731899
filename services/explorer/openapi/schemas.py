"""JSON schemas of the answers, by name, and answers that are made of the fields' examples."""

from __future__ import annotations

from typing import Any

from services.explorer.openapi.chain_schemas import CHAIN_SCHEMAS
from services.explorer.openapi.fields import TXID, Schema
from services.explorer.openapi.other_schemas import OTHER_SCHEMAS

SCHEMAS: dict[str, Schema] = CHAIN_SCHEMAS | OTHER_SCHEMAS


def example_of(schema: Schema) -> Any:
    """Return an answer that has every field of a schema, made of the fields' examples."""
    if "$ref" in schema:
        return example_of(SCHEMAS[schema["$ref"].rsplit("/", 1)[1]])
    if "examples" in schema:
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            return example_of(schema[choice][0])
    if schema["type"] == "array":
        return [example_of(schema["items"])] * schema.get("minItems", 1)
    if "properties" in schema:
        return {name: example_of(field) for name, field in schema["properties"].items()}
    return {example_of(TXID): example_of(schema["additionalProperties"])}

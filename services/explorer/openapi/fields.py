"""How schemas are written down, and the fields that many of them have. Every field has an example."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    """Return a reference to a schema of this module."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema, **limits: int) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items, **limits}


def record(about: str, fields: dict[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object that has these fields and no others."""
    required = [name for name in fields if name not in optional]
    return {
        "type": "object",
        "description": about,
        "properties": fields,
        "required": required,
        "additionalProperties": False,
    }


def or_null(schema: Schema) -> Schema:
    """Return the schema of a field that may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def number(about: str, example: float, kind: str = "integer", **limits: float) -> Schema:
    """Return the schema of a number."""
    return {"type": kind, "description": about, "examples": [example], **limits}


def count(about: str, example: int) -> Schema:
    """Return the schema of a number that is not negative."""
    return number(about, example, minimum=0)


def text(about: str, example: str, **limits: Any) -> Schema:
    """Return the schema of a text."""
    return {"type": "string", "description": about, "examples": [example], **limits}


def hash_of(about: str, example: str = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206") -> Schema:
    """Return the schema of a hash in display order."""
    return text(about, example, pattern="^[0-9a-f]{64}$")


def hex_of(about: str, example: str) -> Schema:
    """Return the schema of bytes in hex."""
    return text(about, example, pattern="^([0-9a-f]{2})*$")


TXID_EXAMPLE = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
ADDRESS_EXAMPLE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
SCRIPT_EXAMPLE = "0014751e76e8199196d454941c45d1b3a323f1433bd6"
TXID = hash_of("Transaction id", TXID_EXAMPLE)
BLOCK_HASH = hash_of("Block hash")
SATOSHIS = count("Satoshis", 5_000_000_000)
FEERATE = number("Satoshis per virtual byte", 1.5, "number", minimum=0)
TIME = number("Seconds since 1970", 1296688602, minimum=0)
HEIGHT = count("Height", 7)
BOOLEAN = {"type": "boolean", "examples": [True]}
ADDRESS = text("Address", ADDRESS_EXAMPLE)
RATES = array(FEERATE, minItems=7, maxItems=7)
BTC = number("Bitcoins", 0.0001, "number", minimum=0)

"""What an operation of the API is: its parameters, body, answer and errors, apart from where it is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.explorer.openapi.fields import Schema, array, hash_of, hex_of, ref

Errors = Mapping[int, Sequence[str]]

JSON, TEXT, OCTETS = "application/json", "text/plain", "application/octet-stream"
STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of the path or of the query."""

    name: str
    about: str
    schema: Schema
    place: str = "path"
    """`path`, `query` or `header`."""
    sample: str = ""
    """The name of a sample of this chain (see `document.samples`), or a value as it is."""
    needed: bool = False
    """A part of the query that cannot be left out."""

    @property
    def required(self) -> bool:
        """Whether a request must have it."""
        return self.needed or self.place == "path"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request that succeeds is answered with."""

    about: str
    schema: Schema
    content_type: str = JSON
    cached: bool = False
    """It cannot change: it may be kept, and asked for conditionally."""


@dataclass(frozen=True, slots=True)
class Body:
    """What is posted."""

    about: str
    content_type: str
    schema: Schema


@dataclass(frozen=True, slots=True)
class Operation:
    """One resource, under its path below `/api`."""

    path: str
    group: str
    summary: str
    answer: Answer
    parameters: tuple[Parameter, ...] = ()
    errors: Errors = field(default_factory=dict)
    """Status → the texts of what can be wrong."""
    method: str = "GET"
    body: Body | None = None
    about: str = ""


def json_of(about: str, schema: Schema, *, cached: bool = False) -> Answer:
    """Return an answer in JSON."""
    return Answer(about, schema, JSON, cached)


def text_of(about: str, schema: Schema, *, cached: bool = False) -> Answer:
    """Return an answer in plain text."""
    return Answer(about, schema, TEXT, cached)


def octets_of(about: str, *, cached: bool = False) -> Answer:
    """Return an answer in bytes."""
    return Answer(about, {"type": "string", "format": "binary", "examples": ["…"]}, OCTETS, cached)


HASH: Schema = {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}
NUMBER: Schema = {"type": "integer", "minimum": 0, "maximum": (1 << 64) - 1}
ANY: Schema = {"type": "string"}

INVALID_HEX, INVALID_NUMBER = "Invalid hex string", "Invalid number"
BLOCK_NOT_FOUND, TX_NOT_FOUND = "Block not found", "Transaction not found"

BLOCK_HASH = Parameter("block_hash", "Block hash, in display order", HASH, sample="block_hash")
HEIGHT = Parameter("height", "Height", NUMBER, sample="0")
TXID = Parameter("txid", "Transaction id", HASH, sample="txid")
MAX_TXS = Parameter(
    "max_txs", "How many transactions, at most 1,000; what is no number changes nothing", ANY, "query", "25"
)
AFTER_TXID = Parameter("after_txid", "The txid that the page before ended with", HASH, "query")

ADDRESS_ERRORS = {400: ("Invalid Bitcoin address: …", "Address on invalid network")}
SCRIPT_HASH_ERRORS = {400: ("Invalid scripthash",)}
BLOCK_ERRORS = {400: (INVALID_HEX,), 404: (BLOCK_NOT_FOUND,)}
TX_ERRORS = {400: (INVALID_HEX,), 404: (TX_NOT_FOUND,)}
TXS = array(ref("Transaction"))
TXID_TEXT = hash_of("Transaction id", "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b")
HEX_TEXT = hex_of("Bytes in hex", "01000000")
RAW_TX = Body("The raw transaction in hex", TEXT, {"type": "string", "examples": ["02000000…"]})
RAW_TXS = Body(
    "At most 25 raw transactions in hex, every parent before its children",
    JSON,
    {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 25, "examples": [["02000000…"]]},
)


def names_body(schema: Schema, example: Any) -> Body:
    """Return a body that is a JSON array of up to 300 names of scripts."""
    limits = {"type": "array", "items": schema, "maxItems": 300, "examples": [[example]]}
    return Body("Up to 300 of them", JSON, limits)

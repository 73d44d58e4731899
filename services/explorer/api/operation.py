"""The rows of the API's table: a path, the function that answers it, and the text of its description.

Flask's rules and the OpenAPI document are both made from these rows, which stand below the functions in each file. A
function's return type is the type of its answer: `str` is sent as plain text, `bytes` as they are, all others as JSON,
in the order of the fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from services.explorer.api.fields import HashText, Number, RawTxHex

Errors = Mapping[int, Sequence[str]]
"""Status → the texts that may come with it."""

JSON, TEXT, OCTETS = "application/json", "text/plain", "application/octet-stream"
STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of the path or of the query."""

    name: str
    about: str
    type: Any
    """Type of its value, for the description; a function gets the text, or for a list all texts."""
    place: str = "path"
    """`path`, `query` or `header`."""
    sample: str = ""
    """The name of a sample of this chain (see `document.samples`), or a value as it is."""
    is_needed: bool = False
    """Whether a part of the query must be given."""
    argument: str = ""
    """The function's argument, where its name is another one."""

    @property
    def required(self) -> bool:
        """Whether a request must have it."""
        return self.is_needed or self.place == "path"

    @property
    def is_list(self) -> bool:
        """Whether it may be given several times."""
        return get_origin(self.type) is list


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a POST; functions get it as `body`, in bytes."""

    about: str
    type: Any
    content_type: str = JSON


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One resource, under its path below `/api`, with the names of parameters in braces."""

    path: str
    function: Callable[..., Any]
    """Unbound: its first argument is the object that a table is mounted with; an `async def` where it has to wait."""
    group: str = ""
    """The heading of the description that lists the operation; empty for one without description."""
    summary: str = ""
    answer_about: str = ""
    """Description of the answer, beyond its type."""
    parameters: tuple[Parameter, ...] = ()
    errors: Errors = field(default_factory=dict)
    method: str = "GET"
    body: Body | None = None
    about: str = ""
    is_immutable: bool = False
    """The answer never changes: it may be kept for ever, and asked for conditionally."""
    may_end_with_slash: bool = False
    """Whether the path with a slash at its end answers too, as in electrs, without a redirect."""
    stream: Any = None
    """Type of an endless answer of server-sent events, in place of the function's return type."""

    @property
    def answer_type(self) -> Any:
        """The annotation of the function's return type."""
        return self.stream or get_type_hints(self.function, include_extras=True)["return"]

    @property
    def content_type(self) -> str:
        """The content type of the answer."""
        if self.stream is not None:
            return STREAM
        kind = self.answer_type
        return {str: TEXT, bytes: OCTETS}.get(get_args(kind)[0] if get_origin(kind) is Annotated else kind, JSON)

    @property
    def rule(self) -> str:
        """The path as Flask writes it."""
        rule = self.path
        for parameter in self.parameters:
            rule = rule.replace(f"{{{parameter.name}}}", f"{{{parameter.argument or parameter.name}}}")
        return rule.replace("{", "<").replace("}", ">") + "/" * self.may_end_with_slash


# ── shared by several tables ────────────────────────────────────────────────────────────────────────────────────────

INVALID_HEX, INVALID_NUMBER = "Invalid hex string", "Invalid number"
BLOCK_NOT_FOUND, TX_NOT_FOUND = "Block not found", "Transaction not found"
HEX_ERRORS: Errors = {400: (INVALID_HEX,)}
BLOCK_ERRORS: Errors = {400: (INVALID_HEX,), 404: (BLOCK_NOT_FOUND,)}
HEIGHT_ERRORS: Errors = {400: (INVALID_NUMBER,), 404: (BLOCK_NOT_FOUND,)}
TX_ERRORS: Errors = {400: (INVALID_HEX,), 404: (TX_NOT_FOUND,)}
ADDRESS_ERRORS: Errors = {400: ("Invalid Bitcoin address: …", "Address on invalid network")}

BLOCK_HASH = Parameter("block_hash", "Block hash, in display order", HashText, sample="block_hash")
HEIGHT = Parameter("height", "Height", Number, sample="0")
TXID = Parameter("txid", "Transaction id", HashText, sample="txid")
LAST_TXID = Parameter("last", "The last txid of the page before", HashText, sample="txid")
RAW_TX = Body("The raw transaction in hex", RawTxHex, TEXT)


def query(name: str, about: str, kind: Any = str, sample: str = "", argument: str = "") -> Parameter:
    """Return a parameter of the query that may be left out."""
    return Parameter(name, about, kind, "query", sample, argument=argument)

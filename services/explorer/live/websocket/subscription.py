"""The messages of a websocket's client, and the subscription that they make. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from shared.crypto.address import AddressPrefix, decode_address
from shared.errors import DecodeError
from shared.primitives.hex import parse_display_hash, parse_hex
from shared.script.script import MAX_SCRIPT_SIZE

MAX_TRACKED = 100
"""Transactions, addresses or scripts of each kind that one connection may track."""
MAX_PROJECTED = 8
WANTABLE = ("blocks", "mempool-blocks", "stats", "live-2h-chart")
"""Names that `want` accepts; `live-2h-chart` has no effect, as there is no such chart."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """The parts of the state, and the transactions, addresses and scripts, that one connection follows."""

    wants: frozenset[str] = frozenset()
    tx: bytes | None = None
    txs: tuple[bytes, ...] = ()
    address: tuple[str, bytes] | None = None
    """The address and its scriptPubKey."""
    addresses: Mapping[str, bytes] = field(default_factory=dict)
    """Address → scriptPubKey."""
    scripts: Mapping[str, bytes] = field(default_factory=dict)
    """Hex → scriptPubKey."""
    mempool: bool = False
    """Whether whole transactions are sent as they enter the pool."""
    mempool_txids: bool = False
    mempool_block: int | None = None
    """Index of the projected block whose transactions are followed."""
    rbf: str = ""
    """`all`, or `fullRbf` for replacements of transactions that did not signal (BIP125)."""

    @property
    def txids(self) -> frozenset[bytes]:
        """Every transaction that is tracked."""
        return frozenset(self.txs if self.tx is None else (self.tx, *self.txs))

    @property
    def script_pubkeys(self) -> frozenset[bytes]:
        """Every script that is tracked."""
        single = () if self.address is None else (self.address[1],)
        return frozenset((*single, *self.addresses.values(), *self.scripts.values()))


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """A client's message: the resulting subscription, and the answers that it requests at once."""

    subscription: Subscription
    init: bool = False
    ping: bool = False
    now: frozenset[str] = frozenset()
    """Names of `WANTABLE` whose present state the message requests."""
    answers: frozenset[str] = frozenset()
    """Keys (`track-…`) of subscriptions that ask for the present state."""
    watch: bool = False
    """Whether the client wants the tracked transaction as soon as it is known (`watch-mempool`)."""
    errors: Mapping[str, str] = field(default_factory=dict)


def read_message(text: str, subscription: Subscription, prefix: AddressPrefix) -> ClientMessage:
    """Return a client's message; a malformed part adds to `errors` and changes nothing."""
    try:
        message = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return ClientMessage(subscription, errors={"error": "a message is a JSON object"})
    return _Reading(message, subscription, prefix).result()


class _Reading:
    def __init__(self, message: Mapping[str, Any], subscription: Subscription, prefix: AddressPrefix) -> None:
        self._message = message
        self._before = subscription
        self._prefix = prefix
        self._errors: dict[str, str] = {}
        self._changes: dict[str, Any] = {}

    def result(self) -> ClientMessage:
        message = self._message
        for key, change in _TRACKS.items():
            if key in message:
                name, read = change
                try:
                    self._changes[name] = read(self, message[key])
                except DecodeError as error:
                    self._errors[f"{key}-error"] = str(error)
        now = frozenset({"blocks"}) if message.get("refresh-blocks") else frozenset()
        action = message.get("action")
        if action == "want":
            wanted = self._wanted(message.get("data"))
            if wanted is not None:
                now |= wanted - self._before.wants
                self._changes["wants"] = wanted
        elif action not in (None, "init", "ping"):
            self._errors["error"] = "unknown action"
        return ClientMessage(
            dataclasses.replace(self._before, **self._changes),
            init=action == "init",
            ping=action == "ping",
            now=now,
            answers=frozenset(key for key, (name, _) in _TRACKS.items() if key in message and name in self._changes),
            watch=bool(message.get("watch-mempool")),
            errors=self._errors,
        )

    def _wanted(self, names: Any) -> frozenset[str] | None:
        if not isinstance(names, list):
            self._errors["error"] = "want needs a list as data"
            return None
        return frozenset(name for name in WANTABLE if name in names)

    def tx(self, value: Any) -> bytes | None:
        return None if _is_stop(value) else parse_display_hash(_text(value))

    def txs(self, value: Any) -> tuple[bytes, ...]:
        return tuple(parse_display_hash(_text(item)) for item in _items(value, "transactions"))

    def address(self, value: Any) -> tuple[str, bytes] | None:
        return None if _is_stop(value) else (_text(value), self._script_of(value))

    def addresses(self, value: Any) -> dict[str, bytes]:
        return {_text(item): self._script_of(item) for item in _items(value, "addresses")}

    def script(self, value: Any) -> dict[str, bytes]:
        return {} if _is_stop(value) else self.scripts([value])

    def scripts(self, value: Any) -> dict[str, bytes]:
        return {_text(item): _script(_text(item)) for item in _items(value, "scriptpubkeys")}

    def flag(self, value: Any) -> bool:
        if isinstance(value, bool) or _is_stop(value):
            return value is True
        raise DecodeError("either true or false")

    def index(self, value: Any) -> int | None:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_PROJECTED:
            return value
        return None  # any other value ends it, as at mempool.space (clients send -1)

    def rbf(self, value: Any) -> str:
        return value if value in ("all", "fullRbf") else ""

    def _script_of(self, value: Any) -> bytes:
        """Return the script of an address, or of a public key (P2PK)."""
        text = _text(value)
        if len(text) in (66, 130) and text[:2] in ("02", "03", "04"):
            key = parse_hex(text, "public key")
            return bytes([len(key)]) + key + b"\xac"
        return decode_address(text, self._prefix)


_TRACKS: dict[str, tuple[str, Any]] = {
    "track-tx": ("tx", _Reading.tx),
    "track-txs": ("txs", _Reading.txs),
    "track-address": ("address", _Reading.address),
    "track-addresses": ("addresses", _Reading.addresses),
    "track-scriptpubkey": ("scripts", _Reading.script),
    "track-scriptpubkeys": ("scripts", _Reading.scripts),
    "track-mempool": ("mempool", _Reading.flag),
    "track-mempool-txids": ("mempool_txids", _Reading.flag),
    "track-mempool-block": ("mempool_block", _Reading.index),
    "track-rbf": ("rbf", _Reading.rbf),
}
"""Key of a message → the field of the subscription that it sets, and the function that reads its value."""


def _is_stop(value: Any) -> bool:
    return value is None or value is False or value == "stop"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise DecodeError("a text is needed")
    return value


def _items(value: Any, kind: str) -> list[Any]:
    if _is_stop(value):
        return []
    if not isinstance(value, list):
        raise DecodeError("a list is needed")
    if len(value) > MAX_TRACKED:
        raise DecodeError(f"too many {kind} requested, this connection supports tracking a maximum of {MAX_TRACKED}")
    return value


def _script(text: str) -> bytes:
    script = parse_hex(text, "scriptpubkey")
    if len(script) > MAX_SCRIPT_SIZE:
        raise DecodeError("the scriptpubkey is too long")
    return script

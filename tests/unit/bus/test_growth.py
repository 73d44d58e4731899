"""Messages grow by the rules of docs/topics.md: the code against the shapes of every version there was."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.bus import events
from shared.bus.events import SCHEMA_VERSION, TxSubmitted
from shared.bus.schema import shapes
from tests.unit.bus.growth import Shapes, forbidden

VERSIONS = Path(__file__).parent / "schemas"


def version(number: int) -> Shapes:
    found: Shapes = json.loads((VERSIONS / f"{number}.json").read_text(encoding="utf-8"))
    return found


def test_the_shapes_of_this_version_are_kept() -> None:
    assert sorted(path.stem for path in VERSIONS.iterdir()) == sorted(str(n + 1) for n in range(SCHEMA_VERSION))
    assert shapes() == version(SCHEMA_VERSION), "raise SCHEMA_VERSION and keep its shapes: docs/topics.md says how"


@pytest.mark.parametrize("earlier", range(1, SCHEMA_VERSION + 1))
def test_no_message_has_changed_in_a_way_that_breaks_programs_of_an_earlier_version(earlier: int) -> None:
    assert forbidden(version(earlier), shapes()) == []


def add_field(new: Shapes) -> None:
    new["schemas"]["TxAccepted"]["properties"]["weight"] = {"type": "integer", "default": 0}


def add_topic(new: Shapes) -> None:
    new["topics"]["peer.report"] = {"message": "PeerReport"}
    new["schemas"]["PeerReport"] = {"type": "object", "properties": {}, "required": ["name"]}


def add_order(new: Shapes) -> None:
    new["schemas"]["ControlAction"]["enum"].append("snapshot")


@pytest.mark.parametrize("change", [add_field, add_topic, add_order])
def test_messages_may_grow(change: Callable[[Shapes], None]) -> None:
    new = copy.deepcopy(shapes())
    change(new)
    assert forbidden(shapes(), new) == []
    assert forbidden(new, shapes()) != []  # and may not lose it again


def require_field(new: Shapes) -> None:
    new["schemas"]["TxAccepted"]["properties"]["weight"] = {"type": "integer"}
    new["schemas"]["TxAccepted"]["required"].append("weight")


def no_longer_require(new: Shapes) -> None:
    new["schemas"]["TxAccepted"]["required"].remove("fee")


def change_type(new: Shapes) -> None:
    new["schemas"]["TxAccepted"]["properties"]["fee"] = {"type": "string"}


def change_default(new: Shapes) -> None:
    new["schemas"]["TxSubmitted"]["properties"]["may_replace"]["default"] = False


def rename(new: Shapes) -> None:
    fields = new["schemas"]["BlockConnected"]["properties"]
    fields["block_hash"] = fields.pop("hash")


def add_reason(new: Shapes) -> None:
    new["schemas"]["Removal"]["enum"].append("reorganised")


def change_reply(new: Shapes) -> None:
    new["topics"]["tx.submitted"]["reply"] = "BlockVerdict"


def drop_topic(new: Shapes) -> None:
    del new["topics"]["tx.rejected"]


def refuse_unknown(new: Shapes) -> None:
    new["schemas"]["TxAccepted"]["additionalProperties"] = False


FORBIDDEN = [
    require_field,
    no_longer_require,
    change_type,
    change_default,
    rename,
    add_reason,
    change_reply,
    drop_topic,
    refuse_unknown,
]


@pytest.mark.parametrize("change", FORBIDDEN)
def test_a_change_that_breaks_others_is_found(change: Callable[[Shapes], None]) -> None:
    new = copy.deepcopy(shapes())
    change(new)
    assert len(forbidden(shapes(), new)) >= 1


def test_no_message_and_no_part_of_one_refuses_a_field_that_it_does_not_know() -> None:
    assert [name for name, schema in shapes()["schemas"].items() if schema.get("additionalProperties") is False] == []


def test_a_field_of_the_next_version_is_ignored() -> None:
    body = b'{"txs":["00"],"a_field_of_the_next_version":{"with":["parts"]}}'
    assert events.decode("tx.submitted", body) == TxSubmitted(txs=("00",))

"""The docs that can be checked against the code."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

from shared.bus import asyncapi
from shared.bus.reference import reference
from shared.chain.redis_keys import Keys
from shared.config import Settings
from shared.consensus import chain_file

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_reference_of_topics_is_the_code() -> None:
    assert (DOCS / "topics.md").read_text(encoding="utf-8") == reference()


def test_the_description_of_messages_is_the_code() -> None:
    assert json.loads((DOCS / "asyncapi.json").read_text(encoding="utf-8")) == asyncapi.document()


def test_the_redis_schema_names_every_key() -> None:
    text = (DOCS / "redis-schema.md").read_text(encoding="utf-8")
    keys = Keys("x")
    for value in vars(keys).values():
        name = value.removeprefix(keys.prefix)
        if name != value:
            assert f"`{name}" in text, f"docs/redis-schema.md does not name {name}"


def test_every_setting_is_documented() -> None:
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    for field in dataclasses.fields(Settings):
        assert f"WARREN_{field.name.upper()}" in text, f"docs/operations.md does not name {field.name}"


def test_every_setting_of_a_chain_file_is_documented() -> None:
    code = Path(chain_file.__file__).read_text(encoding="utf-8")
    settings = re.findall(r"""(?:table|top)\.(?:has|flag|integer|text|table)\(\"(\w+)\"""", code)
    assert len(settings) > 30
    section = (DOCS / "consensus.md").read_text(encoding="utf-8").split("\n## Chain files\n")[1].split("\n## ")[0]
    for name in settings:
        assert f"`{name}`" in section or f"`[{name}]`" in section, f"docs/consensus.md does not name {name}"


def test_paths_of_the_code_that_docs_name_exist() -> None:
    root = DOCS.parent
    for page in [*DOCS.glob("*.md"), root / "README.md"]:
        for path in re.findall(
            r"`((?:shared|services|deploy|tests|docs|examples)/[^`]*)`", page.read_text(encoding="utf-8")
        ):
            assert list(root.glob(path)), f"{page.name} names {path}"


def test_links_between_docs_lead_somewhere() -> None:
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"

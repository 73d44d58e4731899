"""The version of this software, as pyproject.toml has it."""

from __future__ import annotations

import tomllib
from pathlib import Path

VERSION: str = tomllib.loads(Path(__file__).resolve().parents[1].joinpath("pyproject.toml").read_text("utf-8"))[
    "project"
]["version"]

"""Other people's implementations, which our results are compared with, where they are ready-made."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest


def oracle(module: str) -> ModuleType:
    """Import a module whose package has no wheel for some Pythons and machines (its marker in pyproject.toml).

    There the tests of the importing file are skipped, or fail if `CI` is set.
    """
    if os.environ.get("CI"):
        return importlib.import_module(module)
    return pytest.importorskip(module, reason=f"{module} has no wheel for this Python on this machine")

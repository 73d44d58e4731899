"""Prints the lines that importing the modules runs: `python -m tests.mutation.imports`, in the root of a tree.

Such lines run before any test begins, so every test that uses the module may notice a change of them.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from pathlib import Path

import coverage


def main() -> None:
    measured = coverage.Coverage(data_file=None, config_file=False, include=[f"{Path.cwd()}/*"])
    measured.start()
    for path in sorted([*Path("shared").rglob("*.py"), *Path("services").glob("*/*.py")]):
        if path.stem != "__main__":
            with contextlib.suppress(ImportError):
                importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
    measured.stop()
    data = measured.get_data()
    root = Path.cwd()
    print(json.dumps({str(Path(name).relative_to(root)): data.lines(name) for name in data.measured_files()}))


if __name__ == "__main__":
    main()

"""The pytest plugin of the harness: records which lines each test runs, or runs the chosen tests in the chosen order.

`MUTATION_TRACE` names the files to record in; `MUTATION_TESTS` names a file with the tests to run, and for how long.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.mutation.nearest import TRACED, line_keys

_SERVERS = ("redis", "rabbitmq")
_EVERY = "::"  # ends the context of what is run for all tests of a file


def pytest_sessionstart() -> None:
    """Generate, but do not look for the smallest failing example: any will do."""
    phases = [phase for phase in hypothesis.settings().phases if phase.name not in ("shrink", "explain")]
    hypothesis.settings.register_profile("mutation", phases=phases, database=None, deadline=None)
    hypothesis.settings.load_profile("mutation")


def pytest_configure(config: pytest.Config) -> None:
    """Take the one task that the environment names."""
    if "MUTATION_TRACE" in os.environ:
        config.pluginmanager.register(_Tracer(config.rootpath, **json.loads(os.environ.pop("MUTATION_TRACE"))))
    elif "MUTATION_TESTS" in os.environ:
        chosen = json.loads(Path(os.environ.pop("MUTATION_TESTS")).read_text(encoding="utf-8"))
        config.pluginmanager.register(_Chosen(chosen))


class _Chosen:
    def __init__(self, timeouts: dict[str, float]) -> None:
        self._timeouts = timeouts
        self._place = {test_id: place for place, test_id in enumerate(timeouts)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self._place]
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in self._place])
        items[:] = sorted(chosen, key=lambda item: self._place[item.nodeid])
        for item in items:
            item.add_marker(pytest.mark.timeout(self._timeouts[item.nodeid]), append=False)


class _Tracer:
    def __init__(self, root: Path, digests: dict[str, str], outputs: dict[str, str]) -> None:
        self._digests = digests
        self._outputs = outputs
        self._tests: dict[str, dict[str, Any]] = {}
        import coverage  # only the map needs it

        self._root = root
        self._coverage = coverage.Coverage(
            data_file=None, config_file=False, include=[str(root / pattern) for pattern in TRACED]
        )
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        servers = [name for name in _SERVERS if item.get_closest_marker(name)]
        self._tests[item.nodeid] = {"id": item.nodeid, "seconds": 0.0, "servers": servers, "passed": True}
        self._coverage.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self._coverage.switch_context("")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: pytest.FixtureRequest) -> Iterator[None]:
        """Count the lines of a fixture that is set up once, for a file, a folder or all, for each test below it."""
        if fixturedef.scope == "function":
            return (yield)
        item = request.node if isinstance(request.node, pytest.Item) else getattr(request, "_pyfuncitem", None)
        name = item.nodeid if item is not None else None
        self._coverage.switch_context(f"{request.node.nodeid.partition('::')[0]}{_EVERY}")
        try:
            return (yield)
        finally:
            self._coverage.switch_context(name or "")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = self._tests[report.nodeid]
        test["seconds"] = round(test["seconds"] + report.duration, 4)
        test["passed"] = test["passed"] and report.outcome == "passed" and not hasattr(report, "wasxfail")

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        files: dict[str, list[dict[str, Any]]] = {name: [] for name in self._outputs}
        for test in self._tests.values():
            files[test["id"].partition("::")[0]].append(test)
        lines = self._lines(files)
        for name, output in self._outputs.items():
            kept = {"digest": self._digests[name], "tests": files[name], "lines": lines[name]}
            Path(output).write_text(json.dumps(kept), encoding="utf-8")

    def _lines(self, files: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, dict[str, str]]]:
        """Test file → module → line → the numbers of the tests that run it, as bits."""
        place = {test["id"]: (name, 1 << number) for name, tests in files.items() for number, test in enumerate(tests)}
        masks: Any = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
        data = self._coverage.get_data()
        for measured in data.measured_files():
            if not measured.endswith(".py"):
                continue  # a template
            path = str(Path(measured).relative_to(self._root))
            keys = line_keys(Path(measured).read_text(encoding="utf-8"))
            for line, contexts in data.contexts_by_lineno(measured).items():
                for context in contexts:
                    if not context or line not in keys:
                        continue
                    shared = _every_test_below(context.removesuffix(_EVERY), files)
                    for name, bits in [place[context]] if context in place else shared:
                        masks[name][path][keys[line]] |= bits
        return {
            name: {path: {key: f"{mask:x}" for key, mask in found.items()} for path, found in masks[name].items()}
            for name in files
        }


def _every_test_below(node: str, files: Mapping[str, Sequence[Any]]) -> list[tuple[str, int]]:
    """Return each test file at or below a node of the session, whose id is empty, with the bits of all its tests."""
    return [
        (name, (1 << len(tests)) - 1)
        for name, tests in files.items()
        if not node or name == node or name.startswith(f"{node}/")
    ]

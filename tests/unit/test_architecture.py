"""The layers: crypto ← primitives ← script ← consensus ← chain ← services; services never import each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LAYERS = ("crypto", "primitives", "script", "consensus", "chain")
PURE = LAYERS[:4]
BASICS = {"shared.errors", "shared.reasons", "shared.params"}
SERVICES = ("wallet", "mempool", "miner", "explorer")
IO_MODULES = {"redis", "pika", "flask", "socket", "requests", "uvicorn", "subprocess", "threading", "time", "logging"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(*parts: str) -> list[Path]:
    found = sorted(ROOT.joinpath(*parts).rglob("*.py"))
    assert found, f"no modules in {parts}"
    return found


def package(name: str) -> str:
    return ".".join(name.split(".")[:2])


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_what_is_below_it(layer: str) -> None:
    above = {f"shared.{name}" for name in LAYERS[LAYERS.index(layer) + 1 :]}
    for path in modules("shared", layer):
        for name in imports(path):
            assert package(name) not in above, f"{path} imports {name}"
            assert not name.startswith(("services", "deploy", "tests")), f"{path} imports {name}"


@pytest.mark.parametrize("layer", PURE)
def test_validation_does_no_input_or_output(layer: str) -> None:
    for path in modules("shared", layer):
        for name in imports(path):
            assert name.split(".")[0] not in IO_MODULES, f"{path} imports {name}"
            allowed = {f"shared.{pure}" for pure in PURE} | BASICS
            assert not name.startswith("shared.") or package(name) in allowed, f"{path} imports {name}"


def test_the_bus_knows_nothing_of_the_chain() -> None:
    forbidden = {f"shared.{name}" for name in (*LAYERS, "params", "reasons", "web")}
    for path in modules("shared", "bus"):
        for name in imports(path):
            assert package(name) not in forbidden, f"{path} imports {name}"


@pytest.mark.parametrize("service", SERVICES)
def test_services_do_not_import_each_other(service: str) -> None:
    others = {f"services.{other}" for other in SERVICES if other != service}
    for path in modules("services", service):
        for name in imports(path):
            assert package(name) not in others, f"{path} imports {name}"
            assert not name.startswith(("deploy", "tests")), f"{path} imports {name}"


def test_shared_code_imports_no_service() -> None:
    for path in modules("shared"):
        for name in imports(path):
            assert not name.startswith(("services", "deploy", "tests")), f"{path} imports {name}"


def test_only_the_mempool_service_commits() -> None:
    writers = {"shared.chain.commit", "shared.chain.lease", "shared.chain.overlay"}
    for service in set(SERVICES) - {"mempool"}:
        for path in modules("services", service):
            assert not writers & set(imports(path)), f"{path} can write chain state"


def test_miners_need_the_broker_and_nothing_else() -> None:
    for path in modules("services", "miner"):
        for name in imports(path):
            assert not name.startswith(("redis", "flask", "shared.chain", "shared.web")), f"{path} imports {name}"

"""The layers: crypto ← primitives ← script ← consensus ← policy ← pool ← chain ← services.

Services never import each other. Within a service (and `deploy`) the rooms have an order too, and arrows run down only.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LAYERS = ("crypto", "primitives", "script", "consensus", "policy", "pool", "chain")
PURE = LAYERS[:6]
BASICS = {"shared.errors", "shared.reasons", "shared.consensus.params"}
SERVICES = ("wallet", "mempool", "miner", "explorer")
IO_MODULES = {"redis", "pika", "flask", "socket", "requests", "uvicorn", "subprocess", "threading", "time", "logging"}

# From the ground up. A row is one storey: its rooms do not know each other. A room is a folder with all that is below
# it, or a single file. `__main__` stands on top of all.
STOREYS = {
    "shared/chain": (
        ("redis_keys", "codec", "lua", "server_version", "reads"),
        ("records", "store", "overlay", "block_fees"),
        ("view", "lease", "connect_block", "script_index", "tx_index"),
        ("commit", "pool_snapshot"),
        ("genesis", "kept_keys"),
    ),
    "shared/bus": (
        ("topics",),
        ("events",),
        ("broker", "dead_letters", "schema"),
        ("replies", "worker", "mine", "wallets", "asyncapi"),
        ("rabbit", "redis_streams", "reference"),
        ("open_broker",),
    ),
    "shared/web": (
        ("hosts", "clients", "slots", "formats", "sendrawtransaction"),
        ("asgi", "threads"),
        ("refusal", "head"),
        ("direct", "origins"),
        ("async_flask",),
        ("app", "http"),
        ("server",),
    ),
    "services/explorer": (
        ("errors",),
        ("rate_limit", "chain"),
        ("api",),
        ("pages", "live", "openapi"),
        ("operations",),
        ("handlers", "app"),
    ),
    "services/wallet": (
        ("errors",),
        ("keys",),
        ("store",),
        ("coins",),
        ("service",),
        ("payments",),
        ("handlers", "directory", "faucet", "bootstrap", "sessions"),
        ("web",),
        ("api", "pages"),
        ("app",),
    ),
    "services/mempool": (
        ("pool", "block_tree", "mining_job", "intake", "outbox", "lease_keeper", "chain_metrics"),
        ("state",),
        ("transactions",),
        ("blocks",),
        ("mining",),
        ("handlers", "rpc"),
        ("writer",),
    ),
    "services/mempool/rpc": (
        ("server",),
        ("descriptors",),
        ("json",),
        ("psbt",),
        ("methods",),
        ("mine_page",),
        ("app",),
    ),
    "services/mempool/rpc/methods": (
        ("chain",),
        ("transactions", "mining"),
        ("control", "network", "util"),
        ("table",),
    ),
    "deploy": (
        ("errors", "console", "files"),
        ("command_line", "processes"),
        ("setup",),
        ("stack",),
        ("launcher", "demo"),
        ("backup", "dead", "miner"),
        ("cli",),
    ),
}
DOORS = ("services/mempool/rpc", "services/explorer/live/websocket", "services/explorer/openapi")

SHARED_PARTS = (
    "ChainQueries",
    "BlockQueries",
    "TxQueries",
    "ScriptQueries",
    "PoolQueries",
    "PoolFeeCache",
    "PoolScriptStats",
    "RbfTrees",
    "HistoryReader",
    "Clients",
    "EventHub",
    "StreamSlots",
    "MempoolSpace",
)
"""Classes of the explorer that hold a cache, a count or a lock: two of one kind would each know half of it."""

HOMES = {
    100_000_000: {"shared/consensus/limits.py", "shared/policy.py"},  # satoshis of a bitcoin; virtual bytes of the pool
    500_000_000: {"shared/primitives/transaction.py"},  # lock times from here on are times
    10_000_000: {"shared/policy.py"},  # the feerate above which a payment is taken for a mistake
    86_400: set(),  # seconds of a day: shared/durations.py multiplies
}
"""Numbers with a name, and the only files that write them out."""


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
    place = ROOT.joinpath(*parts)
    found = sorted(place.rglob("*.py")) or [path for path in [place.with_suffix(".py")] if path.is_file()]
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


def test_no_two_classes_share_a_name() -> None:
    named: dict[str, Path] = {}
    for place in ("shared", "services", "deploy"):
        for path in modules(place):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    assert node.name not in named, f"{node.name} is in {path} and in {named[node.name]}"
                    named[node.name] = path


def test_the_bus_knows_nothing_of_the_chain() -> None:
    forbidden = {f"shared.{name}" for name in (*LAYERS, "reasons", "web")}
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


def room(place: str, module: str) -> str | None:
    """Return the room of a module within a place, None if it is elsewhere."""
    path = module.replace(".", "/")
    return path.removeprefix(f"{place}/").split("/")[0] if path.startswith(f"{place}/") else None


@pytest.mark.parametrize("place", STOREYS)
def test_arrows_between_rooms_run_down_only(place: str) -> None:
    heights = {name: height for height, rooms in enumerate(STOREYS[place]) for name in rooms}
    heights["__main__"] = len(STOREYS[place])
    for path in modules(place):
        own = room(place, ".".join(path.relative_to(ROOT).with_suffix("").parts))
        if own == "__init__":
            continue
        assert own in heights, f"{path} is in a room that has no storey"
        for name in imports(path):
            other = room(place, name)
            if other is not None and other != own:
                assert heights[other] < heights[own], f"{path} imports {name}, which is beside or above it"


@pytest.mark.parametrize("place", STOREYS)
def test_the_document_lists_the_rooms_of_each_storey_from_the_top(place: str) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    _, found, rest = text.partition(f"\n| `{place}/`")
    assert found, f"docs/architecture.md has no table of {place}/"
    rows = [row.split("|")[1] for row in rest.split("\n\n")[0].splitlines()[2:]]
    assert [set(re.findall(r"`([^`/]+)/?`", row)) for row in rows] == [set(rooms) for rooms in reversed(STOREYS[place])]


def test_a_door_is_imported_by_its_composition_root_alone() -> None:
    roots = {"__main__", "app", "routes", "operations"}
    for door in DOORS:
        name = door.replace("/", ".")
        for path in modules("services"):
            if path.is_relative_to(ROOT / door) or path.stem in roots:
                continue
            assert not any(found.startswith(f"{name}.") for found in imports(path)), f"{path} imports {name}"


@pytest.mark.parametrize("part", SHARED_PARTS)
def test_a_part_with_a_memory_is_built_in_one_place(part: str) -> None:
    calls = [
        f"{path}:{node.lineno}"
        for path in modules("services", "explorer")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == part
    ]
    assert len(calls) == 1, calls


def test_pages_build_html_from_queries_and_only_hand_over_to_the_api() -> None:
    helpers = {"services.explorer.api.parameters", "services.explorer.api.faucet_client"}
    for path in modules("services", "explorer", "pages"):
        names = set(imports(path))
        if "services.explorer.pages.page_or_api.PageOrResource" in names:
            continue
        used = {".".join(name.split(".")[:4]) for name in names if name.startswith("services.explorer.api.")}
        assert used <= helpers, f"{path} imports {used - helpers}"


def test_every_thread_of_a_service_is_supervised() -> None:
    """`ServiceThread` starts them all; elsewhere the very threads that end a process are made of `_thread`."""
    starters = {"Thread", "Timer", "ThreadPoolExecutor", "start_new_thread"}
    found = {
        f"{path.relative_to(ROOT)}: {node.attr if isinstance(node, ast.Attribute) else node.id}"
        for place in ("services", "shared", "deploy")
        for path in modules(place)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in starters)
        or (isinstance(node, ast.Name) and node.id in starters)
    }
    assert found == {"shared/process/thread.py: Thread", "shared/process/shutdown.py: start_new_thread"}


@pytest.mark.parametrize("number", HOMES)
def test_a_number_with_a_name_is_written_where_the_name_is(number: int) -> None:
    files = {
        str(path.relative_to(ROOT))
        for place in ("services", "shared", "deploy")
        for path in modules(place)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value == number
    }
    assert files == HOMES[number]

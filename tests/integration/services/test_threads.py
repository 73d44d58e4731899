"""No service goes on without one of its threads: if one dies, the process ends, for its supervisor to start again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
SERVICES = ("mempool", "wallet", "explorer", "miner")  # the mempool first: it writes the chain that others wait for


def documented() -> dict[str, list[str]]:
    """Return the threads of each service that docs/architecture.md lists; `http-N` as the first of its kind."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("\n| thread | ")[2].partition("\n\n")[0]
    threads: dict[str, list[str]] = {}
    for row in table.splitlines()[2:]:
        _, names, where, *_ = row.split("|")
        for place in where.split(","):
            threads.setdefault(place.strip(), []).extend(
                name.replace("-N", "-0") for name in re.findall(r"`([^`]+)`", names)
            )
    return threads


THREADS = documented()
ON_DEMAND = {"bus-replies", "scrypt-0", "compiler"}
"""Threads that start with the first work for them, or where a setting wants them."""


def expected(service: str, bus: str) -> set[str]:
    http = set() if service == "miner" else set(THREADS["HTTP services"])
    return http | set(THREADS[service]) | set(THREADS[f"bus: {bus}"])


def run(service: str, victims: list[str], folder: Path, **settings: str) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
    ports = {f"WARREN_{name}_PORT": "0" for name in ("WALLET", "EXPLORER", "RPC")}
    command = [sys.executable, "-m", "tests.integration.services.mortal", service, *victims]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment | ports | {"WARREN_DATA_DIR": str(folder), "WARREN_CREATOR_BLOCKS": "3"} | settings,
        capture_output=True,
        text=True,
        timeout=110,
    )
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    return {end["victim"]: end for end in ends} | {"log": done.stderr}


def threads_of(service: str, bus: str, folder: Path, **settings: str) -> set[str]:
    """Return the threads that a service has started, each of which the document lists."""
    soon = ",".join(expected(service, bus) - ON_DEMAND)
    ended = run(service, [f"+{soon}"], folder, **settings)
    assert ended[f"+{soon}"]["status"] == 0, ended["log"]
    threads = {re.sub(r"-\d+$", "-0", name) for name in ended[f"+{soon}"]["threads"]}
    assert threads <= expected(service, bus)
    return threads


def check_deaths(service: str, victims: set[str], folder: Path, **settings: str) -> None:
    ended = run(service, sorted(victims), folder, **settings)
    for victim in victims:
        assert ended[victim]["status"] == 1, f"{service} without {victim}\n{ended['log']}"
        assert f"the thread {victim} has died" in ended["log"]
    assert ended["log"].count("\nKilled\n") == len(victims), "each traceback is there"


def test_every_thread_of_every_service_is_documented_and_its_death_ends_the_service(
    redis, redis_url: str, tmp_path: Path
) -> None:
    for service in SERVICES:
        settings = {"WARREN_REDIS_URL": redis_url}
        threads = threads_of(service, "embedded", tmp_path, **settings)
        check_deaths(service, threads - {"scrypt-0"}, tmp_path, **settings)  # the wallet `creator` is there already


def test_the_death_of_a_connection_to_rabbitmq_ends_the_service(
    redis, redis_url: str, rabbitmq: str, tmp_path: Path
) -> None:
    settings = {"WARREN_REDIS_URL": redis_url, "WARREN_BROKER": "rabbitmq", "WARREN_AMQP_URL": rabbitmq}
    check_deaths("miner", threads_of("miner", "rabbitmq", tmp_path, **settings), tmp_path, **settings)

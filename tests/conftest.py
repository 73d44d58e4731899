"""Servers for tests, started when the first test asks for them.

The suite runs in parallel, a file at a time (`addopts` in pyproject.toml): every worker has servers and a browser of
its own. `-n 0` runs it in one process.

Without Docker and without an installed server such a test is skipped with the reason; where `CI` is set it fails.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pika
import pytest
import redis as redis_py
from hypothesis import is_hypothesis_test
from playwright.sync_api import Browser, sync_playwright

from deploy.setup.topology import declare
from shared.bus.rabbit.topology import QUEUES
from shared.chain.store import connect
from shared.primitives.transaction import Transaction
from shared.script.interpreter import verify_input
from tests import inherited
from tests.clusters import RabbitCluster, RedisCluster
from tests.properties import PROPERTY_SECONDS, load_profile
from tests.servers import RUNNING_RABBITMQ, RUNNING_REDIS, NoServer, Server, rabbitmq_server, redis_server

S = TypeVar("S", Server, RedisCluster, RabbitCluster)

MAX_WORKERS = 8
"""Each has servers of its own: about 200 MB."""

inherited.shed()
load_profile()
logging.getLogger("pika").setLevel(logging.CRITICAL)  # as shared.logs.setup does


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the servers and the browser that it needs."""
    _tell_apart(items)
    for item in items:
        needs = set(getattr(item, "fixturenames", ()))
        if needs & {"redis_url", "redis"}:
            item.add_marker("redis")
        if "browser" in needs:
            item.add_marker("browser")
        if needs & {"amqp_url", "rabbitmq"}:
            item.add_marker("rabbitmq")
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.timeout(PROPERTY_SECONDS))


def _tell_apart(items: list[pytest.Item]) -> None:
    """Let tests of one id have their names as ids: pytest 9.2 leaves the operation out of schemathesis's.

    Of several tests with one id, xdist runs a single one.
    """
    count = Counter(item.nodeid for item in items)
    for item in items:
        if count[item.nodeid] > 1:
            item._id = item.parent.id.child(item.name)
    if len({item.nodeid for item in items}) < len(items):
        raise pytest.UsageError("two tests have the same id, so that in parallel only one of them would run")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_this_shell() -> None:
    """Services that a test starts get its settings only, and would refuse the variables that are meant for tests."""
    for name in [name for name in os.environ if name.startswith("WARREN_")]:
        del os.environ[name]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two workers a core, since most tests wait for servers; none for a single file, or where output is shown."""
    is_one_file = len(config.args) == 1 and not Path(config.args[0].partition("::")[0]).is_dir()
    return 0 if is_one_file or config.option.capture == "no" else min(2 * (os.cpu_count() or 1), MAX_WORKERS)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, int]]:
    """Return txid and index of every input whose script was run."""
    found: list[tuple[bytes, int]] = []

    def counting(tx: Transaction, index: int, *arguments: object, **options: object) -> None:
        found.append((tx.txid, index))
        verify_input(tx, index, *arguments, **options)

    monkeypatch.setattr("services.mempool.pool.script_cache.verify_input", counting)
    return found


def run_server(make: Callable[[], S]) -> Iterator[S]:
    """Yield a running server, or cluster of them, and clean up after it; skip, or fail in CI, where there is none."""
    with contextlib.ExitStack() as stack:
        try:
            server = make()
            stack.callback(server.close)
            server.start()
        except NoServer as error:
            if os.environ.get("CI"):
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield server


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a private Redis (appendfsync always), shared by the whole run."""
    if RUNNING_REDIS:
        yield RUNNING_REDIS
        return
    for server in run_server(redis_server):
        yield server.url


@pytest.fixture
def redis(redis_url: str) -> Iterator[redis_py.Redis]:
    """A client of the private Redis, which is empty."""
    with connect(redis_url) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def amqp_url() -> Iterator[str]:
    """URL of a private RabbitMQ, shared by the whole run."""
    if RUNNING_RABBITMQ:
        yield RUNNING_RABBITMQ
        return
    for server in run_server(rabbitmq_server):
        yield server.url


@pytest.fixture
def rabbitmq(amqp_url: str) -> str:
    """URL of the private RabbitMQ, with exchanges and queues as setup makes them, and no messages."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    declare(connection)
    channel = connection.channel()
    for queue in QUEUES:
        channel.queue_purge(queue.name)
    connection.close()
    return amqp_url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium, one for the whole run: Playwright allows no second one beside it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on PATH")
        pytest.skip("no Chromium on PATH")
    quiet = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
    quiet += ["--disable-component-update", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        short = {**os.environ, "TMPDIR": "/tmp"}  # a path to a socket must be
        chromium = playwright.chromium.launch(executable_path=found, args=quiet, env=short)
        yield chromium
        chromium.close()

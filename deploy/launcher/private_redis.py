"""The private server of a data directory as a process: for a stack, or for a command while no stack runs."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.errors import LaunchError
from deploy.files import kept_secret, make_private_dir
from deploy.launcher import plan, redis_server
from deploy.launcher.options import child_environment
from deploy.processes import ports
from deploy.processes.log_files import last_lines
from deploy.processes.process import end_all, spawn, wait_until
from deploy.processes.supervisor import STOP_GRACE, Spec

LOADING_SECONDS = 600.0
"""Seconds to wait for the server: loading a large append-only file takes long."""


def private_redis(chain_dir: Path) -> tuple[Spec, str]:
    """Return the server's process, not yet started, and its URL; `LaunchError` if no server of this machine suits."""
    directory = chain_dir / "redis"
    binary = redis_server.find_binary(directory)
    password = kept_secret(chain_dir / "secrets" / "redis-password")
    port = ports.choose("127.0.0.1", {"redis": 0})["redis"]
    config = redis_server.prepare(directory, port, password)
    spec = Spec(
        name="redis",
        argv=(str(binary), config.name),
        cwd=directory,
        environment=child_environment(),
        log=chain_dir / "logs" / "redis.log",
        stop_rank=plan.StopRank.REDIS,
        is_ready=functools.partial(redis_server.answers, port, password),
    )
    return spec, f"redis://:{password}@127.0.0.1:{port}/0"


@contextmanager
def running_private_redis(chain_dir: Path) -> Iterator[str]:
    """Run the server for the length of a `with` block and yield its URL; the caller has locked the data directory."""
    for directory in (chain_dir / "logs", chain_dir / "secrets"):
        make_private_dir(directory)
    spec, url = private_redis(chain_dir)
    process = spawn(spec.argv, cwd=spec.cwd, environment=spec.environment, log=spec.log)
    try:
        wait_until(lambda: process.poll() is not None or spec.is_ready(), LOADING_SECONDS)
        if process.poll() is not None or not spec.is_ready():
            raise LaunchError(f"redis does not start; the end of {spec.log}:\n{last_lines(spec.log, 15)}")
        yield url
    finally:
        end_all([process], STOP_GRACE, lambda: False)

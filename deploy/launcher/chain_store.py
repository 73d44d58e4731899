"""The Redis that holds a chain, for commands that work on it while a stack runs or while none does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.errors import LaunchError
from deploy.files import make_private_dir
from deploy.launcher.preflight import check_directory
from deploy.launcher.private_redis import running_private_redis
from deploy.stack import state


@contextmanager
def redis_url_of(data_dir: Path, chain_name: str, named: str, *, writes: bool = False) -> Iterator[str]:
    """Yield the URL of the Redis that is `named`, else of the running stack's, else of the private one, which it runs.

    A command that `writes` needs a stack that is stopped, and keeps it so; else `LaunchError`.
    """
    with contextlib.ExitStack() as stack:
        running = state.read(data_dir)
        runs = running is not None and running.launcher.is_alive()
        if writes or not (named or runs):
            if not (writes or (data_dir / chain_name / "redis").is_dir()):
                raise LaunchError(f"there is no chain {chain_name} in {data_dir}")
            check_directory(data_dir)
            make_private_dir(data_dir)
            stack.enter_context(state.exclusive(data_dir))
            if running is not None and any(service.process.is_alive() for service in running.services):
                raise LaunchError(f"services of a killed launcher still run on {data_dir}: `warren down` ends them")
        if named:
            yield named
        elif running is not None and runs:
            if running.chain != chain_name:
                raise LaunchError(f"the stack on {data_dir} runs the chain {running.chain}: --chain names another")
            yield running_secret(data_dir, chain_name, "redis-url")
        else:
            yield stack.enter_context(running_private_redis(data_dir / chain_name))


def running_secret(data_dir: Path, chain_name: str, name: str) -> str:
    """Return a URL that the running stack's services read."""
    return (data_dir / chain_name / "secrets" / name).read_text(encoding="utf-8").strip()

"""What a running stack leaves in its data directory for `down`, `status`, `demo` and the next `up`.

`DIR/stack.lock` is held by the launcher while it runs; `DIR/stack.json` says what it started. If the lock is free and
the file is there, the launcher was killed: the next one first ends what is left of its processes.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from deploy.errors import LaunchError
from deploy.files import write_atomically
from deploy.processes import Identity


class ServiceState(msgspec.Struct, frozen=True, kw_only=True):
    """A service as it was last started, in the order in which services are stopped."""

    name: str
    process: Identity
    url: str = ""
    ready_url: str = ""
    log: str = ""


class StackState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that another command needs to know of a stack."""

    launcher: Identity
    chain: str
    ready: bool
    wallet_url: str
    explorer_url: str
    rpc_url: str
    creator_password_file: str
    cookie_file: str
    services: tuple[ServiceState, ...]

    def service(self, name: str) -> ServiceState:
        """Return one service; `LaunchError` if it is not part of this stack."""
        for service in self.services:
            if service.name == name:
                return service
        raise LaunchError(f"no service {name} in this stack")


def read(data_dir: Path) -> StackState | None:
    """Return what the data directory says of a stack, running or killed; None if there is none."""
    try:
        return msgspec.json.decode(_state_file(data_dir).read_bytes(), type=StackState)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, OSError) as error:
        raise LaunchError(f"cannot read {_state_file(data_dir)}: {error}") from None


def write(data_dir: Path, state: StackState) -> None:
    """Replace what the data directory says."""
    write_atomically(_state_file(data_dir), msgspec.json.format(msgspec.json.encode(state)).decode() + "\n")


def clear(data_dir: Path) -> None:
    """Say that no stack runs here."""
    _state_file(data_dir).unlink(missing_ok=True)


@contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Hold the data directory for one launcher; `LaunchError` if another one has it."""
    with (data_dir / "stack.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LaunchError(f"a stack already runs on {data_dir} (see `warren status`, `warren down`)") from None
        yield


def _state_file(data_dir: Path) -> Path:
    return data_dir / "stack.json"

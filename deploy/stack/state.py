"""State of a stack in its data directory, for `down`, `status`, `demo` and the next `up`.

The launcher holds `DIR/stack.lock` while it runs; `DIR/stack.json` lists the processes that it started. If the lock is
free and the file is there, the launcher was killed: the next one first ends the processes that are left.
Standard library only: `status` and `down` need no installation.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from deploy.errors import LaunchError
from deploy.files import is_disk_full, private_opener, write_atomically
from deploy.processes.process import Identity

_T = TypeVar("_T")

_ROOM = 1 << 14
"""Bytes that the state file always takes: blanks follow its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """A service as it was last started, in the order in which services are stopped."""

    name: str
    process: Identity
    started: float = 0.0
    """Seconds since 1970."""
    url: str = ""
    ready_url: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackState:
    """A stack, as other commands need to know it."""

    launcher: Identity
    started: float = 0.0
    """Seconds since 1970."""
    chain: str
    broker: str = "embedded"
    ready: bool
    """Whether all services have been ready at once."""
    wallet_url: str
    explorer_url: str
    rpc_url: str
    creator_password_file: str
    cookie_file: str
    services: tuple[ServiceState, ...]

    def service(self, name: str) -> ServiceState:
        """Return the service of this name; `LaunchError` if this stack has none."""
        for service in self.services:
            if service.name == name:
                return service
        raise LaunchError(f"no service {name} in this stack")


def read(data_dir: Path) -> StackState | None:
    """Return the stack of a data directory, running or killed; None if there is none.

    Raises `LaunchError` if the file cannot be read, or is of another version.
    """
    path = _state_file(data_dir)
    try:
        return _decode(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise LaunchError(f"{data_dir} is not a directory") from None
    except OSError as error:
        raise LaunchError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise LaunchError(
            f"{path} is damaged or of another version: end what is left of its stack, then delete it"
        ) from None


def write(data_dir: Path, state: StackState) -> None:
    """Replace the state file; on a full disk, write over it, within the room that it keeps for this."""
    path = _state_file(data_dir)
    text = json.dumps(asdict(state), indent=2).ljust(_ROOM) + "\n"
    try:
        write_atomically(path, text)
    except OSError as error:
        if not (is_disk_full(error) and path.exists()):
            raise
        with path.open("r+", encoding="utf-8") as file:
            file.write(text)


def clear(data_dir: Path) -> None:
    """Remove the state file: no stack runs here."""
    _state_file(data_dir).unlink(missing_ok=True)


@contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Lock the data directory for one launcher; `LaunchError` if another launcher holds it."""
    with open(data_dir / "stack.lock", "a", opener=private_opener) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise already_runs(data_dir) from None
        yield


def already_runs(data_dir: Path) -> LaunchError:
    """Return the error for a data directory that another launcher holds."""
    return LaunchError(f"a stack already runs on {data_dir} (see `warren status`, `warren down`)")


def _decode(content: dict[str, Any]) -> StackState:
    services = [
        _struct(ServiceState, {**entry, "process": _struct(Identity, entry["process"])})
        for entry in content["services"]
    ]
    launcher = _struct(Identity, content["launcher"])
    return _struct(StackState, {**content, "launcher": launcher, "services": tuple(services)})


def _struct(kind: type[_T], content: dict[str, Any]) -> _T:
    """Return a dataclass of these fields, without unknown ones (of other versions). `TypeError` if a type is wrong."""
    types = kind.__annotations__
    result = kind(**{name: value for name, value in content.items() if name in types})
    for name, wanted in types.items():
        found = type(getattr(result, name)).__name__
        if found != wanted.partition("[")[0] and (found, wanted) != ("int", "float"):
            raise TypeError(f"{name} is of type {found}")
    return result


def _state_file(data_dir: Path) -> Path:
    return data_dir / "stack.json"

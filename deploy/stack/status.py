"""Report on a stack: chain, height, pool, uptime, and each service with the reason if it is not ready.

Standard library only. It reads the launcher's state file, and asks the services over HTTP.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from deploy.files import has_space
from deploy.processes.log_files import last_line
from deploy.stack import healthcheck, state
from shared.durations import short_duration


class StackStatus(StrEnum):
    """State of a stack as a whole."""

    READY = "ready"
    STARTING = "starting"
    UNREADY = "not ready"
    KILLED = "killed"
    """Its launcher was killed; the next `up` or `down` ends the services that are left."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReport:
    """One service. `state` is `ready`, `running` (for a service without a port), `not ready` or `down`."""

    name: str
    pid: int
    state: str
    reason: str
    """The reason if it is not ready or down; else empty."""
    uptime: int
    """Seconds since it was last started."""
    url: str
    log: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The content of `warren status --json`; unknown values are null."""

    state: StackStatus
    data_dir: str
    chain: str | None = None
    height: int | None = None
    tip: str | None = None
    pool_transactions: int | None = None
    pool_vsize: int | None = None
    pool_fees: int | None = None
    """Satoshis."""
    uptime: int | None = None
    """Seconds since `up`."""
    wallet_url: str | None = None
    explorer_url: str | None = None
    rpc_url: str | None = None
    creator_password_file: str | None = None
    cookie_file: str | None = None
    services: tuple[ServiceReport, ...] = ()


def look(data_dir: Path) -> Report:
    """Return the report on the stack of a data directory; `LaunchError` if its state file cannot be read."""
    found = state.read(data_dir)
    if found is None:
        return Report(state=StackStatus.STOPPED, data_dir=str(data_dir))
    now = time.time()
    services = tuple(_service(service, now) for service in found.services)
    all_ready = all(service.state in ("ready", "running") for service in services)
    if not found.launcher.is_alive():
        overall = StackStatus.KILLED
    elif not found.ready:
        overall = StackStatus.STARTING
    else:
        overall = StackStatus.READY if all_ready else StackStatus.UNREADY
    tip = _ask(f"{found.explorer_url}/api/blocks", lambda blocks: (int(blocks[0]["height"]), str(blocks[0]["id"])))
    pool = _ask(
        f"{found.explorer_url}/api/mempool",
        lambda answer: (int(answer["count"]), int(answer["vsize"]), int(answer["total_fee"])),
    )
    return Report(
        state=overall,
        data_dir=str(data_dir),
        chain=found.chain,
        height=tip[0] if tip else None,
        tip=tip[1] if tip else None,
        pool_transactions=pool[0] if pool else None,
        pool_vsize=pool[1] if pool else None,
        pool_fees=pool[2] if pool else None,
        uptime=_seconds(found.started, now) if found.launcher.is_alive() else None,
        wallet_url=found.wallet_url,
        explorer_url=found.explorer_url,
        rpc_url=found.rpc_url,
        creator_password_file=found.creator_password_file if Path(found.creator_password_file).exists() else None,
        cookie_file=found.cookie_file,
        services=services,
    )


def as_json(report: Report) -> list[str]:
    """Return the report for programs."""
    return json.dumps(asdict(report), indent=2).splitlines()


def lines(report: Report) -> list[str]:
    """Return the report for people."""
    if report.state is StackStatus.STOPPED:
        return [f"no stack runs on {report.data_dir} (`warren up` starts one)"]
    told = [
        f"{report.state}: chain {report.chain} at height {_known(report.height)}, "
        f"{_known(report.pool_transactions)} transactions in the pool, up {_uptime(report.uptime)}",
        f"{'service':<12}{'pid':<9}{'state':<11}{'up':<14}url",
    ]
    if report.state is StackStatus.KILLED:
        told[0] = f"the launcher of {report.data_dir} was killed: `warren down` ends what is left, `warren up` goes on"
    for service in report.services:
        up = short_duration(service.uptime) if service.state != "down" else "-"
        told.append(f"{service.name:<12}{service.pid:<9}{service.state:<11}{up:<14}{service.url}".rstrip())
    told += [f"{service.name}: {service.reason}" for service in report.services if service.reason]
    if not has_space(Path(report.data_dir)):
        told.append(f"disk full: {report.data_dir}")
    if report.creator_password_file:
        told.append(f"creator's password: {report.creator_password_file}")
    return told


def _service(service: state.ServiceState, now: float) -> ServiceReport:
    condition, reason = _condition(service)
    return ServiceReport(
        name=service.name,
        pid=service.process.pid,
        state=condition,
        reason=reason,
        uptime=_seconds(service.started, now),
        url=service.url,
        log=service.log,
    )


def _condition(service: state.ServiceState) -> tuple[str, str]:
    """Return the state of a service, and the reason if it is not ready or running."""
    if not service.process.is_alive():
        said = last_line(Path(service.log)) if service.log else ""
        return "down", f"it has ended; the end of {service.log}: {said or '(empty)'}"
    if not service.ready_url:
        return "running", ""
    answer = healthcheck.get(service.ready_url)
    if answer.status == http.client.OK:
        return "ready", ""
    lacks = healthcheck.missing(answer)
    if lacks:
        told = (f"{name} ({reason})" if reason else name for name, reason in lacks.items())
        return "not ready", f"it waits for: {', '.join(told)}"
    return "not ready", f"{service.ready_url} {f'answers {answer.status}' if answer.status else 'does not answer'}"


def _ask(url: str, read: Callable[[Any], tuple[Any, ...]]) -> tuple[Any, ...] | None:
    """Return the values that `read` takes from the JSON at a URL; None if there is no such JSON."""
    answer = healthcheck.get(url)
    try:
        return read(json.loads(answer.body)) if answer.status == http.client.OK else None
    except (ValueError, TypeError, LookupError):
        return None


def _seconds(since: float, now: float) -> int:
    return max(0, round(now - since))


def _known(value: int | None) -> str:
    return "(unknown)" if value is None else str(value)


def _uptime(seconds: int | None) -> str:
    return "(unknown)" if seconds is None else short_duration(seconds)

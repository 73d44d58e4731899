"""Plans the processes of a stack, their settings, and the order of stopping them. Starts nothing."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from deploy.launcher.options import UpOptions
from deploy.processes.supervisor import Spec
from deploy.setup.environment import ROOT
from deploy.stack import healthcheck

ServicePlan = Callable[[UpOptions, Mapping[str, int], "Secrets", Mapping[str, str]], list[Spec]]


class StopRank(IntEnum):
    """Order of stopping: clients before the services that they call."""

    FRONT = 0
    MINERS = 1
    MEMPOOL = 2
    TOPOLOGY = 3
    REDIS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Files with values that must not appear in process lists and logs."""

    redis_url: Path
    amqp_url: Path | None
    rpc_password: Path | None


def urls(host: str, ports: Mapping[str, int]) -> dict[str, str]:
    """Return the URL of each HTTP service for a browser on this machine; an any-address host becomes loopback."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host) or (f"[{host}]" if ":" in host else host)  # noqa: S104
    return {name: f"http://{reached}:{port}" for name, port in ports.items()}


def services(
    options: UpOptions, ports: Mapping[str, int], secrets: Secrets, environment: Mapping[str, str]
) -> list[Spec]:
    """Return the services of a stack, in the order in which they are started.

    `ports` has those of wallet, explorer and rpc, and one under each standby mempool's name. All services inherit
    `environment`.
    """
    found = urls(options.host, ports)
    bus = {"WARREN_CHAIN": options.chain, "WARREN_BROKER": options.broker}
    if secrets.amqp_url is not None:
        bus["WARREN_AMQP_URL_FILE"] = str(secrets.amqp_url)
    store = {"WARREN_REDIS_URL_FILE": str(secrets.redis_url)}
    common = bus | store
    common |= {
        "WARREN_HOST": options.host,
        "WARREN_WALLET_PORT": str(ports["wallet"]),
        "WARREN_EXPLORER_PORT": str(ports["explorer"]),
        "WARREN_RPC_PORT": str(ports["rpc"]),
        "WARREN_WALLET_URL": found["wallet"],
        "WARREN_EXPLORER_URL": found["explorer"],
        "WARREN_RPC_URL": found["rpc"],
        "WARREN_DATA_DIR": str(options.data_dir),
        "WARREN_CREATOR_BLOCKS": str(options.creator_blocks),
    }
    node = dict(common)
    if secrets.rpc_password is not None:
        node |= {"WARREN_RPC_USER": options.rpc_user, "WARREN_RPC_PASSWORD_FILE": str(secrets.rpc_password)}
    mining = bus | (store if options.broker == "embedded" else {})

    def spec(name: str, package: str, rank: StopRank, own: Mapping[str, str], url: str = "") -> Spec:
        ready_url = f"{url}/readyz" if url else ""
        return Spec(
            name=name,
            argv=(sys.executable, "-m", package),
            cwd=ROOT,
            environment={**environment, **own},
            log=options.chain_dir / "logs" / f"{name}.log",
            stop_rank=rank,
            is_ready=functools.partial(healthcheck.answers, ready_url) if url else lambda: True,
            url=url,
            ready_url=ready_url,
        )

    specs = [spec("mempool", "services.mempool", StopRank.MEMPOOL, node, found["rpc"])]
    specs += [
        spec(f"miner-{number}", "services.miner", StopRank.MINERS, {**mining, "WARREN_MINER_NAME": f"miner-{number}"})
        for number in range(1, options.miners + 1)
    ]
    specs.append(spec("wallet", "services.wallet", StopRank.FRONT, common, found["wallet"]))
    specs.append(spec("explorer", "services.explorer", StopRank.FRONT, common, found["explorer"]))
    for name in standby_names(options):
        own = {"WARREN_RPC_PORT": str(ports[name])}
        specs.append(spec(name, "services.mempool", StopRank.MEMPOOL, node | own, found[name]))
    if options.broker == "rabbitmq":
        specs.insert(0, spec("topology", "deploy.setup.topology", StopRank.TOPOLOGY, bus))
    return specs


def standby_names(options: UpOptions) -> list[str]:
    """Return the names of the standby mempool instances."""
    return [f"mempool-{number}" for number in range(2, options.mempools + 1)]

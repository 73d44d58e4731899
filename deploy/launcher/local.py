"""The embedded launcher: runs the whole stack on this machine, from an empty directory to the line `ready`.

deploy.cli up ─▶ Stack.run:  lock the data directory ─▶ end what a killed launcher left ─▶ choose ports
                             ─▶ Redis ─▶ all services at once ─▶ wait until each is ready ─▶ watch ─▶ stop in order
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.console import Console
from deploy.errors import Interrupted, LaunchError
from deploy.files import make_private_dir, write_atomically
from deploy.launcher import plan
from deploy.launcher.mining import set_mining_mode
from deploy.launcher.options import UpOptions, child_environment
from deploy.launcher.preflight import wanted_ports
from deploy.launcher.private_redis import LOADING_SECONDS, private_redis
from deploy.processes import ports
from deploy.processes.process import end_leftover, identify
from deploy.processes.signals import Signals
from deploy.processes.supervisor import Child, Spec, Supervisor
from deploy.stack import healthcheck, state
from shared.config import Settings

READY_SECONDS = 60.0
BOOTSTRAP_SECONDS = 30.0
"""Seconds that `ready` waits for the creator's first blocks; a chain of high difficulty takes longer."""
_DEFAULT_DIR = Settings().data_dir.absolute()


class Stack:
    """One stack on one data directory."""

    def __init__(self, options: UpOptions, console: Console, services: plan.ServicePlan = plan.services) -> None:
        """Print lines for people on `console`; `services` plans which services run."""
        self._services = services
        self._options = options
        self._console = console
        self._say = console.say
        self._signals = Signals()
        self._supervisor = Supervisor(self._signals, self._say, self._write_state)
        self._launcher = identify(os.getpid())
        self._started = time.time()
        self._ready = False
        self._ports: dict[str, int] = {}

    def run(self) -> int:
        """Run until a signal asks to stop; return the exit status.

        Call `preflight` first. Raises `LaunchError` if the stack does not start all the same.
        """
        started = time.monotonic()
        options = self._options
        self._signals.install()
        for directory in (options.chain_dir / "logs", options.chain_dir / "secrets"):
            make_private_dir(directory)
        with state.exclusive(options.data_dir):
            self._end_leftovers()
            why = ""
            try:
                self._start(started)
                self._supervisor.watch()
                status = 0
            except Interrupted:
                status = 130
            except LaunchError as error:  # printed in full at the very end; stopping may take a while
                why = f": {error}".partition(";")[0]
                raise
            finally:
                if self._supervisor.children:
                    self._say(f"stopping{why}")
                self._supervisor.stop()
                state.clear(options.data_dir)
            self._say("stopped; chain, pool and wallets are kept")
            return status

    def _start(self, started: float) -> None:
        options = self._options
        self._ports = ports.choose(
            options.host, {**wanted_ports(options), **dict.fromkeys(plan.standby_names(options), 0)}
        )
        self._say(f"starting chain {options.chain_name}, kept in {options.data_dir}")
        self._write_state()
        secrets = plan.Secrets(
            redis_url=self._secret("redis-url", options.redis_url or self._start_redis()),
            amqp_url=self._secret("amqp-url", options.amqp_url) if options.broker == "rabbitmq" else None,
            rpc_password=self._secret("rpc-password", options.rpc_password) if options.rpc_password else None,
        )
        specs = self._services(options, self._ports, secrets, child_environment())
        for spec in specs:
            self._supervisor.start(spec)
        self._wait_ready(specs)
        if options.mining:
            self._set_mining_mode()
        self._announce(started)

    def _start_redis(self) -> str:
        """Start the private Redis and return its URL."""
        spec, url = private_redis(self._options.chain_dir)
        self._supervisor.start(spec)
        self._supervisor.wait_ready(["redis"], LOADING_SECONDS, self._progress)
        return url

    def _wait_ready(self, specs: list[Spec]) -> None:
        """Wait for all services, but only for a while for the blocks that a first start mines for the creator."""
        others = [spec.name for spec in specs if spec.name != "wallet"]
        self._supervisor.wait_ready(others, READY_SECONDS, self._progress)
        deadline = time.monotonic() + BOOTSTRAP_SECONDS
        ready_url = next(spec.ready_url for spec in specs if spec.name == "wallet")
        while (healthcheck.missing(healthcheck.get(ready_url)) or {}).keys() == {"bootstrap"}:
            if time.monotonic() > deadline:
                self._progress([child for child in self._supervisor.children if child.spec.name == "wallet"], [])
                self._say("the creator's first blocks are still being mined; the wallet page shows them as they come")
                return
            self._console.waiting("waiting for wallet: the creator's first blocks are being mined")
            self._supervisor.pause(0.05)
        self._supervisor.wait_ready(["wallet"], READY_SECONDS, self._progress)

    def _set_mining_mode(self) -> None:
        options = self._options
        credentials = f"{options.rpc_user}:{options.rpc_password}"
        if not options.rpc_password:
            credentials = self._cookie_file.read_text(encoding="utf-8").strip()
        rpc_url = plan.urls(options.host, self._ports)["rpc"]
        address = set_mining_mode(rpc_url, credentials, options.mining, options.mining_address)
        self._say(f"mining: {options.mining}{f', paid to {address}' if address else ''}")

    def _progress(self, ready: Sequence[Child], waiting: Sequence[Child]) -> None:
        """Print each service once it is ready, and the others as progress."""
        for child in ready:
            self._say(f"{child.spec.name:<10} pid {child.process.pid:<7} {child.spec.url}".rstrip())
        if waiting:
            self._console.waiting(f"waiting for {', '.join(child.spec.name for child in waiting)}")

    def _announce(self, started: float) -> None:
        self._ready = True
        self._write_state()
        found = plan.urls(self._options.host, self._ports)
        creator, then = "", f"and mine to it at {found['rpc']}/mine"
        if self._password_file.exists():
            creator, then = "/creator", f"or try `./warren demo{self._place()}`"
            self._say(f"creator's password: {self._password_file}")
        self._say(f"next: make a wallet of your own at {found['wallet']}/wallet_1, {then}")
        self._say(
            f"ready in {time.monotonic() - started:.1f} s: wallet {found['wallet']}{creator}  "
            f"explorer {found['explorer']}  rpc {found['rpc']}"
        )

    def _place(self) -> str:
        """Return the option that names this data directory to other commands; empty if it is their default."""
        directory = self._options.data_dir
        return "" if directory == _DEFAULT_DIR else f" --data-dir {shlex.quote(str(directory))}"

    def _end_leftovers(self) -> None:
        """End the services that a killed launcher has left running, in order."""
        old = state.read(self._options.data_dir)
        for service in old.services if old else ():
            if service.process.is_alive():
                self._say(f"ending {service.name} (pid {service.process.pid}) of a launcher that was killed")
                end_leftover(service.process)
        state.clear(self._options.data_dir)

    def _secret(self, name: str, value: str) -> Path:
        path = self._options.chain_dir / "secrets" / name
        write_atomically(path, value + "\n")
        return path

    @property
    def _password_file(self) -> Path:
        return self._options.chain_dir / "creator-password"

    @property
    def _cookie_file(self) -> Path:
        """The cookie's path as bitcoin-cli expects it: that of mainnet lies in the data directory itself."""
        options = self._options
        return (options.data_dir if options.chain_name == "main" else options.chain_dir) / ".cookie"

    def _write_state(self) -> None:
        found = plan.urls(self._options.host, self._ports)
        children = sorted(self._supervisor.children, key=lambda child: child.spec.stop_rank)
        services = tuple(
            state.ServiceState(
                name=child.spec.name,
                process=child.identity,
                started=child.started,
                url=child.spec.url,
                ready_url=child.spec.ready_url,
                log=str(child.spec.log),
            )
            for child in children
        )
        state.write(
            self._options.data_dir,
            state.StackState(
                launcher=self._launcher,
                started=self._started,
                chain=self._options.chain_name,
                broker=self._options.broker,
                ready=self._ready,
                wallet_url=found["wallet"],
                explorer_url=found["explorer"],
                rpc_url=found["rpc"],
                creator_password_file=str(self._password_file),
                cookie_file=str(self._cookie_file),
                services=services,
            ),
        )

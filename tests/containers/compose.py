"""A stack of compose.yaml's containers for tests: its own project, ports and images, and nothing left in the end."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.load.client import Client
from tests.servers import free_ports

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
_PATIENCE = 600


class ComposeFailure(Exception):
    """Docker Compose failed; the message is the end of its output."""


class ComposeStack:
    """The containers of one project, by Docker's own commands."""

    def __init__(self, name: str, files: Sequence[str] = ("compose.yaml",), **variables: str) -> None:
        self.name = f"warren-test-{name}-{os.getpid()}"
        self._files = files
        ports = free_ports(4)
        self.wallet_url, self.explorer_url, self.rpc_url, self.management_url = (
            f"http://127.0.0.1:{port}" for port in ports
        )
        names = ("WARREN_WALLET_PORT", "WARREN_EXPLORER_PORT", "WARREN_RPC_PORT", "RABBITMQ_MANAGEMENT_PORT")
        self._image = f"{self.name}:1"
        self._images = [self._image]
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("COMPOSE_")},
            **{name: str(port) for name, port in zip(names, ports, strict=True)},
            "COMPOSE_PROJECT_NAME": self.name,
            "COMPOSE_FILE": os.pathsep.join(str(DEPLOY / file) for file in files),
            "SERVICE_IMAGE": self._image,
            **variables,
        }

    def up(self, *arguments: str) -> None:
        """Start or change the containers, and return when all are healthy."""
        try:
            self.compose("up", "--detach", "--wait", *arguments)
        except ComposeFailure as failure:
            raise ComposeFailure(f"{failure}\n{self._health(str(failure))}") from None

    def compose(self, *arguments: str) -> str:
        """Run `docker compose`; return what it prints."""
        return self.run("docker", "compose", *arguments)

    def run(self, *command: str) -> str:
        """Run a command that the project's variables reach; return what it prints; `ComposeFailure` if it fails."""
        reply = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
        if reply.returncode != 0:
            raise ComposeFailure(f"{' '.join(command)}: {(reply.stdout + reply.stderr)[-3000:]}")
        return reply.stdout

    def warnings(self, *services: str) -> list[str]:
        """Return what the containers of services have logged, without the good news."""
        lines = self.compose("logs", "--no-color", *services).splitlines()
        return [line for line in lines if " INFO " not in line][-60:]

    def _health(self, output: str) -> str:
        """Return what the health checks of the containers said that Compose calls unhealthy."""
        names = re.findall(r"container (\S+) is unhealthy", output)
        checks = {name: self.inspect(name)["State"]["Health"]["Log"][-3:] for name in names}
        logs = [self.run("docker", "logs", "--tail", "20", name) for name in names]
        return "\n".join([json.dumps(checks, indent=1), *logs])

    def containers(self, *services: str) -> dict[str, list[str]]:
        """Return the ids of the running containers of services."""
        return {service: sorted(self.compose("ps", "-q", service).split()) for service in services}

    def inspect(self, container: str) -> dict[str, Any]:
        """Return what Docker knows of a container."""
        found: dict[str, Any] = json.loads(self.run("docker", "inspect", container))[0]
        return found

    def exec(self, service: str, *command: str, user: str = "") -> str:
        """Run a command in a container of a service; return what it prints, without white space around it."""
        return self.compose("exec", "-T", *(("-u", user) if user else ()), service, *command).strip()

    def next_image(self) -> None:
        """Make an image that differs from the present one, for the next start."""
        image = f"{self.name}:{len(self._images) + 1}"
        for end in ("", "-miner"):
            recipe = f"FROM {self._image}{end}\nLABEL version={len(self._images) + 1}\n"
            command = ["docker", "build", "-q", "-t", f"{image}{end}", "-"]
            subprocess.run(command, input=recipe, text=True, check=True, stdout=subprocess.DEVNULL)
        self._images.append(image)
        self._image = self.environment["SERVICE_IMAGE"] = image

    def creator(self) -> str:
        """Return the password of the wallet `creator`."""
        return self.exec("wallet", "cat", "/data/regtest/creator-password")

    def node(self) -> Client:
        """Return a client of the node's port that may call JSON-RPC."""
        cookie = self.exec("mempool", "cat", "/data/regtest/.cookie")
        return Client(self.rpc_url, {"Authorization": f"Basic {base64.b64encode(cookie.encode()).decode()}"})

    def close(self) -> None:
        """Remove containers, networks, volumes and images."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "3")
        images = [f"{image}{end}" for image in reversed(self._images) for end in ("", "-miner")]
        subprocess.run(["docker", "rmi", "-f", *images], check=False, capture_output=True)


def call(node: Client, method: str, *parameters: object) -> Any:
    """Return the result of a JSON-RPC call."""
    reply = node.post_json("/", {"id": 1, "method": method, "params": parameters})
    assert reply.status == 200, reply
    return reply.json["result"]


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition; fail if it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)


def mined(stack: ComposeStack) -> Mapping[str, Any]:
    """Return height and balance of the wallet `creator`."""
    found: Mapping[str, Any] = Client(stack.wallet_url).get("/api/wallets/creator").json
    return found

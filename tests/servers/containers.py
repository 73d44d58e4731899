"""Redis and RabbitMQ in containers."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shlex
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.demo.target import COMPOSE_FILE
from tests.servers.native_rabbitmq import AMQP_URL, rabbitmq_answers
from tests.servers.native_redis import AOF, redis_answers
from tests.servers.server import LOG_TAIL, PASSWORD, NoServer, Server, free_port, wait_for

_WANTED = os.environ.get("WARREN_TEST_SERVERS", "")
_IMAGES = os.environ.get("WARREN_TEST_IMAGES", "").split()


def uses_docker() -> bool:
    """Whether tests use containers: as the environment says, else if Docker answers."""
    if _IMAGES and _WANTED != "native":
        return True
    if _WANTED:
        if _WANTED not in ("native", "docker"):
            raise ValueError(f"WARREN_TEST_SERVERS is 'native' or 'docker', not {_WANTED!r}")
        return _WANTED == "docker"
    return docker_answers()


def docker_answers() -> bool:
    """Whether a Docker daemon is there for this user."""
    if "DOCKER_HOST" not in os.environ and not _is_listening_at("/var/run/docker.sock"):
        return False  # Docker's client leaves a socket open when nobody is there
    import docker

    try:
        with contextlib.closing(docker.from_env(timeout=5)) as client:
            return bool(client.ping())
    except docker.errors.DockerException:
        return False


def _is_listening_at(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _image(*kinds: str) -> str:
    """Return the image of the environment whose name begins with one of these; else the one that compose.yaml has."""
    shipped = re.findall(r"image: \$\{\w+:-([^}]+)\}", COMPOSE_FILE.read_text(encoding="utf-8"))
    return next(image for image in [*_IMAGES, *shipped] if image.startswith(kinds))


class Container(Server):
    """A server in a container; in `url`, `{port}` is replaced by its port on this machine."""

    def __init__(
        self,
        image: str,
        port: int,
        url: str,
        answers: Callable[[str], bool],
        command: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
        from testcontainers.core.container import DockerContainer

        host_port = free_port()
        self.url = url.format(port=host_port)
        self._answers = answers
        # The node's data has its name in it, so the name must outlive a restart.
        self._container: Any = DockerContainer(image, command=command, env=environment, hostname="test")
        self._container.ports = {f"{port}/tcp": ("127.0.0.1", host_port)}  # with_bind_ports knows no address
        self._log = Path(os.devnull)
        self._started = False

    def start(self) -> None:
        if self._started:
            self._container.get_wrapped_container().start()
        else:
            import docker

            self._started = True
            try:
                self._container.start()
            except docker.errors.ImageNotFound as error:
                raise NoServer(f"cannot get a container image: {error.explanation}") from None
        wait_for(self._answers, self.url, 90, lambda: True, self._log)

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def stop(self) -> None:
        self._container.get_wrapped_container().stop()

    def log(self) -> str:
        text: str = self._container.get_wrapped_container().logs().decode(errors="replace")
        return text[-LOG_TAIL:]

    def close(self) -> None:
        if self._started:
            if self._container.get_wrapped_container() is not None:
                self._container.stop()
            self._container.get_docker_client().client.close()


class ContainerRedis(Container):
    """A Redis or Valkey of the version that the environment names."""

    def __init__(self) -> None:
        command = " ".join(["redis-server", *AOF])
        super().__init__(_image("redis", "valkey"), 6379, "redis://127.0.0.1:{port}/0", redis_answers, command=command)


class ContainerRabbitMQ(Container):
    """A RabbitMQ of the version that the environment names."""

    def __init__(self) -> None:
        environment = {"RABBITMQ_DEFAULT_USER": "test", "RABBITMQ_DEFAULT_PASS": PASSWORD, "HOSTNAME": "rabbit"}
        super().__init__(_image("rabbitmq"), 5672, AMQP_URL, rabbitmq_answers, environment=environment)

    def define(self, definitions: str) -> None:
        """Have it import definitions as `NativeRabbitMQ.define` does."""
        encoded = base64.b64encode(definitions.encode()).decode()
        self._run(f"echo {encoded} | base64 -d | rabbitmqctl import_definitions /dev/stdin")

    def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl` as `NativeRabbitMQ.control` does."""
        return self._run(f"rabbitmqctl {shlex.join(arguments)}")

    def _run(self, command: str) -> str:
        status, output = self._container.get_wrapped_container().exec_run(["sh", "-c", command])
        if status:
            raise subprocess.CalledProcessError(status, command, output)
        text: str = output.decode(errors="replace")
        return text

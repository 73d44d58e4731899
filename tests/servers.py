"""Private Redis and RabbitMQ servers for tests: containers where Docker answers, else processes of our own.

`WARREN_TEST_SERVERS=native` or `docker` decides instead. `WARREN_TEST_ENGINE=redis` or `valkey` decides which installed
server holds the chain, else Redis where there is one; `WARREN_TEST_IMAGES="redis:7 rabbitmq:3-management"` names images
for containers, else those of compose.yaml. Every server has a free port on 127.0.0.1, a directory of its own and no
names in common with another, so any number can run side by side. `kill` and `start` again keep port and data: that is
how the tests crash a server.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pika
import redis

from deploy.demo.target import COMPOSE_FILE
from deploy.launcher.redis_server import binaries, engine_of
from deploy.processes import ports
from shared.bus.rabbit.parameters import parameters
from shared.chain.server_version import OLDEST
from shared.servers.open_redis import open_redis

_WANTED = os.environ.get("WARREN_TEST_SERVERS", "")
ENGINE = os.environ.get("WARREN_TEST_ENGINE", "")
if ENGINE not in ("", "redis", "valkey"):
    raise ValueError(f"WARREN_TEST_ENGINE is 'redis' or 'valkey', not {ENGINE!r}")
RUNNING_REDIS = os.environ.get("WARREN_TEST_REDIS_URL", "")
RUNNING_RABBITMQ = os.environ.get("WARREN_TEST_AMQP_URL", "")
"""URL of a running server for tests that crash none; the person who starts it keeps it up between runs."""
_IMAGES = os.environ.get("WARREN_TEST_IMAGES", "").split()
PASSWORD = "not-a-secret-4711"  # in every AMQP URL, so that tests can look for it in logs
_LOG_TAIL = 20_000
"""Characters of a server's log that a failed test shows: enough for all of a start."""
_RABBITMQ_HOMES = ("/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
_RABBITMQ_PATH = os.pathsep.join([*_RABBITMQ_HOMES, os.environ.get("PATH", "")])


class NoServer(Exception):
    """Neither Docker nor an installed server; the message says what to install."""


class Server(ABC):
    """A server that can be started, crashed and started again with the same URL and data."""

    url: str

    @abstractmethod
    def start(self) -> None:
        """Start, and return when it answers."""

    @abstractmethod
    def kill(self) -> None:
        """Crash it: no clean shutdown."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it in order; `start` brings it back."""

    @abstractmethod
    def log(self) -> str:
        """Return the end of its own log."""

    @abstractmethod
    def close(self) -> None:
        """Stop it and remove everything it left."""


def redis_server() -> Server:
    """Return a Redis with every write on disk before it is confirmed, not yet started."""
    if uses_docker():
        command = " ".join(["redis-server", *_AOF])
        return _Container(_image("redis", "valkey"), 6379, _redis_url, redis_answers, command=command)
    return NativeRedis()


def rabbitmq_server() -> NativeRabbitMQ | ContainerRabbitMQ:
    """Return a RabbitMQ, not yet started."""
    return ContainerRabbitMQ() if uses_docker() else NativeRabbitMQ()


_AOF = ("--save", "''", "--appendonly", "yes", "--appendfsync", "always")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that no other process of ours is given while this one lives."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return `count` different free ports."""
    return list(ports.choose("127.0.0.1", {str(number): 0 for number in range(count)}).values())


def _redis_url(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


_AMQP_URL = f"amqp://test:{PASSWORD}@127.0.0.1:{{port}}/%2F"


def _amqp_url(port: int) -> str:
    return _AMQP_URL.format(port=port)


def redis_answers(url: str) -> bool:
    with contextlib.closing(open_redis(url, redis.Redis, socket_timeout=2)) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def _rabbitmq_answers(url: str) -> bool:
    (asked,) = parameters(url)
    asked.socket_timeout = asked.stack_timeout = 5
    try:
        pika.BlockingConnection(asked).close()
    except (pika.exceptions.AMQPError, OSError):
        return False
    return True


def wait_for(answers: Callable[[str], bool], url: str, seconds: float, alive: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not answers(url):
        if not alive() or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise RuntimeError(f"a test server did not come up\n{tail}")
        time.sleep(0.05)


# ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────


class Process:
    """A child in a session of its own, with its output in a file."""

    def __init__(self, command: list[str], log: Path, cwd: Path, environment: dict[str, str] | None = None) -> None:
        with log.open("ab") as out:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=cwd,
                env=environment,
                start_new_session=True,
            )

    def alive(self) -> bool:
        return self._child.poll() is None

    def signal(self, number: int) -> None:
        """Signal the whole session."""
        os.killpg(self._child.pid, number)

    def stop(self, number: int, seconds: float = 20.0) -> bool:
        """Signal the whole session; kill its remaining processes after `seconds`. Return whether none was left."""
        in_time = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)
            deadline = time.monotonic() + seconds
            while self._child.poll() is None or _group_alive(self._child.pid):
                if time.monotonic() > deadline:
                    in_time = False
                    os.killpg(self._child.pid, signal.SIGKILL)
                time.sleep(0.02)
        self._child.wait()
        return in_time


def _group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


class NativeServer(Server):
    """A server of this machine, with its data in a directory of its own."""

    _directory: Path
    _process: Process | None = None

    def kill(self) -> None:
        assert self._process is not None
        self._process.stop(signal.SIGKILL)

    def stop(self) -> None:
        assert self._process is not None
        if not self._process.stop(signal.SIGTERM, seconds=90):  # its data is that of a crash, which no test asked for
            raise RuntimeError(f"a test server did not stop in order\n{self.log()}")

    def pause(self) -> None:
        """Stop its processes where they are, until `resume`."""
        assert self._process is not None
        self._process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        assert self._process is not None
        self._process.signal(signal.SIGCONT)

    def revive(self) -> None:
        """Resume it, or start it if it was killed."""
        assert self._process is not None
        if self._process.alive():
            self.resume()
        else:
            self.start()

    def log(self) -> str:
        files = sorted(path for path in self._directory.glob("log*/*") if path.is_file())
        texts = (path.read_text(errors="replace") for path in [self._directory / "log", *files] if path.is_file())
        return "\n".join(texts)[-_LOG_TAIL:]


class NativeRedis(NativeServer):
    """A Redis of this machine. `options` go to its command line; of `url`, `{port}` is replaced by its port."""

    def __init__(self, *options: str, url: str = "redis://127.0.0.1:{port}/0") -> None:
        self._binary = redis_binary(ENGINE)
        self._directory = Path(tempfile.mkdtemp(prefix="warren-redis-"))
        self.port = free_port()
        self.url = url.format(port=self.port)
        self._options = [option.format(port=self.port) for option in options or ("--port", "{port}")]

    def start(self) -> None:
        log = self._directory / "log"
        options = [*self._options, "--bind", "127.0.0.1", "--dir", str(self._directory), *_AOF]
        command = [str(self._binary), *(option.strip("'") for option in options)]
        self._process = Process(command, log, self._directory)
        wait_for(redis_answers, self.url, 20, self._process.alive, log)

    def close(self) -> None:
        if self._process is not None:
            self._process.stop(signal.SIGTERM)
        shutil.rmtree(self._directory, ignore_errors=True)


def servers() -> dict[str, Path]:
    """Return the servers of this machine that may hold a chain, by kind and version."""
    found = [(engine_of(binary), binary) for binary in binaries()]
    return {str(engine): binary for engine, binary in found if engine is not None and engine.version >= OLDEST}


def redis_binary(kind: str) -> Path:
    """Return the first server of a kind that this machine has; of any kind, a Redis before a Valkey."""
    for wanted in [kind] if kind else ["redis", "valkey"]:
        for name, binary in servers().items():
            if name.lower().startswith(wanted):
                return binary
    raise NoServer(f"install {kind or 'redis'}-server or Docker")


class NameServer:
    """Erlang's, of our own, so that no other node of this machine is seen or disturbed."""

    def __init__(self) -> None:
        binary = shutil.which("epmd", path=_RABBITMQ_PATH)
        if binary is None:
            raise NoServer("install rabbitmq-server or Docker")
        self._binary = binary
        self._directory = Path(tempfile.mkdtemp(prefix="warren-epmd-"))
        self.port = free_port()
        self._process: Process | None = None

    def start(self) -> None:
        """Start it if it does not run."""
        if self._process is None:
            log = self._directory / "out"
            command = [self._binary, "-port", str(self.port), "-address", "127.0.0.1"]
            self._process = Process(command, log, self._directory)
            wait_for(lambda _: _listening(self.port), "", 10, self._process.alive, log)

    def close(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop(signal.SIGTERM)
        shutil.rmtree(self._directory, ignore_errors=True)


class NativeRabbitMQ(NativeServer):
    """Debian's or the official layout.

    `settings` are lines of rabbitmq.conf, `erlang` are arguments of the virtual machine; in `url` and `settings`,
    `{port}` is replaced by the node's port. Nodes of one cluster have `names` and `cookie` in common.
    """

    def __init__(
        self,
        settings: str = "listeners.tcp.default = 127.0.0.1:{port}",
        erlang: str = "",
        url: str = _AMQP_URL,
        names: NameServer | None = None,
        cookie: str = "",
    ) -> None:
        binary = shutil.which("rabbitmq-server", path=_RABBITMQ_PATH)
        if binary is None:
            raise NoServer("install rabbitmq-server or Docker")
        self._binary = binary
        self._own_names = NameServer() if names is None else None
        self._names = self._own_names or names
        self._directory = Path(tempfile.mkdtemp(prefix="warren-rabbitmq-"))
        self.port, dist_port = free_ports(2)
        self.node = f"warren{self.port}@localhost"
        self.url = url.format(port=self.port)
        self._environment = self._configure(dist_port, settings, erlang)
        if cookie:
            file = self._directory / "home" / ".erlang.cookie"
            file.write_text(cookie)
            file.chmod(0o400)

    def _configure(self, dist_port: int, settings: str, erlang: str) -> dict[str, str]:
        home = self._directory
        for name in ("home", "mnesia", "log", "conf.d"):
            (home / name).mkdir()
        (home / "rabbitmq.conf").write_text(
            f"{settings.replace('{port}', str(self.port))}\ndefault_user = test\ndefault_pass = {PASSWORD}\n"
            "log.console = false\nlog.file.level = info\ndisk_free_limit.absolute = 50MB\n"
        )
        (home / "enabled_plugins").write_text("[].\n")
        (home / "env.conf").touch()
        assert self._names is not None
        return {
            "HOME": str(home / "home"),
            "PATH": _RABBITMQ_PATH,
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._names.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(dist_port),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(home / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(home / "env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(home / "node.pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{127,0,0,1}} {erlang}",
        }

    def configure(self, *lines: str) -> None:
        """Add lines to rabbitmq.conf, for the next start."""
        with (self._directory / "rabbitmq.conf").open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def start(self) -> None:
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Start it without waiting until it answers."""
        if self._own_names is not None:
            self._own_names.start()
        self._process = Process([self._binary], self._directory / "out", self._directory, self._environment)

    def wait(self) -> None:
        """Wait until it answers."""
        assert self._process is not None
        wait_for(_rabbitmq_answers, self.url, 90, self._process.alive, self._directory / "out")

    def close(self) -> None:
        if self._process is not None:
            self._process.stop(signal.SIGTERM, seconds=30)
        if self._own_names is not None:
            self._own_names.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def answers(self) -> bool:
        """Whether it takes connections and answers on them."""
        return _rabbitmq_answers(self.url)

    def enable(self, *plugins: str) -> None:
        """Let it run these plugins; before it starts."""
        (self._directory / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")

    def define(self, definitions: str) -> None:
        """Have it import definitions (JSON), which it may finish later."""
        path = self._directory / "definitions.json"
        path.write_text(definitions)
        self.control("import_definitions", str(path))

    def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl` on this node and return its output; `CalledProcessError` if it fails."""
        binary = shutil.which("rabbitmqctl", path=self._environment["PATH"])
        assert binary is not None
        done = subprocess.run(
            [binary, *arguments], env=self._environment, check=True, capture_output=True, timeout=60, text=True
        )
        return done.stdout


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# ── containers ──────────────────────────────────────────────────────────────────────────────────────────────────


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


class _Container(Server):
    def __init__(
        self,
        image: str,
        port: int,
        url: Callable[[int], str],
        answers: Callable[[str], bool],
        command: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
        from testcontainers.core.container import DockerContainer

        host_port = free_port()
        self.url = url(host_port)
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
        return text[-_LOG_TAIL:]

    def close(self) -> None:
        if self._started:
            if self._container.get_wrapped_container() is not None:
                self._container.stop()
            self._container.get_docker_client().client.close()


class ContainerRabbitMQ(_Container):
    """A RabbitMQ of the version that the environment names."""

    def __init__(self) -> None:
        environment = {"RABBITMQ_DEFAULT_USER": "test", "RABBITMQ_DEFAULT_PASS": PASSWORD, "HOSTNAME": "rabbit"}
        super().__init__(_image("rabbitmq"), 5672, _amqp_url, _rabbitmq_answers, environment=environment)

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

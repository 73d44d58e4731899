"""RabbitMQ of this machine, with name servers of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pika

from shared.bus.rabbit.parameters import parameters
from tests.servers.process import NativeServer, Process
from tests.servers.server import PASSWORD, NoServer, free_port, free_ports, wait_for

_RABBITMQ_HOMES = ("/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
_RABBITMQ_PATH = os.pathsep.join([*_RABBITMQ_HOMES, os.environ.get("PATH", "")])
AMQP_URL = f"amqp://test:{PASSWORD}@127.0.0.1:{{port}}/%2F"


def rabbitmq_answers(url: str) -> bool:
    (asked,) = parameters(url)
    asked.socket_timeout = asked.stack_timeout = 5
    try:
        pika.BlockingConnection(asked).close()
    except (pika.exceptions.AMQPError, OSError):
        return False
    return True


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
        url: str = AMQP_URL,
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
        wait_for(rabbitmq_answers, self.url, 90, self._process.alive, self._directory / "out")

    def close(self) -> None:
        if self._process is not None:
            self._process.stop(signal.SIGTERM, seconds=30)
        if self._own_names is not None:
            self._own_names.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def answers(self) -> bool:
        """Whether it takes connections and answers on them."""
        return rabbitmq_answers(self.url)

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

"""A machine with Python and nothing else: a container without compiler, git or network tools.

Its user has no name and no home, its disk is read-only except the checkout and /tmp, and it has no shared memory
(/dev/shm). pip uses this machine's index, proxy and certificates.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.launcher.plan import ROOT
from tests.servers import NoServer

IMAGES = {"3.11": ("python:3.11-slim",), "newer": ("python:3.14-slim", "python:3.13-slim")}
"""Version of Python → images with it; the first one that is present or can be pulled is used."""
_NEWER_FROM_DEBIAN = """
FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv && rm -rf /var/lib/apt/lists/*
"""
_PROXIES = [name for word in ("http_proxy", "https_proxy", "no_proxy") for name in (word, word.upper())]
_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
_FILES = ("deploy", "pyproject.toml", "requirements", "services", "shared", "warren")
"""The parts of a checkout that `up` needs."""
_USER = 1000


class BareMachine:
    """A container that keeps its checkout under /srv when another one takes its place."""

    def __init__(self, client: Any, image: str) -> None:
        self._client, self._image = client, image
        self._volume = client.volumes.create()
        self._container: Any = None

    def boot(self, *command: str) -> None:
        """Begin with a first process, in place of the one before."""
        is_new = self._container is None
        self._remove()
        self._container = self._client.containers.create(
            self._image,
            list(command),
            user=f"{_USER}:{_USER}",
            working_dir="/srv/warren",
            environment=_reach_of_pip(),
            network_mode=_network(),
            ipc_mode="none",
            read_only=True,
            tmpfs={"/tmp": ""},
            volumes={self._volume.name: {"bind": "/srv", "mode": "rw"}},
        )
        if is_new:
            self._container.put_archive("/srv", _checkout())
        self._container.start()

    def run(self, command: str) -> tuple[int, str]:
        """Run a shell command; return its exit status and output."""
        status, output = self._container.exec_run(["sh", "-c", command])
        return int(status), output.decode()

    def output(self) -> str:
        """Return the output of the first process."""
        return str(self._container.logs().decode())

    def wait_for(self, line_start: str, seconds: float) -> None:
        """Wait until the first process has printed such a line."""
        deadline = time.monotonic() + seconds
        while not any(line.startswith(line_start) for line in self.output().splitlines()):
            self._container.reload()
            if self._container.status != "running" or time.monotonic() > deadline:
                raise RuntimeError(f"no line {line_start!r} in time\n{self.output()}")
            time.sleep(0.1)

    def shut_down(self, seconds: int) -> int:
        """Ask the first process to end, kill it when it is late, and return its exit status."""
        self._container.stop(timeout=seconds)
        return int(self._container.wait()["StatusCode"])

    def close(self) -> None:
        """Leave nothing behind."""
        self._remove()
        self._volume.remove()

    def _remove(self) -> None:
        if self._container is not None:
            self._container.remove(force=True)


@contextlib.contextmanager
def bare_machine(python: str) -> Iterator[BareMachine]:
    """Give a machine with this Python, not yet booted; `NoServer` if no image can be had."""
    import docker

    with contextlib.closing(docker.from_env(timeout=600)) as client:
        machine = BareMachine(client, _image(client, python))
        try:
            yield machine
        finally:
            machine.close()


def _image(client: Any, python: str) -> str:
    import docker

    for name in IMAGES[python]:
        with contextlib.suppress(docker.errors.ImageNotFound):
            client.images.get(name)
            return name
    for name in IMAGES[python]:
        with contextlib.suppress(docker.errors.APIError):  # no such image, no way to the registry
            client.images.pull(name)
            return name
    if python != "newer":
        raise NoServer(f"cannot get any container image of {', '.join(IMAGES[python])}")
    try:
        return _build(client)
    except (docker.errors.APIError, docker.errors.BuildError) as error:
        raise NoServer(f"cannot get {', '.join(IMAGES[python])}, nor build one from Debian: {error}") from None


def _build(client: Any) -> str:
    """Build Debian 13's Python 3.13; Docker keeps it for the next time."""
    image, _ = client.images.build(
        fileobj=io.BytesIO(_NEWER_FROM_DEBIAN.encode()),
        tag="warren-test/python:trixie",
        network_mode=_network(),
        buildargs=_proxies(),
        rm=True,
    )
    return str(image.tags[0])


def _checkout() -> bytes:
    """Return an archive of the present files that `up` needs, and of the certificates that pip trusts."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name in _FILES:
            archive.add(ROOT / name, f"warren/{name}", filter=_as_user)
        for name in ("warren", "."):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(_as_user(folder))
        if certificates := _certificates():
            archive.add(certificates.resolve(), "certificates.pem", filter=_as_user)
    return data.getvalue()


def _as_user(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    entry.uid = entry.gid = _USER
    entry.uname = entry.gname = ""
    return None if entry.name.endswith("__pycache__") else entry


def _certificates() -> Path | None:
    named = _pip_settings().get("cert") or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    return Path(named) if named else None


def _reach_of_pip() -> dict[str, str]:
    """Return the environment by which pip gets packages from where pip here does; not from folders of this machine."""
    settings = {name: value for name, value in _pip_settings().items() if name in _PIP_SETTINGS}
    for name in ("index-url", "extra-index-url"):
        urls = [url for url in settings.pop(name, "").split() if not url.startswith("file:")]
        settings |= {name: " ".join(urls)} if urls else {}
    if _certificates():
        settings["cert"] = "/srv/certificates.pem"
    return _proxies() | {f"PIP_{name.upper().replace('-', '_')}": value for name, value in settings.items()}


def _network() -> str:
    """Return the network to join: one of its own, or this machine's where a proxy or an index is on it alone."""
    reached = {name: value for name, value in _reach_of_pip().items() if name.lower() != "no_proxy"}
    return "host" if re.search(r"\blocalhost\b|\b127\.|\[::1\]", " ".join(reached.values())) else "bridge"


def _proxies() -> dict[str, str]:
    return {name: os.environ[name] for name in _PROXIES if name in os.environ}


def _pip_settings() -> dict[str, str]:
    """Return pip's settings for all commands and for `install`, from its files and its environment."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}  # in rising order
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        found.get(section, {})[key] = ast.literal_eval(value)
    return found["global"] | found["install"] | found[":env:"]

import functools
import os
import socket
import subprocess
import sys
import tempfile

import pytest

from deploy.errors import LaunchError
from deploy.launcher.plan import ROOT
from deploy.processes import ports


@pytest.fixture
def listener():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_port_zero_becomes_a_free_port_for_each():
    chosen = ports.choose("127.0.0.1", {"wallet": 0, "explorer": 0, "rpc": 0})
    assert len(set(chosen.values())) == 3
    assert all(port in ports.FREE_PORTS for port in chosen.values())


def test_free_ports_are_not_those_that_outgoing_connections_get():
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
        assert client.getsockname()[1] not in ports.FREE_PORTS


def test_a_free_port_is_found_beside_those_in_use(listener, monkeypatch):
    other = ports.choose("127.0.0.1", {"any": 0})["any"]
    monkeypatch.setattr(ports, "FREE_PORTS", [listener, other])
    assert ports.choose("127.0.0.1", {"any": 0}) == {"any": other}


CHOOSE_AND_STAY = """
import sys
from deploy.processes import ports
print(ports.choose("127.0.0.1", {"any": 0})["any"], flush=True)
sys.stdin.read()
"""


def test_a_free_port_is_kept_from_other_processes_until_its_own_ends(monkeypatch):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", CHOOSE_AND_STAY]
    with subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        theirs = int(other.stdout.readline())
        monkeypatch.setattr(ports, "FREE_PORTS", [theirs])
        with pytest.raises(LaunchError, match="no free port found for any"):
            ports.choose("127.0.0.1", {"any": 0})
        other.stdin.close()
    assert ports.choose("127.0.0.1", {"any": 0}) == {"any": theirs}


def test_without_a_place_for_temporary_files_a_free_port_is_found_too(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    monkeypatch.setattr(ports, "_reservations", functools.cache(ports._reservations.__wrapped__))
    assert ports.choose("127.0.0.1", {"any": 0})["any"] in ports.FREE_PORTS


def test_a_port_in_use_is_refused_with_the_option_that_helps(listener):
    with pytest.raises(LaunchError, match=rf"port {listener} \(wallet\) is in use; choose another with --wallet-port"):
        ports.choose("127.0.0.1", {"wallet": listener})


def test_two_services_cannot_share_a_port():
    with pytest.raises(LaunchError, match="wallet and rpc cannot share port 8080"):
        ports.choose("127.0.0.1", {"wallet": 8080, "explorer": 3000, "rpc": 8080})


def test_a_host_that_is_not_of_this_machine_is_refused():
    with pytest.raises(LaunchError, match=r"cannot listen at 192\.0\.2\.1"):
        ports.choose("192.0.2.1", {"wallet": 0})


def test_an_open_port_is_told_from_a_closed_one(listener):
    assert ports.is_open("127.0.0.1", listener)
    free = ports.choose("127.0.0.1", {"any": 0})["any"]
    assert not ports.is_open("127.0.0.1", free)

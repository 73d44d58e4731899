import dataclasses
import json
import os

import pytest

from deploy.errors import LaunchError
from deploy.processes.process import Identity, identify
from deploy.stack import state

STACK = state.StackState(
    launcher=Identity(12, "then"),
    started=1_700_000_000.5,
    chain="regtest",
    ready=True,
    wallet_url="http://127.0.0.1:8080",
    explorer_url="http://127.0.0.1:3000",
    rpc_url="http://127.0.0.1:18443",
    creator_password_file="/data/regtest/creator-password",
    cookie_file="/data/regtest/.cookie",
    services=(state.ServiceState(name="wallet", process=identify(os.getpid()), started=1, log="/data/wallet.log"),),
)


def test_what_is_written_is_read_again(tmp_path):
    assert state.read(tmp_path) is None
    state.write(tmp_path, STACK)
    assert state.read(tmp_path) == STACK
    assert (tmp_path / "stack.json").stat().st_mode & 0o777 == 0o600
    state.clear(tmp_path)
    assert state.read(tmp_path) is None


def test_a_path_that_is_no_text_comes_back_as_it_was(tmp_path):
    odd = dataclasses.replace(STACK, cookie_file=os.fsdecode(b"/data/\xff/.cookie"))
    state.write(tmp_path, odd)
    assert state.read(tmp_path) == odd


def test_fields_of_other_versions_do_not_matter(tmp_path):
    """So that `warren down` still stops a stack of an earlier version."""
    state.write(tmp_path, STACK)
    content = json.loads((tmp_path / "stack.json").read_text())
    del content["started"], content["services"][0]["started"]
    content["new"] = content["services"][0]["new"] = 1
    (tmp_path / "stack.json").write_text(json.dumps(content))
    (service,) = STACK.services
    assert state.read(tmp_path) == dataclasses.replace(
        STACK, started=0.0, services=(dataclasses.replace(service, started=0.0),)
    )


def _without_chain(content):
    del content["chain"]


def _pid_as_text(content):
    content["launcher"]["pid"] = "12"


def _services_as_text(content):
    content["services"] = "none"


def _ready_as_number(content):
    content["ready"] = 1


@pytest.mark.parametrize("damage", [_without_chain, _pid_as_text, _services_as_text, _ready_as_number])
def test_what_does_not_fit_is_refused(tmp_path, damage):
    state.write(tmp_path, STACK)
    content = json.loads((tmp_path / "stack.json").read_text())
    damage(content)
    (tmp_path / "stack.json").write_text(json.dumps(content))
    with pytest.raises(LaunchError, match=r"stack\.json is damaged or of another version"):
        state.read(tmp_path)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\x00", b"[" * 100_000])
def test_what_is_no_state_at_all_is_refused(tmp_path, text):
    (tmp_path / "stack.json").write_bytes(text)
    with pytest.raises(LaunchError, match=r"stack\.json is damaged or of another version"):
        state.read(tmp_path)

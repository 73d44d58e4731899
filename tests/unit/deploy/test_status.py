import dataclasses
import http.server
import json
import os
import time

import pytest

from deploy.processes.process import Identity, identify
from deploy.stack import control, state
from tests.unit.deploy.web_server import serving

READY, UNREADY = {"redis": True}, {"redis": False, "broker": False, "store": True}
ANSWERS = {
    "/readyz": (200, READY),
    "/lacking": (503, UNREADY),
    "/explaining": (
        503,
        {"redis": True, "broker": False, "reasons": {"broker": "RabbitMQ takes no messages: low on disk"}},
    ),
    "/odd": (404, {}),
    "/api/blocks": (200, [{"id": "ab" * 32, "height": 110}, {"id": "cd" * 32, "height": 109}]),
    "/api/mempool": (200, {"count": 3, "vsize": 423, "total_fee": 846}),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        code, body = ANSWERS.get(self.path, (404, {}))
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture
def explorer():
    with serving(Handler) as url:
        yield url


@pytest.fixture
def stack(tmp_path, explorer):
    """A stack that this process launched an hour and a bit ago; its services are this process, too."""
    process = identify(os.getpid())
    (tmp_path / "regtest").mkdir()
    (tmp_path / "regtest" / "creator-password").write_text("hidden-word\n")
    (tmp_path / "wallet.log").write_text("first\nthe reason\n\n")

    def service(name, **fields):
        return state.ServiceState(
            name=name, process=process, started=time.time() - 60, log=str(tmp_path / "wallet.log"), **fields
        )

    return state.StackState(
        launcher=process,
        started=time.time() - 3723,
        chain="regtest",
        ready=True,
        wallet_url="http://127.0.0.1:1",
        explorer_url=explorer,
        rpc_url="http://127.0.0.1:2",
        creator_password_file=str(tmp_path / "regtest" / "creator-password"),
        cookie_file=str(tmp_path / "regtest" / ".cookie"),
        services=(service("wallet", url=explorer, ready_url=f"{explorer}/readyz"), service("redis")),
    )


def tell(data_dir, stack) -> tuple[bool, str]:
    state.write(data_dir, stack)
    told: list[str] = []
    return control.status(data_dir, told.append), "\n".join(told)


def with_wallet(stack, **changes):
    wallet, *others = stack.services
    return dataclasses.replace(stack, services=(dataclasses.replace(wallet, **changes), *others))


def test_a_stack_in_order_is_told_with_chain_height_pool_and_uptime(tmp_path, stack):
    is_ready, told = tell(tmp_path, stack)
    assert is_ready
    lines = told.splitlines()
    assert lines[0] == "ready: chain regtest at height 110, 3 transactions in the pool, up 1 h 2 min"
    assert lines[1].split() == ["service", "pid", "state", "up", "url"]
    assert lines[2].split() == ["wallet", str(os.getpid()), "ready", "1", "min", stack.explorer_url]
    assert lines[3].split() == ["redis", str(os.getpid()), "running", "1", "min"]
    assert lines[4:] == [f"creator's password: {stack.creator_password_file}"]
    assert "hidden-word" not in told


def test_a_column_ends_before_the_next_one_begins(tmp_path, stack, monkeypatch):
    longest = "23 h 59 min"
    monkeypatch.setattr("deploy.stack.status.short_duration", lambda seconds: longest)
    _, told = tell(tmp_path, with_wallet(stack))
    assert f"{longest}  " in told.splitlines()[2]


def test_programs_get_every_documented_field(tmp_path, stack):
    state.write(tmp_path, stack)
    told: list[str] = []
    assert control.status(tmp_path, told.append, as_json=True)
    report = json.loads("\n".join(told))
    assert (report["state"], report["chain"], report["height"], report["tip"]) == ("ready", "regtest", 110, "ab" * 32)
    assert (report["pool_transactions"], report["pool_vsize"], report["pool_fees"]) == (3, 423, 846)
    assert report["services"][0]["state"] == "ready"
    documented = (control.ROOT / "docs" / "operations.md").read_text()
    for name in {*report, *report["services"][0]}:
        assert f"`{name}`" in documented


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/lacking", "wallet: it waits for: redis, broker"),
        ("/explaining", "wallet: it waits for: broker (RabbitMQ takes no messages: low on disk)"),
        ("/odd", "wallet: {url}/odd answers 404"),
    ],
)
def test_a_service_that_is_not_ready_says_why(tmp_path, stack, path, reason):
    is_ready, told = tell(tmp_path, with_wallet(stack, ready_url=stack.explorer_url + path))
    assert not is_ready
    assert told.startswith("not ready: chain regtest")
    assert reason.format(url=stack.explorer_url) in told.splitlines()


def test_a_service_that_does_not_answer_is_not_ready(tmp_path, stack):
    _, told = tell(tmp_path, with_wallet(stack, ready_url="http://127.0.0.1:1/readyz"))
    assert "wallet: http://127.0.0.1:1/readyz does not answer" in told.splitlines()


def test_a_service_that_has_ended_is_down_and_its_last_words_are_told(tmp_path, stack):
    is_ready, told = tell(tmp_path, with_wallet(stack, process=Identity(os.getpid(), "another start")))
    assert not is_ready
    assert f"wallet: it has ended; the end of {tmp_path}/wallet.log: the reason" in told.splitlines()


def test_without_the_explorer_the_height_is_unknown(tmp_path, stack):
    is_ready, told = tell(tmp_path, dataclasses.replace(stack, explorer_url="http://127.0.0.1:1"))
    assert is_ready
    assert "at height (unknown), (unknown) transactions" in told


def test_a_stack_that_has_not_been_ready_yet_is_starting(tmp_path, stack):
    is_ready, told = tell(tmp_path, dataclasses.replace(stack, ready=False))
    assert not is_ready
    assert told.startswith("starting: ")


def test_a_killed_launcher_is_told_from_a_running_one(tmp_path, stack):
    is_ready, told = tell(tmp_path, dataclasses.replace(stack, launcher=Identity(os.getpid(), "another start")))
    assert not is_ready
    assert told.startswith(f"the launcher of {tmp_path} was killed: `warren down` ends what is left")


def test_where_no_stack_runs_it_says_so_to_people_and_programs(tmp_path):
    told: list[str] = []
    assert not control.status(tmp_path, told.append)
    assert told == [f"no stack runs on {tmp_path} (`warren up` starts one)"]
    told.clear()
    assert not control.status(tmp_path, told.append, as_json=True)
    report = json.loads("\n".join(told))
    assert (report["state"], report["chain"], report["services"]) == ("stopped", None, [])

"""Requests that wait, for the mempool or for a password's check, leave pages and everybody else's requests alone."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from flask import request

from services.wallet.keys import keystore as keystore_module
from services.wallet.keys.attempts import Attempts
from services.wallet.keys.keystore import Keystore, Sealed
from services.wallet.keys.password_pool import PasswordPool
from services.wallet.payments import payments as payments_module
from shared.bus.events import Message, MineRequested, TxSubmitted
from shared.errors import RequestTimeout
from shared.primitives.transaction import Transaction
from shared.web.server import HttpServer
from tests.integration.wallet.conftest import COIN, PARAMS, PASSWORD, Stack

THREADS = 2
PATIENCE = 60.0

Answer = tuple[int, Any]


class Service:
    """The wallet's application behind a real server with few threads."""

    def __init__(self, stack: Stack) -> None:
        self.server = HttpServer(stack.app, "127.0.0.1", 0, THREADS)
        self.pool = ThreadPoolExecutor(60)

    def request(self, method: str, path: str, body: object = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode()
            is_json = response.headers["Content-Type"].endswith("json")
            return response.status, json.loads(text) if is_json else text
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, path: str, **body: object) -> Answer:
        return self.request("POST", f"/api/wallets{path}", body)

    def later(self, path: str, **body: object) -> Future[Answer]:
        return self.pool.submit(self.post, path, **body)

    def close(self) -> None:
        self.server.close()
        self.pool.shutdown()


@pytest.fixture
def service(stack: Stack) -> Iterator[Service]:
    stack.payments._timeout = PATIENCE
    service = Service(stack)
    yield service
    service.close()


class Held:
    """Answers of a mempool that come when the test says so."""

    def __init__(self, answer: Callable[[Any], Message]) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, Future[Message]]] = []

    def __call__(self, message: Message) -> Future[Message]:
        self.asked.append((message, Future()))
        return self.asked[-1][1]

    def let_go(self) -> None:
        asked, self.asked = self.asked, []
        for message, future in asked:
            future.set_result(self.answer(message))


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def others_are_answered(service: Service, wallet_id: str) -> None:
    for path in ("/healthz", "/readyz", "/", f"/{wallet_id}", f"/api/wallets/{wallet_id}", "/api/wallets/p/history"):
        status, _ = service.get(path)
        assert status == 200, path
    assert service.post("/p/addresses")[0] == 201


def test_payments_that_wait_for_the_mempool_hold_no_thread(stack: Stack, service: Service) -> None:
    names = [f"w{number}" for number in range(20)]
    for name in names:
        stack.fund(name)
    payee = stack.create("p")
    held = stack.broker.answers[TxSubmitted] = Held(stack.submit)
    answers = [service.later(f"/{name}/send", to=payee, amount="1", password=PASSWORD) for name in names]
    until(lambda: len(held.asked) == len(names))
    others_are_answered(service, names[0])
    assert not any(answer.done() for answer in answers)
    held.let_go()
    assert [answer.result(PATIENCE)[0] for answer in answers] == [200] * len(names)
    assert stack.get("/p").json["unconfirmed"] == len(names) * COIN


def test_payments_of_one_wallet_wait_for_coins_that_others_leave_and_hold_no_thread(
    stack: Stack, service: Service
) -> None:
    stack.fund("w", 5)
    payee = stack.create("p")
    held = stack.broker.answers[TxSubmitted] = Held(stack.submit)
    answers = [service.later("/w/send", to=payee, amount="1", password=PASSWORD) for _ in range(20)]
    until(lambda: len(held.asked) == 5)
    others_are_answered(service, "w")
    assert len(held.asked) == 5
    txs = [Transaction.parse(bytes.fromhex(message.txs[0])) for message, _ in held.asked]
    assert len({txin.prevout for tx in txs for txin in tx.inputs}) == 5
    assert len({output.script_pubkey for tx in txs for output in tx.outputs}) == 1 + 5  # payee, change keys
    assert stack.store.load("w").change_count == 5
    stack.broker.answers[TxSubmitted] = stack.submit
    held.let_go()
    assert [answer.result(PATIENCE)[0] for answer in answers] == [200] * 20
    assert stack.get("/p").json["unconfirmed"] == 20 * COIN
    assert stack.store.load("w").change_count == 20
    assert stack.payments._coins.change_count("w") == 0


def test_payments_behind_one_without_an_answer_are_told_so(
    stack: Stack, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.fund("w", 1)
    payee = stack.create("p")
    monkeypatch.setattr(payments_module, "PATIENCE", 0.05)
    held = stack.broker.answers[TxSubmitted] = Held(stack.submit)
    first = service.later("/w/send", to=payee, amount="1", password=PASSWORD)
    until(lambda: held.asked)
    status, body = service.post("/w/send", to=payee, amount="1", password=PASSWORD)
    assert (status, body["code"]) == (503, "busy")
    held.asked[0][1].set_exception(RequestTimeout("no answer"))
    status, body = first.result(PATIENCE)
    assert (status, body["code"]) == (504, "outcome-unknown")
    stack.broker.answers[TxSubmitted] = stack.submit
    assert service.post("/w/send", to=payee, amount="1", password=PASSWORD)[0] == 200


def test_mining_and_test_coins_hold_no_thread(stack: Stack, service: Service) -> None:
    stack.first_start()
    stack.create("p")
    held = stack.broker.answers[MineRequested] = Held(stack._mine)
    answers = [service.later("/p/mine", count=1) for _ in range(10)]
    answers += [service.later("/p/test-coins") for _ in range(10)]
    until(lambda: len(held.asked) == 11)  # those for coins share their blocks
    others_are_answered(service, "p")
    assert len(held.asked) == 11
    while not all(answer.done() for answer in answers):
        held.let_go()
        time.sleep(0.005)
    assert [answer.result()[0] for answer in answers] == [200] * 20


def test_test_coins_that_are_asked_for_at_once_share_blocks(stack: Stack, service: Service) -> None:
    stack.first_start(12)
    stack.create("p")
    height = stack.view.tip().height
    held = stack.broker.answers[MineRequested] = Held(stack._mine)
    answers = [service.later("/p/test-coins", request_id=str(number)) for number in range(10)]
    until(lambda: held.asked and stack.view.pool.stats().count == 10)
    while not all(answer.done() for answer in answers):
        held.let_go()
        time.sleep(0.005)
    grants = [answer.result()[1] for answer in answers]
    assert stack.view.tip().height == height + 1
    assert len({grant["txid"] for grant in grants}) == 10
    assert {grant["block"] for grant in grants} == {stack.view.tip().hash[::-1].hex()}
    assert stack.get("/p").json["balance"] == 100 * COIN
    assert service.post("/p/test-coins", request_id="3")[1] == grants[3]
    assert stack.view.tip().height == height + 1


# ── floods of wrong passwords ───────────────────────────────────────────────────────────────────────────────────


class Flood:
    """Wrong passwords for one wallet from many connections at a time, without end."""

    def __init__(self, service: Service, connections: int) -> None:
        self._service = service
        self._is_over = threading.Event()
        self.answers: list[int] = []
        self.running = [service.pool.submit(self._guess, number) for number in range(connections)]

    def _guess(self, number: int) -> None:
        count = 0
        while not self._is_over.is_set():
            count += 1
            status, _ = self._service.post("/w/unlock", password=f"guess {number} {count}")
            self.answers.append(status)

    def stop(self) -> None:
        self._is_over.set()


@pytest.fixture
def slow_scrypt(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Let each check of a password take its time; the result counts the checks that have begun."""
    begun: list[str] = []
    unseal = keystore_module.unseal

    def slow(sealed: Sealed, password: str, wallet_id: str) -> bytes:
        begun.append(password)
        threading.Event().wait(0.1)
        return unseal(sealed, password, wallet_id)

    monkeypatch.setattr(keystore_module, "unseal", slow)
    return lambda: len(begun)


@pytest.mark.parametrize("address", ["another", "the same"])
@pytest.mark.parametrize("instance", ["that opened the wallet before", "that is new"])
def test_the_owner_gets_in_at_once_during_a_flood_of_wrong_passwords(
    stack: Stack, slow_scrypt: Callable[[], int], monkeypatch: pytest.MonkeyPatch, address: str, instance: str
) -> None:
    def client(proxies: object) -> str:
        return "10.0.0.1" if address == "the same" or request.user_agent.string == "owner" else "10.6.6.6"

    monkeypatch.setattr("services.wallet.web.client_of_request", client)
    stack.fund("w")
    if instance == "that is new":
        stack.wallets._keystore = Keystore(PARAMS, Attempts(), n=16, pool=PasswordPool())
    service = Service(stack)
    try:
        flood = Flood(service, 40)
        until(lambda: slow_scrypt() > 5)
        times = []
        for _ in range(3):
            started = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", service.server.port, timeout=PATIENCE)
            body = json.dumps({"password": PASSWORD})
            headers = {"Content-Type": "application/json", "User-Agent": "owner"}
            connection.request("POST", "/api/wallets/w/unlock", body, headers)
            assert connection.getresponse().status == 200
            connection.close()
            times.append(time.monotonic() - started)
            assert service.get("/healthz")[0] == 200
        assert max(times) < 10, times
        assert set(flood.answers) <= {403}
        flood.stop()
    finally:
        for held in list(stack.wallets._keystore._held):
            held.set_result(None)
        service.close()

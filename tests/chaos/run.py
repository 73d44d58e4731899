"""A run: starts a stack, prepares coins, lets load and faults at it, waits until it is whole, audits, stops it."""

from __future__ import annotations

import base64
import contextlib
import re
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy.processes.process import wait_until
from deploy.stack.state import StackState
from shared.chain.redis_keys import Keys
from shared.consensus.params import REGTEST
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction
from tests.builders import key
from tests.chaos.audit import Check, books_of, compare
from tests.chaos.faults import strike
from tests.chaos.ledger import Entries, Ledger, read
from tests.chaos.load.client import PATIENCE, Client, Reply
from tests.chaos.load.coins import Purse, address_of, split
from tests.chaos.load.interfaces import call, lanes
from tests.chaos.load.lane import Lane
from tests.chaos.plan import Fault
from tests.chaos.stack import leftovers
from tests.chaos.stack.shapes import Stack
from tests.integration.mempool.books import check_books

PURSES, COINS = 4, 10
"""Each lane of raw transactions has a purse of its own."""
WHOLE_SECONDS = 90.0
"""How long a stack may take to be whole, and to have answered everything, after the last fault."""
_RELAY_SECONDS = 15.0
"""How long the writer may take to publish what has happened, and another one to take over."""
_BLOCKS = 5
"""How many blocks all transactions of the load fit into."""

Say = Callable[[str], None]


class Refused(Exception):
    """The stack did not do what has to be done before the load or after it."""


def run(stack: Stack, faults: Sequence[Fault], seconds: float, folder: Path, say: Say) -> tuple[Entries, list[Check]]:
    """Start the stack, and return what its ledger says and the checks of the audit. It is stopped in the end."""
    path = folder / "ledger.jsonl"
    checks: list[Check] = []
    ports: list[int] = []
    try:
        say("starting the stack")
        stack.start()
        ports = _ports(stack)
        with Ledger(path) as ledger:
            clients = lanes(ledger, stack.state, _node(stack.state), _purses(stack.state))
            _under_load(stack, clients, faults, seconds, ledger, say)
            checks += _whole(stack)
            say("waiting for the last answers")
            _finish(clients)
        say("auditing")
        entries = read(path)
        checks += _audit(stack, entries)
    finally:
        say("stopping the stack")
        complaint = stack.down()
        stack.close()
    checks.append(Check("`warren down` does its work", (complaint,) if complaint else ()))
    left = leftovers.processes(folder) + leftovers.listeners(ports) + leftovers.files(stack.data_dir, stack.temporary)
    checks.append(Check("no process, port or temporary file is left", tuple(left)))
    return entries, checks


def _under_load(
    stack: Stack, clients: Sequence[Lane], faults: Sequence[Fault], seconds: float, ledger: Ledger, say: Say
) -> None:
    say(f"load and {len(faults)} faults for {seconds:.0f} s")
    stop = threading.Event()
    strikes = []
    try:
        for client in clients:
            client.start()
        strikes = strike(stack, faults, ledger, stop)
        time.sleep(seconds)
    finally:
        stop.set()
        for thread in strikes:
            thread.join()
        for client in clients:
            client.finish()


def _finish(clients: Sequence[Lane]) -> None:
    deadline = time.monotonic() + WHOLE_SECONDS
    for client in clients:
        client.join(deadline)
    for client in clients:
        client.give_up()
    for client in clients:
        client.join(time.monotonic() + 2 * PATIENCE)


def _whole(stack: Stack) -> list[Check]:
    problems: list[str] = []

    def is_whole() -> bool:
        problems[:] = stack.not_ready()
        return not problems

    wait_until(is_whole, WHOLE_SECONDS)
    return [Check("every service is ready again", tuple(problems))]


# ── before ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _node(state: StackState) -> Client:
    cookie = base64.b64encode(Path(state.cookie_file).read_bytes().strip()).decode()
    return Client(state.rpc_url, {"Authorization": f"Basic {cookie}"})


def _purses(state: StackState) -> list[Purse]:
    """Let `creator` pay a key of the load's, and return its coins, confirmed, in purses."""
    wallet, node = Client(state.wallet_url), _node(state)
    password = Path(state.creator_password_file).read_text(encoding="utf-8").strip()
    order = {"to": address_of("treasury"), "amount": "40", "password": password}
    txid = _done(wallet.post_json("/api/wallets/creator/send", order)).json["txid"]
    paid = _transaction(node, txid)
    names = [f"coin-{number}" for number in range(PURSES * COINS)]
    divided, coins = split(paid, key("treasury"), names)
    _result(node, "sendrawtransaction", divided.serialize().hex())
    _result(node, "generatetoaddress", 1, address_of("treasury"))
    return [Purse(coins[number::PURSES]) for number in range(PURSES)]


def _done(reply: Reply) -> Reply:
    if reply.status != 200:
        raise Refused(f"{reply.status}: {reply.text}")
    return reply


def _ports(stack: Stack) -> list[int]:
    """Return the ports on which the stack and its store listen."""
    urls = [stack.store_url, *(service.url for service in stack.state.services if service.url)]
    return [port for port in (urlsplit(url).port for url in urls) if port is not None]


# ── after ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _audit(stack: Stack, entries: Entries) -> list[Check]:
    """Return the checks of a stack that nobody uses any more."""
    return [
        _check(
            "every fault was done and undone", lambda: [f"{f.name}: {f.problem}" for f in entries.faults if f.problem]
        ),
        _check("every event is published", lambda: _unpublished(stack)),
        _check("a writer holds the lease", lambda: _without_writer(stack)),
        _check("the pool can be mined empty", lambda: _unconfirmed(_node(stack.state))),
        *_all_books(stack, entries),
        _check(
            "coins are the subsidies, and every index is the one rebuilt from raw blocks", lambda: _wrong_index(stack)
        ),
        _check("no request and no thread fails for an uncaught exception", lambda: _internal_errors(stack, entries)),
        _check("no message is dead-lettered", stack.dead_letters),
    ]


def _check(name: str, look: Callable[[], Iterable[str]]) -> Check:
    """Return a check of what `look` finds; it fails too if that cannot be learnt."""
    try:
        return Check(name, tuple(look()))
    except Exception as error:
        return Check(name, (f"cannot be learnt: {error!r}",))


def _all_books(stack: Stack, entries: Entries) -> list[Check]:
    node = _node(stack.state)
    try:
        blocks = [_block(node, height) for height in range(1, _result(node, "getblockcount") + 1)]
        pool = [_transaction(node, txid) for txid in _result(node, "getrawmempool")]
    except Refused as error:
        return [Check("the node shows its chain and its pool", (str(error),))]
    return compare(entries, books_of(blocks, pool))


def _unpublished(stack: Stack) -> list[str]:
    keys = Keys(REGTEST.name)
    with contextlib.closing(stack.store()) as client:

        def waiting() -> int:
            last = client.xrevrange(keys.events, count=1)
            return int(last[0][0].split(b"-")[0]) - int(client.get(keys.relayed) or 0) if last else 0

        wait_until(lambda: waiting() == 0, _RELAY_SECONDS)
        return [f"{waiting()} events wait in the outbox"] if waiting() else []


def _without_writer(stack: Stack) -> list[str]:
    with contextlib.closing(stack.store()) as client:
        has_writer = wait_until(lambda: client.get(Keys(REGTEST.name).writer) is not None, _RELAY_SECONDS)
    return [] if has_writer else ["nobody does"]


def _unconfirmed(node: Client) -> list[str]:
    """Mine until the pool is empty; return the transactions that stay in it."""
    waiting: list[str] = []
    for _ in range(_BLOCKS):
        _result(node, "generatetoaddress", 1, address_of("auditor"))
        waiting = _result(node, "getrawmempool")
        if not waiting:
            break
    return [f"transaction {txid} is not mined in {_BLOCKS} blocks" for txid in waiting]


def _wrong_index(stack: Stack) -> list[str]:
    with contextlib.closing(stack.store()) as client:
        try:
            check_books(client)
        except AssertionError as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            return [f"{place.name}, line {place.lineno}: {place.line} {error}"[:1000]]
    return []


def _internal_errors(stack: Stack, entries: Entries) -> list[str]:
    answers = [answer for answer in entries.answers if answer.status in ("500", "500/-32603")]
    first = {answer.interface: answer for answer in reversed(answers)}
    count = Counter(answer.interface for answer in answers)
    problems = [
        f"{count[interface]} answers of {interface}, the first at {answer.ended:.3f} to {answer.id}: {answer.words}"
        for interface, answer in sorted(first.items())
    ]
    for log in sorted((stack.data_dir / REGTEST.name / "logs").glob("*.log")):
        deaths = re.findall(rb"the thread (\S+) has died", log.read_bytes())
        problems += [f"{log.stem}: thread {name.decode()} ended by an exception" for name in deaths]
    return problems


def _block(node: Client, height: int) -> Block:
    return Block.parse(bytes.fromhex(_result(node, "getblock", _result(node, "getblockhash", height), 0)))


def _transaction(node: Client, txid: str) -> Transaction:
    return Transaction.parse(bytes.fromhex(_result(node, "getrawtransaction", txid)))


def _result(node: Client, method: str, *params: object) -> Any:
    return _done(call(node, method, *params)).json["result"]

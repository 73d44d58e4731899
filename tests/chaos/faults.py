"""Does the faults of a plan to a stack, each on a thread of its own, and writes into the ledger when it did."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Sequence

import redis

from deploy.errors import LaunchError
from tests.chaos.ledger import Ledger, Struck
from tests.chaos.plan import MEMBERS, Fault
from tests.chaos.stack.proxy import Proxy
from tests.chaos.stack.shapes import ClusterStack, RabbitStack, Stack
from tests.servers import NativeServer

MEND_SECONDS = 30.0
"""How long the undoing of a fault is tried."""

Undo = Callable[[], None]
_FAILURES = (OSError, RuntimeError, redis.RedisError, subprocess.SubprocessError, LaunchError)


def strike(stack: Stack, faults: Sequence[Fault], ledger: Ledger, stop: threading.Event) -> list[threading.Thread]:
    """Start a thread for each fault, which waits for its time. With `stop` set all are undone at once."""
    started = time.monotonic()
    threads = [
        threading.Thread(target=_strike, args=(stack, fault, ledger, started, stop), name=fault.kind.name)
        for fault in faults
    ]
    for thread in threads:
        thread.start()
    return threads


def _strike(stack: Stack, fault: Fault, ledger: Ledger, started: float, stop: threading.Event) -> None:
    if stop.wait(started + fault.at - time.monotonic()):
        return
    began = time.time()
    try:
        undo = action(stack, fault.kind.action, fault.kind.target)
        stop.wait(fault.seconds)
        problem = _mend(undo)
    except _FAILURES as error:
        problem = f"not done: {error}"
    ended = time.time() if fault.seconds else began
    ledger.write(Struck(began=began, ended=ended, name=fault.kind.name, problem=problem))


def _mend(undo: Undo) -> str:
    """Undo a fault; a store that another fault has just ended may not answer yet. Returns why it was not possible."""
    deadline = time.monotonic() + MEND_SECONDS
    while True:
        try:
            undo()
            return ""
        except _FAILURES as error:
            if time.monotonic() > deadline:
                return f"not undone: {error}"
            time.sleep(0.1)


def actions(target: str) -> Collection[str]:
    """Return what can be done to a target."""
    by_target = {"store": _STORE.keys(), "broker": _BROKER.keys(), "sentinel": {"kill", "pause"}}
    by_target |= dict.fromkeys(MEMBERS, _OF_MEMBERS.keys())
    return by_target.get(target, _OF_PROCESSES.keys())


def action(stack: Stack, name: str, target: str) -> Undo:
    """Do a fault now; returns how it is undone."""
    if target == "store":
        return _STORE[name](stack)
    if target == "broker":
        assert isinstance(stack, RabbitStack)
        return _BROKER[name](stack)
    if target in (*MEMBERS, "sentinel"):
        assert isinstance(stack, ClusterStack)
        return _OF_MEMBERS[name](*stack.member(target))
    return _OF_PROCESSES[name](stack.service_of(target).process.pid)


def _killed(pid: int) -> Undo:
    os.kill(pid, signal.SIGKILL)
    return lambda: None  # the launcher starts it again


def _paused(pid: int) -> Undo:
    os.kill(pid, signal.SIGSTOP)

    def resume() -> None:
        with contextlib.suppress(ProcessLookupError):  # it was killed meanwhile
            os.kill(pid, signal.SIGCONT)

    return resume


_OF_PROCESSES: dict[str, Callable[[int], Undo]] = {"kill": _killed, "pause": _paused}


def _kill_member(server: NativeServer, _proxy: Proxy | None) -> Undo:
    server.kill()
    return server.start


def _pause_member(server: NativeServer, _proxy: Proxy | None) -> Undo:
    server.pause()
    return server.resume


def _cut_member(_server: NativeServer, proxy: Proxy | None) -> Undo:
    assert proxy is not None
    proxy.cut()
    return proxy.mend


def _silence_member(_server: NativeServer, proxy: Proxy | None) -> Undo:
    assert proxy is not None
    proxy.silence()
    return proxy.speak


_OF_MEMBERS: dict[str, Callable[[NativeServer, Proxy | None], Undo]] = {
    "kill": _kill_member,
    "pause": _pause_member,
    "cut": _cut_member,
    "silence": _silence_member,
}


def _kill_store(stack: Stack) -> Undo:
    stack.kill_store()
    return stack.revive_store


def _cut_store(stack: Stack) -> Undo:
    stack.store_proxy.cut()
    return stack.store_proxy.mend


def _silence_store(stack: Stack) -> Undo:
    stack.store_proxy.silence()
    return stack.store_proxy.speak


def _fill_store(stack: Stack) -> Undo:
    """Let it refuse whatever needs memory, as a full one does."""
    with contextlib.closing(stack.store()) as client:
        before = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory", "1")
    return functools.partial(_set_memory, stack, before)


def _set_memory(stack: Stack, value: str) -> None:
    with contextlib.closing(stack.store()) as client:
        client.config_set("maxmemory", value)


def _read_only_store(stack: Stack) -> Undo:
    """Make it the replica of a primary that is not there, as in the middle of a failover."""
    with contextlib.closing(stack.store()) as client:
        client.replicaof("127.0.0.1", "1")
    return functools.partial(_primary, stack)


def _primary(stack: Stack) -> None:
    with contextlib.closing(stack.store()) as client:
        client.replicaof("NO", "ONE")


_STORE: dict[str, Callable[[Stack], Undo]] = {
    "kill": _kill_store,
    "pause": lambda stack: _paused(stack.store_pid()),
    "cut": _cut_store,
    "silence": _silence_store,
    "fill": _fill_store,
    "read-only": _read_only_store,
}


def _kill_broker(stack: RabbitStack) -> Undo:
    stack.broker.kill()
    return stack.broker.start


def _pause_broker(stack: RabbitStack) -> Undo:
    stack.broker.pause()
    return stack.broker.resume


def _cut_broker(stack: RabbitStack) -> Undo:
    stack.broker_proxy.cut()
    return stack.broker_proxy.mend


def _silence_broker(stack: RabbitStack) -> Undo:
    stack.broker_proxy.silence()
    return stack.broker_proxy.speak


def _memory_alarm(stack: RabbitStack) -> Undo:
    stack.broker.control("set_vm_memory_high_watermark", "0.0001")
    return functools.partial(stack.broker.control, "set_vm_memory_high_watermark", "0.4")


def _disk_alarm(stack: RabbitStack) -> Undo:
    stack.broker.control("set_disk_free_limit", "1000000GB")
    return functools.partial(stack.broker.control, "set_disk_free_limit", "50MB")


_BROKER: dict[str, Callable[[RabbitStack], Undo]] = {
    "kill": _kill_broker,
    "pause": _pause_broker,
    "cut": _cut_broker,
    "silence": _silence_broker,
    "memory-alarm": _memory_alarm,
    "disk-alarm": _disk_alarm,
}

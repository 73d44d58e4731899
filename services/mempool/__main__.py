"""The mempool service: the validating node, the only writer of chain state, with the node's HTTP port."""

from __future__ import annotations

import sys

from services.mempool.chain_metrics import ChainCollector
from services.mempool.intake.router import ClaimRouter
from services.mempool.mining.workers import Workers, WorkersCollector
from services.mempool.rpc.app import create_rpc_app
from services.mempool.rpc.server.auth import Credentials
from services.mempool.writer import Writer
from shared import config, logs, metrics, telemetry
from shared.bus.broker import Broker
from shared.bus.events import MinerReport
from shared.bus.open_broker import connect as connect_broker
from shared.bus.topics import Topic, transient_queue
from shared.bus.worker import Worker, each
from shared.chain import store
from shared.chain.redis_keys import Keys
from shared.chain.view import ChainView
from shared.consensus import chain_file
from shared.errors import ConfigError, UnsafeStore
from shared.process import shutdown
from shared.process.shutdown import ExitFlag
from shared.process.thread import ServiceThread
from shared.web.server import HttpServer


def main() -> int:
    """Run until a signal asks to stop; return the exit status."""
    try:
        settings = config.load()
        chain = chain_file.load(settings.chain)
    except ConfigError as error:
        print(f"mempool: {error}", file=sys.stderr)
        return 2
    logs.setup(settings, "mempool")
    telemetry.setup(settings, "mempool")
    stop = ExitFlag()
    shutdown.install(stop)
    client = store.connect(settings.redis_url, settings.redis_replicas)
    try:
        store.wait_for_server(client, stop)
    except UnsafeStore as error:
        print(f"mempool: {error}", file=sys.stderr)
        return 2
    broker = ClaimRouter(connect_broker(settings, "mempool"))
    keys = Keys(chain.name)
    metrics.REGISTRY.register(ChainCollector(client, keys))
    view = ChainView(client, keys)
    credentials = Credentials.load(settings, chain)
    workers = Workers()
    metrics.REGISTRY.register(WorkersCollector(workers))
    writer = Writer(settings, chain, broker, stop, workers)

    def store_trouble() -> str:
        store.check_writable(client, keys.heights)
        return "" if view.has_chain() else "there is no chain yet"

    ready = {
        "redis": store_trouble,
        "broker": broker.trouble,
        "writer": writer.trouble,
        "outbox": writer.outbox_trouble,
    }
    app = create_rpc_app(settings, chain, view, broker, credentials, ready, stop, workers)
    try:
        server = HttpServer(app, settings.host, settings.rpc_port, settings.http_threads)
    except ConfigError as error:
        print(f"mempool: {error}", file=sys.stderr)
        return 2
    refusals: list[UnsafeStore] = []
    writing = ServiceThread(lambda: _run(writer, stop, refusals), "writer", stop.is_set)
    writing.start()
    hearing = ServiceThread(lambda: _hear_miners(broker, workers, stop), "miners", stop.is_set)
    hearing.start()
    stop.wait()
    server.drain(settings.drain_seconds)
    server.close()
    writing.join()
    hearing.join()
    broker.close()
    for refusal in refusals:
        print(f"mempool: {refusal}", file=sys.stderr)
    return 2 if refusals else stop.status


def _run(writer: Writer, stop: ExitFlag, refusals: list[UnsafeStore]) -> None:
    try:
        writer.run()
    except UnsafeStore as error:
        refusals.append(error)
        stop.set()


def _hear_miners(broker: Broker, workers: Workers, stop: ExitFlag) -> None:
    """Take the reports of miners: every instance hears all."""
    consumer = broker.consumer([transient_queue("mempool", Topic.MINER_REPORT)])
    try:
        Worker(broker, consumer, {MinerReport: each(workers.hear)}, name="miners", stop=stop, idle_wait=0.5).run()
    finally:
        consumer.close()


if __name__ == "__main__":
    sys.exit(main())

"""The explorer service: `python -m services.explorer` connects to store and broker and serves until told to stop."""

from __future__ import annotations

import logging
import sys

from services.explorer.app import create_explorer
from services.explorer.handlers import handlers, subscription
from shared import config, logs, telemetry
from shared.bus.open_broker import connect
from shared.bus.worker import Worker
from shared.chain import store
from shared.chain.redis_keys import Keys
from shared.chain.view import ChainView
from shared.consensus import chain_file
from shared.errors import ConfigError, StoreUnavailable, UnsafeStore
from shared.process import shutdown
from shared.process.collector import calm_collector
from shared.process.shutdown import ExitFlag
from shared.process.thread import ServiceThread
from shared.web.server import HttpServer

log = logging.getLogger("explorer")


def run(settings: config.Settings, flag: ExitFlag) -> None:
    """Serve until `flag` is set."""
    chain = chain_file.load(settings.chain)
    client = store.connect(settings.redis_url)
    try:
        store.check_server(client)
    except StoreUnavailable as error:
        log.warning("starting without the store: %s", error)  # /readyz asks again

    def store_trouble() -> str:
        store.check_server(client)
        return ""

    broker = connect(settings, "explorer")
    view = ChainView(client, Keys(chain.name))
    ready = {"redis": store_trouble, "broker": broker.trouble}
    explorer = create_explorer(settings, chain, view, broker, ready)
    hub = explorer.hub
    calm_collector()
    server = HttpServer(explorer.app, settings.host, settings.explorer_port, settings.http_threads, explorer.endpoints)
    hub.start(server.call_soon)
    log.info("serving", extra=logs.with_fields(host=settings.host, port=server.port, chain=chain.name))

    def listen() -> None:
        """Hear facts; a broker that is away keeps nobody from reading meanwhile."""
        consumer = broker.consumer([subscription()])
        Worker(broker, consumer, handlers(hub), name="explorer", stop=flag).run()

    listener = ServiceThread(listen, "facts", flag.is_set)
    listener.start()
    flag.wait()
    server.drain(settings.drain_seconds)
    hub.close()
    server.close()
    listener.join(timeout=5)
    broker.close()
    client.close()
    log.info("stopped")


def main() -> int:
    """Return the exit status."""
    try:
        settings = config.load()
        logs.setup(settings, "explorer")
        telemetry.setup(settings, "explorer")
        flag = ExitFlag()
        shutdown.install(flag)
        run(settings, flag)
    except (ConfigError, UnsafeStore) as error:
        print(f"explorer: {error}", file=sys.stderr)
        return 2
    return flag.status


if __name__ == "__main__":
    sys.exit(main())

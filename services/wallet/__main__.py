"""The wallet service: `python -m services.wallet`.

Wires the parts together and runs them until SIGTERM or Ctrl-C: HTTP server, inbox, first start, a test chain's faucet,
housekeeping.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable

from services.wallet import directory
from services.wallet.app import create_wallet_app
from services.wallet.bootstrap import Bootstrap, first_blocks, password_file
from services.wallet.coins.ledger import Ledger
from services.wallet.faucet import Faucet, requests
from services.wallet.handlers import Inbox, subscriptions
from services.wallet.keys.attempts import Attempts
from services.wallet.keys.keystore import Keystore
from services.wallet.payments.payments import Payments
from services.wallet.service import WalletService
from services.wallet.sessions import Sessions
from services.wallet.store import WalletStore
from shared import config, logs, telemetry
from shared.bus.broker import Broker
from shared.bus.open_broker import connect
from shared.bus.topics import WALLET_INBOX, WALLET_NAMES, WALLET_REQUESTS
from shared.bus.worker import Suspects, Worker
from shared.chain import store as chain_store
from shared.chain.redis_keys import Keys
from shared.chain.view import ChainView
from shared.consensus import chain_file
from shared.errors import BrokerUnavailable, ConfigError, StoreUnavailable, UnsafeStore
from shared.logs import with_fields
from shared.process import shutdown
from shared.process.backoff import backoff
from shared.process.collector import calm_collector
from shared.process.shutdown import ExitFlag
from shared.process.thread import ServiceThread
from shared.web.server import HttpServer

log = logging.getLogger("services.wallet")

_HOUSEKEEPING_SECONDS = 30.0
_HEAD_START_SECONDS = 3.0
"""Seconds that the inbox waits for the first blocks: it then handles their facts in one batch, and miners have the CPU
until then."""
_GATHER_SECONDS = 0.1
"""After each batch more facts gather for so long: they only trigger a look at the chain, and a batch of them takes
about as long as one."""
_MOST_FACTS = 2_000
"""Facts in a batch; with the time to gather them, more than the chain makes."""
_FAUCET_THREADS = 4
"""Requests to the faucet that are served at a time."""
_FAUCET_IDLE_SECONDS = 0.2
"""Seconds after which a thread of the faucet without work looks at the exit flag."""
_THREAD_END_SECONDS = 5.0
"""Seconds within which a thread gives back the request that it still works on, before the bus is closed."""


def main() -> int:
    """Run the service; return the exit status."""
    try:
        settings = config.load()
        chain = chain_file.load(settings.chain)
    except ConfigError as error:
        print(f"wallet: {error}", file=sys.stderr)
        return 2
    logs.setup(settings, "wallet")
    telemetry.setup(settings, "wallet")
    stop = ExitFlag()
    shutdown.install(stop)
    keys = Keys(chain.name)
    client = chain_store.connect(settings.redis_url, settings.redis_replicas)
    view = ChainView(client, keys)
    broker = connect(settings, "wallet")
    attempts = Attempts()
    sessions = Sessions(client, keys, chain.address)
    store = WalletStore(client, keys)
    ledger = Ledger(view, chain.coinbase_maturity)
    wallets = WalletService(chain, store, ledger, Keystore(chain, attempts), broker, settings.mine_timeout)
    payments = Payments(wallets, broker)
    blocks = first_blocks(chain, settings.creator_blocks)
    password = password_file(settings, chain)
    bootstrap = Bootstrap(wallets, view, password, blocks, stop)
    faucet = None
    if chain.is_test_chain and settings.faucet == "on":
        faucet = Faucet(wallets, payments, password, may_mine=chain.has_cheap_blocks)

    def store_trouble() -> str:
        chain_store.check_writable(client, store.writable_key)
        view.tip()
        return ""

    ready = {"redis": store_trouble, "broker": broker.trouble, "bootstrap": bootstrap.trouble}
    app = create_wallet_app(settings, wallets, payments, sessions, faucet, ready)
    calm_collector()
    try:
        server = HttpServer(app, settings.host, settings.wallet_port, settings.http_threads)
    except ConfigError as error:
        print(f"wallet: {error}", file=sys.stderr)
        return 2
    log.info("listening", extra=with_fields(host=settings.host, port=server.port, chain=chain.name))

    threads = []
    ServiceThread(lambda: _purge_periodically(stop, attempts), "housekeeping", stop.is_set).start()
    try:
        _retry(lambda: chain_store.check_server(client), stop)
        ServiceThread(bootstrap.run, "bootstrap", lambda: bootstrap.is_done() or stop.is_set()).start()
        if faucet is not None:
            serve = functools.partial(_serve_faucet, broker, faucet, bootstrap, Suspects(), stop)
            threads += [ServiceThread(serve, f"faucet-{number}", stop.is_set) for number in range(_FAUCET_THREADS)]
        tell = functools.partial(_retry, lambda: _tell_names(broker, wallets, stop), stop)
        threads.append(ServiceThread(tell, "names", stop.is_set))
        for thread in threads:
            thread.start()
        bootstrap.wait(_HEAD_START_SECONDS)
        _retry(lambda: _run_inbox(broker, wallets, view, stop), stop)
    except UnsafeStore as error:
        log.error("%s", error)
        return 1
    finally:
        stop.set()
        server.drain(settings.drain_seconds)
        server.close()
        for thread in threads:
            thread.join(_THREAD_END_SECONDS)
        broker.close()
        log.info("stopped")
    return stop.status


def _purge_periodically(stop: ExitFlag, attempts: Attempts) -> None:
    while not stop.wait(_HOUSEKEEPING_SECONDS):
        attempts.purge()


def _retry(work: Callable[[], None], stop: ExitFlag) -> None:
    """Call `work` until it returns; after an error of Redis or the broker, wait and call it again."""
    failures = 0
    while not stop.is_set():
        try:
            work()
        except (StoreUnavailable, BrokerUnavailable) as error:
            log.warning("waiting: %s", error)
            stop.wait(backoff(failures))
            failures += 1
        else:
            return


def _run_inbox(broker: Broker, wallets: WalletService, view: ChainView, stop: ExitFlag) -> None:
    """Handle facts until the exit flag is set."""
    consumer = broker.consumer([WALLET_INBOX], prefetch=_MOST_FACTS)
    table = subscriptions(Inbox(wallets, view))

    def gather() -> None:
        stop.wait(_GATHER_SECONDS)

    try:
        Worker(broker, consumer, table, name="wallet", stop=stop, max_batch=_MOST_FACTS, on_idle=gather).run()
    finally:
        consumer.close()


def _tell_names(broker: Broker, wallets: WalletService, stop: ExitFlag) -> None:
    """Answer requests for the wallets' names until the exit flag is set."""
    consumer = broker.consumer([WALLET_NAMES])
    try:
        Worker(broker, consumer, directory.requests(wallets), name="names", stop=stop).run()
    finally:
        consumer.close()


def _serve_faucet(broker: Broker, faucet: Faucet, bootstrap: Bootstrap, suspects: Suspects, stop: ExitFlag) -> None:
    """Wait for the first coins to be mined, then answer requests for test coins until the exit flag is set."""
    while not (bootstrap.is_done() or stop.is_set()):
        bootstrap.wait(_HEAD_START_SECONDS)
    _retry(lambda: _run_faucet(broker, faucet, suspects, stop), stop)


def _run_faucet(broker: Broker, faucet: Faucet, suspects: Suspects, stop: ExitFlag) -> None:
    """Take one request at a time from the queue, beside the other threads of the faucet.

    A request that waits for a verdict, for blocks or for an answer that was lost holds up one thread and no other
    request.
    """
    consumer = broker.consumer([WALLET_REQUESTS], prefetch=1)
    try:
        Worker(
            broker,
            consumer,
            requests(faucet),
            name="faucet",
            stop=stop,
            max_batch=1,
            idle_wait=_FAUCET_IDLE_SECONDS,
            suspects=suspects,
        ).run()
    finally:
        consumer.close()


if __name__ == "__main__":
    sys.exit(main())

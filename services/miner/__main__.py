"""`python -m services.miner`: one worker that searches for blocks. It needs the broker and nothing else.

Run as many as there are processors to spend; they share nothing. Templates are received on the main thread, searched
on a second one, and a third one reports; the bus has its own, so its heartbeats go on while the processor is busy.
"""

from __future__ import annotations

import logging
import sys

from services.miner.grind import Grinder
from services.miner.handlers import handlers, queue
from services.miner.kernels.choice import compile_kernel, is_compiled_wanted, plain_kernel
from services.miner.reports import MinerCollector, Reporter
from shared import logs, metrics, telemetry
from shared.bus.broker import Broker
from shared.bus.open_broker import connect
from shared.bus.worker import Worker
from shared.config import Settings, load
from shared.errors import ConfigError
from shared.process.shutdown import ExitFlag, install
from shared.process.thread import ServiceThread
from shared.servers.url import AMQP_PORTS, parse_server_url

log = logging.getLogger(__name__)

_SWITCH_INTERVAL = 0.001
"""Seconds after which the searching thread lets another have the interpreter; Python's default is 5 ms."""


def run(settings: Settings, broker: Broker, stop: ExitFlag) -> None:
    """Mine until `stop` is set."""
    grinder = Grinder(broker, settings.miner_name, stop, plain_kernel())
    reporter = Reporter(broker, grinder.report, stop)
    metrics.REGISTRY.register(collector := MinerCollector(grinder, broker))
    consumer = broker.consumer([queue(_user(settings))])
    threads = [
        ServiceThread(grinder.run, "grinder", stop.is_set),
        ServiceThread(reporter.run, "reports", stop.is_set),
    ]
    if is_compiled_wanted(settings.kernel):
        compiling = ServiceThread(lambda: compile_kernel(settings.kernel, grinder.use), "compiler", lambda: True)
        threads.append(compiling)
    for thread in threads:
        thread.start()
    log.info("mining", extra=logs.with_fields(miner=settings.miner_name))
    try:
        Worker(broker, consumer, handlers(grinder, reporter.hear), name="miner", stop=stop).run()
    finally:
        stop.set()
        grinder.wake()
        reporter.wake()
        consumer.close()
        for thread in threads:
            thread.join()
        metrics.REGISTRY.unregister(collector)


def _user(settings: Settings) -> str:
    """Return the name with which the names of this process's queues begin: on RabbitMQ its user's."""
    if settings.broker != "rabbitmq":
        return "miner"
    return parse_server_url(settings.amqp_url, AMQP_PORTS).username or "guest"


def main() -> int:
    """Run the service; return its exit status."""
    stop = ExitFlag()
    try:
        settings = load()
        logs.setup(settings, "miner")
        telemetry.setup(settings, "miner")
        install(stop)
        is_compiled_wanted(settings.kernel)
        if settings.metrics_port:
            metrics.serve(settings.host, settings.metrics_port)
        broker = connect(settings, "miner")
    except ConfigError as error:
        print(f"miner: {error}", file=sys.stderr)
        return 2
    sys.setswitchinterval(_SWITCH_INTERVAL)
    try:
        run(settings, broker, stop)
        return stop.status
    finally:
        broker.close()


if __name__ == "__main__":
    sys.exit(main())

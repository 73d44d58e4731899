"""Makes RabbitMQ's exchanges, durable queues and bindings, and keeps them up: `python -m deploy.setup.topology`.

It runs beside the services as a user of its own, on `WARREN_AMQP_URL`. Every few seconds it declares everything again,
which changes nothing that is there; what somebody deleted is back before a publisher loses patience.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any

import pika
import pika.exceptions

from shared import config, logs
from shared.bus.rabbit.link import describe
from shared.bus.rabbit.parameters import parameters
from shared.bus.rabbit.topology import EXCHANGE_BINDINGS, EXCHANGES, QUEUES
from shared.bus.topics import DEAD_LETTER_EXCHANGE
from shared.errors import ConfigError
from shared.logs import with_fields
from shared.process import shutdown
from shared.process.backoff import backoff
from shared.process.shutdown import ExitFlag

log = logging.getLogger("topology")

PERIOD = 2.0
"""Seconds between two declarations."""
_PRECONDITION_FAILED = 406


def make(amqp_url: str) -> None:
    """Make everything that is missing, once. Raises pika's errors, and `ConfigError` for a malformed URL."""
    with contextlib.closing(pika.BlockingConnection(parameters(amqp_url, "topology"))) as connection:
        declare(connection)


def declare(connection: Any) -> None:
    """Make everything that is missing, through a blocking connection. Raises pika's errors.

    A queue that is there with other arguments cannot be declared; the error comes when all others are.
    """
    _drop_old_exchange(connection)
    channel = connection.channel()
    for exchange in EXCHANGES:
        channel.exchange_declare(exchange, "topic", durable=True)
    for binding in EXCHANGE_BINDINGS:
        channel.exchange_bind(binding.destination, binding.source, binding.routing_key)
    refusal: pika.exceptions.ChannelClosedByBroker | None = None
    for queue in QUEUES:
        try:
            channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
            for key in queue.routing_keys:
                channel.queue_bind(queue.name, queue.exchange, key)
        except pika.exceptions.ChannelClosedByBroker as error:
            refusal = refusal or error
            channel = connection.channel()
    channel.close()
    if refusal is not None:
        raise refusal


def _drop_old_exchange(connection: Any) -> None:
    """Remove the dead-letter exchange of a version that had one queue for all services: it was of another type."""
    channel = connection.channel()
    try:
        channel.exchange_declare(DEAD_LETTER_EXCHANGE, "topic", durable=True)
        channel.close()
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code != _PRECONDITION_FAILED:
            raise
        connection.channel().exchange_delete(DEAD_LETTER_EXCHANGE)


def keep(amqp_url: str, stop: ExitFlag) -> None:
    """Declare everything again and again until `stop` is set. Raises `ConfigError` for a malformed URL."""
    hosts = parameters(amqp_url, "topology")
    failures = 0
    while not stop.is_set():
        try:
            with contextlib.closing(pika.BlockingConnection(hosts)) as connection:
                while not stop.is_set():
                    declare(connection)
                    if failures:
                        log.info("exchanges, queues and bindings are there again")
                        failures = 0
                    stop.wait(PERIOD)
        except (pika.exceptions.AMQPError, OSError) as error:
            if failures == 0:
                log.warning("cannot declare, trying again", extra=with_fields(error=describe(error)))
            stop.wait(backoff(failures, cap=PERIOD))
            failures += 1


def main() -> int:
    """Keep everything up until a signal asks to stop; return the exit status."""
    try:
        settings = config.load()
        logs.setup(settings, "topology")
        stop = ExitFlag()
        shutdown.install(stop)
        keep(settings.amqp_url, stop)
    except ConfigError as error:
        print(f"topology: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

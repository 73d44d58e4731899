"""Opens the bus that the settings ask for: every composition root calls this, and nothing else names a backend."""

from __future__ import annotations

from pathlib import Path

from shared.bus.broker import Broker
from shared.bus.dead_letters import DeadLetters
from shared.bus.rabbit.broker import RabbitBroker
from shared.bus.rabbit.dead_letters import RabbitDeadLetters
from shared.bus.redis_streams.broker import RedisStreamsBroker
from shared.bus.redis_streams.dead_letters import RedisDeadLetters
from shared.config import Settings


def connect(settings: Settings, service: str) -> Broker:
    """Return a service's broker; it connects in the background or when first used. Raises `ConfigError` for a bad URL.

    Chains that share a Redis have a bus each, by the chain's name (a chain file's name without its folder and suffix);
    chains that share a RabbitMQ need a virtual host each.
    """
    if settings.broker == "rabbitmq":
        return RabbitBroker(settings.amqp_url, service)
    return RedisStreamsBroker(settings.redis_url, prefix=_prefix(settings))


def open_dead_letters(settings: Settings) -> DeadLetters:
    """Return the dead letters of all services. Raises `ConfigError` for a bad URL, `BrokerError` if it is refused."""
    if settings.broker == "rabbitmq":
        return RabbitDeadLetters(settings.amqp_url)
    return RedisDeadLetters(settings.redis_url, prefix=_prefix(settings))


def _prefix(settings: Settings) -> str:
    return f"warren-bus:{Path(settings.chain).stem}"

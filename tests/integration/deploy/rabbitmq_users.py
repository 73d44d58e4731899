"""The users of the deployed RabbitMQ, each with a connection, and everything that one of them may try."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pika
import pika.exceptions

from deploy.setup.access import OPERATOR, RIGHTS, TOPOLOGY, VHOST
from shared.bus.rabbit.topology import EXCHANGES, QUEUES
from shared.bus.topics import Topic

GUEST = "a-shop"
RIG = "a-rig"
"""A miner of somebody else's."""
USERS = (*RIGHTS, RIG, GUEST)
PASSWORDS = {user: f"password-of-{user}" for user in (*USERS, OPERATOR, TOPOLOGY)}
REFUSED = (403, 405)
"""No permission, and somebody else's exclusive queue."""
DEFAULT = ""
PREDECLARED = (DEFAULT, "amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic")
ALL_EXCHANGES = (*EXCHANGES, *PREDECLARED)
DURABLE = tuple(queue.name for queue in QUEUES)


class User:
    """One user's connection, with a transient queue as its service has it."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.queue = f"{name}.{uuid.uuid4().hex}"
        credentials = pika.PlainCredentials(name, PASSWORDS[name])
        self.connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, VHOST, credentials))
        self._channel: Any = None
        self.refusals = 0
        if name in USERS:
            self.may(lambda channel: channel.queue_declare(self.queue, exclusive=True))

    def may(self, action: Callable[[Any], object]) -> bool:
        """Try something; return whether it is allowed."""
        if self._channel is None or not self._channel.is_open:
            self._channel = self.connection.channel()
            self._channel.confirm_delivery()
        try:
            action(self._channel)
        except pika.exceptions.ChannelClosedByBroker as error:
            if error.reply_code not in REFUSED:
                raise
            self.refusals += 1
            return False
        return True

    def may_publish(self, exchange: str, key: str) -> bool:
        """Whether a message is accepted, which says not where it gets."""
        properties = pika.BasicProperties(type=key, delivery_mode=2)
        return self.may(lambda channel: channel.basic_publish(exchange, key, b"tried", properties))

    def may_bind(self, queue: str, exchange: str, key: str) -> bool:
        return self.may(lambda channel: channel.queue_bind(queue, exchange, key))

    def may_bind_exchange(self, destination: str, source: str, key: str) -> bool:
        return self.may(lambda channel: channel.exchange_bind(destination, source, key))

    def may_read(self, queue: str) -> bool:
        return self.may(lambda channel: channel.basic_get(queue)) | self.may(
            lambda channel: channel.basic_cancel(channel.basic_consume(queue, lambda *_: None))
        )


def routing_keys(users: list[User]) -> list[str]:
    """Return every key that leads anywhere, and wildcards."""
    return [*Topic, *DURABLE, *RIGHTS, *(user.queue for user in users), "#", "*.*", ""]

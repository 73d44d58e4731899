"""Private Redis and RabbitMQ servers for tests: containers where Docker answers, else processes of our own.

`WARREN_TEST_SERVERS=native` or `docker` decides instead. `WARREN_TEST_ENGINE=redis` or `valkey` decides which installed
server holds the chain, else Redis where there is one; `WARREN_TEST_IMAGES="redis:7 rabbitmq:3-management"` names images
for containers, else those of compose.yaml. Every server has a free port on 127.0.0.1, a directory of its own and no
names in common with another, so any number can run side by side. `kill` and `start` again keep port and data: that is
how the tests crash a server.
"""

from __future__ import annotations

import os

from tests.servers.containers import ContainerRabbitMQ, ContainerRedis, docker_answers, uses_docker
from tests.servers.native_rabbitmq import NameServer, NativeRabbitMQ
from tests.servers.native_redis import ENGINE, NativeRedis, redis_answers, redis_binary, servers
from tests.servers.process import NativeServer, Process
from tests.servers.server import NoServer, Server, free_port, free_ports, wait_for

__all__ = [
    "ENGINE",
    "RUNNING_RABBITMQ",
    "RUNNING_REDIS",
    "ContainerRabbitMQ",
    "NameServer",
    "NativeRabbitMQ",
    "NativeRedis",
    "NativeServer",
    "NoServer",
    "Process",
    "Server",
    "docker_answers",
    "free_port",
    "free_ports",
    "rabbitmq_server",
    "redis_answers",
    "redis_binary",
    "redis_server",
    "servers",
    "uses_docker",
    "wait_for",
]

RUNNING_REDIS = os.environ.get("WARREN_TEST_REDIS_URL", "")
RUNNING_RABBITMQ = os.environ.get("WARREN_TEST_AMQP_URL", "")
"""URL of a running server for tests that crash none; the person who starts it keeps it up between runs."""


def redis_server() -> Server:
    """Return a Redis with every write on disk before it is confirmed, not yet started."""
    return ContainerRedis() if uses_docker() else NativeRedis()


def rabbitmq_server() -> NativeRabbitMQ | ContainerRabbitMQ:
    """Return a RabbitMQ, not yet started."""
    return ContainerRabbitMQ() if uses_docker() else NativeRabbitMQ()

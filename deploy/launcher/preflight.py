"""Checks of `./warren up` before it changes anything: data directory, ports, and the servers that the options name."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from deploy.errors import LaunchError
from deploy.launcher import redis_server
from deploy.launcher.options import UpOptions
from deploy.processes import ports
from deploy.stack import state
from shared.servers.url import AMQP_PORTS, REDIS_PORTS, parse_server_url

_PATIENCE = 5.0
"""Seconds to wait for a server's answer."""


def preflight(options: UpOptions) -> None:
    """Raise `LaunchError`, which names the option, if the stack cannot start. Changes nothing."""
    check_directory(options.data_dir)
    old = state.read(options.data_dir)
    if old is not None and old.launcher.is_alive():
        raise state.already_runs(options.data_dir)
    leftovers = old is not None and any(service.process.is_alive() for service in old.services)
    if not leftovers:  # leftovers may hold these ports, and are ended first
        ports.choose(options.host, {name: port for name, port in wanted_ports(options).items() if port})
    if options.redis_url:
        check_redis(options.redis_url)
    else:
        redis_server.find_binary(options.chain_dir / "redis")
    if options.broker == "rabbitmq":
        check_rabbitmq(options.amqp_url)


def wanted_ports(options: UpOptions) -> Mapping[str, int]:
    """Return the ports that the options name, 0 for any free one."""
    return {"wallet": options.wallet_port, "explorer": options.explorer_port, "rpc": options.rpc_port}


def check_directory(path: Path) -> None:
    """Raise `LaunchError` unless the path is, or can be made, a writable directory."""
    existing = path
    while True:
        try:
            found = existing.stat()
            break
        except FileNotFoundError:
            if existing.is_symlink():
                raise LaunchError(f"--data-dir {path}: {existing} is a link that leads nowhere") from None
            existing = existing.parent
        except OSError as error:  # no permission, a loop of links, a name too long
            raise LaunchError(f"--data-dir {path}: {error.strerror}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise LaunchError(f"--data-dir {path}: {existing} is not a directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise LaunchError(f"--data-dir {path}: cannot write to {existing}")


def check_redis(url: str) -> None:
    """Raise `LaunchError` if a Redis does not answer, refuses the login, or is not fit to hold a chain."""
    import redis

    from shared.bus.redis_streams.client import open_client
    from shared.chain.store import check_server
    from shared.errors import UnsafeStore

    where = _where("--redis-url", url)
    try:
        with open_client(url) as client:
            client.ping()
            check_server(client)
    except redis.exceptions.BusyLoadingError:
        return  # it runs; the services wait until it has loaded its data
    except redis.AuthenticationError as error:
        raise LaunchError(f"{where} does not let us in: {error}") from None
    except redis.ResponseError as error:
        raise LaunchError(f"{where} refuses: {error}") from None
    except UnsafeStore as error:
        raise LaunchError(f"{where}: {error}") from None
    except (redis.RedisError, OSError, ValueError) as error:
        raise LaunchError(f"{where} does not answer as Redis: {_first_line(error)}") from None


def check_rabbitmq(url: str) -> None:
    """Raise `LaunchError` if a RabbitMQ does not answer or refuses the login."""
    import pika
    import pika.exceptions

    from shared.bus.rabbit.link import describe
    from shared.bus.rabbit.parameters import parameters

    logging.getLogger("pika").setLevel(logging.CRITICAL)  # it tells each failure in many lines
    where = _where("--amqp-url", url)
    asked = parameters(url)
    for each in asked:
        each.socket_timeout = each.stack_timeout = each.blocked_connection_timeout = _PATIENCE
    try:
        pika.BlockingConnection(asked).close()  # to the first that answers
    except (pika.exceptions.AMQPError, OSError, ValueError) as error:
        raise LaunchError(f"{where} does not let us in or does not answer: {_first_line(describe(error))}") from None


def _where(option: str, url: str) -> str:
    """Return an option and its servers in words, without any password."""
    if url.startswith("unix:"):
        return f"{option}: the server"
    servers = parse_server_url(url, AMQP_PORTS | REDIS_PORTS, option)
    return f"{option}: the server at {servers.place}"


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__

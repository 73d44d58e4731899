"""The commands of `./warren`: their options, their help, and suggestions for mistyped words.

Standard library only: help, version and wrong usage need no installation.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from deploy.errors import UsageError
from shared.config import SECRETS, Settings, load
from shared.errors import ConfigError, DecodeError
from shared.mining_mode import parse_mode
from shared.servers.url import AMQP_PORTS, REDIS_PORTS, parse_server_url

MAX_MINERS = 64
MAX_MEMPOOLS = 8


@dataclass(frozen=True, slots=True)
class Command:
    """A command. `lock` names the lock file that must be installed in `.venv` first; empty if it needs no package."""

    name: str
    about: str
    lock: str = ""
    add_options: Callable[[argparse.ArgumentParser, Settings], None] | None = None
    """None if all arguments go to another program."""
    check: Callable[[argparse.Namespace, Settings, Mapping[str, str]], None] = lambda *_: None
    """Completes the options from the environment; `UsageError` if they contradict each other."""


class Parser(argparse.ArgumentParser):
    """Reads the options of one command; raises `UsageError` where argparse would print two lines and exit."""

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError` with the problem in one line."""
        raise UsageError(f"{message.removeprefix('argument ')} (see `{self.prog} --help`)")

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the options; `UsageError` names the first unknown one."""
        options, unknown = self.parse_known_args(arguments)
        if unknown:
            word = unknown[0].partition("=")[0]
            if not word.startswith("-"):
                self.error(f"{word!r} is one word too many")
            self.error(f"unknown option {word}{did_you_mean(word, self._option_string_actions)}")
        return options


def parse(arguments: Sequence[str], environ: Mapping[str, str]) -> argparse.Namespace:
    """Return the command, as `command`, its lock file, as `lock`, and its options or `rest`.

    For help and version `command` is empty and `text` is the text to print. Raises `UsageError`, or `ConfigError` if an
    environment variable is wrong.
    """
    word, *rest = arguments
    if word == "--version":
        from shared.version import VERSION

        return _answer(f"warren {VERSION}")
    if word in ("help", "--help", "-h"):
        return _answer(help_of(rest[0], environ) if rest and word == "help" else usage())
    command = _command(word)
    if command.add_options is None:
        if rest and rest[0] in ("--help", "-h"):
            return _answer(help_of(word, environ))
        return argparse.Namespace(command=command.name, lock=command.lock, rest=rest)
    if "--help" in rest or "-h" in rest:
        return _answer(help_of(word, environ))
    options = _parser(command, environ).read(rest)
    command.check(options, load(environ), environ)
    options.command = command.name
    options.lock = vars(options).get("lock", command.lock)
    return options


def usage() -> str:
    """Return the overview of all commands."""
    width = max(len(command.name) for command in COMMANDS)
    commands = "\n".join(f"  {command.name:<{width}}  {command.about}" for command in COMMANDS)
    return (
        "usage: warren COMMAND [options]\n\n"
        "A complete private Bitcoin chain on this machine: `warren up`, then open what its last lines name.\n\n"
        f"{commands}\n\n"
        "`warren help COMMAND` shows the options of a command, `warren --version` the version.\n"
        "Exit status: 0 done (status: all is ready), 1 not done, 2 wrong usage, 130 interrupted."
    )


def help_of(name: str, environ: Mapping[str, str]) -> str:
    """Return the help text of one command; `UsageError` if no command has this name."""
    return _parser(_command(name), environ).format_help().rstrip()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a suggestion to append to an error about an unknown word; empty if no known word is close."""
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _answer(text: str) -> argparse.Namespace:
    return argparse.Namespace(command="", lock="", text=text)


def _command(word: str) -> Command:
    for command in COMMANDS:
        if command.name == word:
            return command
    if word.startswith("-"):
        hint = did_you_mean(word, ("--help", "--version")) or "; options come after the command"
        raise UsageError(f"unknown option {word}{hint} (see `warren --help`)")
    hint = did_you_mean(word, (command.name for command in COMMANDS))
    raise UsageError(f"unknown command {word!r}{hint} (see `warren --help`)")


def _parser(command: Command, environ: Mapping[str, str]) -> Parser:
    about = f"{command.about[0].upper()}{command.about[1:]}."
    if command.add_options is None:
        return Parser(prog=f"warren {command.name}", usage="%(prog)s [arguments]", description=about)
    parser = Parser(prog=f"warren {command.name}", description=about, allow_abbrev=False)
    command.add_options(parser, load(environ))
    return parser


def _data_dir(parser: argparse.ArgumentParser, settings: Settings) -> None:
    parser.add_argument(
        "--data-dir", type=_not_empty, default=str(settings.data_dir), metavar="DIR", help="default: %(default)s"
    )


def _up(parser: argparse.ArgumentParser, settings: Settings) -> None:
    _data_dir(parser, settings)
    add = parser.add_argument
    add("--chain", default=settings.chain, metavar="NAME|FILE", help="default: %(default)s")
    for name in ("wallet", "explorer", "rpc"):
        port = getattr(settings, f"{name}_port")
        add(
            f"--{name}-port",
            type=_whole_number(0, 65535),
            default=port,
            metavar="N",
            help="default: %(default)s; 0: any free",
        )
    add("--host", default=settings.host, help="address to listen on (default: %(default)s)")
    add("--miners", type=_whole_number(1, MAX_MINERS), default=1, metavar="N", help=f"1 to {MAX_MINERS} (default: 1)")
    add(
        "--mempools",
        type=_whole_number(1, MAX_MEMPOOLS),
        default=1,
        metavar="N",
        help=f"1 to {MAX_MEMPOOLS} instances, one of which writes while the others stand by (default: 1)",
    )
    add(
        "--broker",
        type=_one_of("embedded", "rabbitmq"),
        default=settings.broker,
        metavar="embedded|rabbitmq",
        help="embedded: Redis Streams on the chain's Redis (default: %(default)s)",
    )
    add("--redis-url", default="", metavar="URL", help="a Redis to use (default: a private one is started)")
    add("--amqp-url", default="", metavar="URL", help="the RabbitMQ of --broker rabbitmq")
    add(
        "--mining",
        type=_mining_mode,
        metavar="MODE",
        help="manual, auto, interval:S, interval:A-B (or with ,skip-empty) or continuous (default: as it was)",
    )
    add("--mining-address", default="", metavar="ADDRESS", help="whom its blocks pay (default: the wallet creator)")
    add("--rpc-user", default=settings.rpc_user, metavar="NAME", help="default: the cookie file's")
    add("--rpc-password", default="", metavar="PASSWORD", help="better: WARREN_RPC_PASSWORD_FILE")
    add("--detach", action="store_true", help="return when all is ready; `warren down` stops it")


def _miner(parser: argparse.ArgumentParser, settings: Settings) -> None:
    add = parser.add_argument
    add("--amqp-url", default="", metavar="URL", help="of RabbitMQ (better: WARREN_AMQP_URL_FILE, which nobody sees)")
    add("--threads", type=_whole_number(1, MAX_MINERS), default=1, metavar="N", help="workers (default: 1)")
    kernels = ("auto", "hashlib", "llvm")
    about = "llvm: compiled for this processor, 170 MB to install (default: auto, llvm where there is one)"
    add("--kernel", type=_one_of(*kernels), metavar="|".join(kernels), help=about)
    add("--name", type=_miner_name, help="written into the blocks (default: the host's)")
    _data_dir(parser, settings)


def _check_miner(options: argparse.Namespace, settings: Settings, environ: Mapping[str, str]) -> None:
    _from_environment(options, settings, environ, "amqp_url")
    if not options.amqp_url:
        raise UsageError("miner needs --amqp-url (amqp://user:password@host:port/vhost) or WARREN_AMQP_URL_FILE")
    _check_url("--amqp-url", options.amqp_url, AMQP_PORTS)
    options.kernel = options.kernel or (settings.kernel if "WARREN_KERNEL" in environ else "auto")
    options.lock = _lock_for(options.kernel)


def _lock_for(kernel: str) -> str:
    return "local" if kernel == "hashlib" else "miner"


def _miner_name(text: str) -> str:
    try:
        return load({"WARREN_MINER_NAME": text}).miner_name
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error).partition(" ")[2]) from None


def _status(parser: argparse.ArgumentParser, settings: Settings) -> None:
    _data_dir(parser, settings)
    parser.add_argument("--json", action="store_true", help="for programs; docs/operations.md says what is in it")


def _check_up(options: argparse.Namespace, settings: Settings, environ: Mapping[str, str]) -> None:
    _from_environment(options, settings, environ, *SECRETS)
    options.lock = _lock_for(settings.kernel)
    if bool(options.rpc_user) != bool(options.rpc_password):
        raise UsageError("--rpc-user and --rpc-password go together")
    if options.mining_address and not options.mining:
        raise UsageError("--mining-address needs --mining MODE")
    if options.redis_url:
        _check_url("--redis-url", options.redis_url, REDIS_PORTS | {"unix": 0})
    if options.broker == "rabbitmq":
        if not options.amqp_url:
            raise UsageError("--broker rabbitmq needs --amqp-url (amqp://user:password@host:port/vhost)")
        _check_url("--amqp-url", options.amqp_url, AMQP_PORTS)


def _from_environment(options: argparse.Namespace, settings: Settings, environ: Mapping[str, str], *names: str) -> None:
    """Complete secrets that are not among the options from the environment, if it names them."""
    for name in names:
        variable = f"WARREN_{name.upper()}"
        if not getattr(options, name) and (variable in environ or f"{variable}_FILE" in environ):
            setattr(options, name, getattr(settings, name))


def _check_url(option: str, url: str, ports: Mapping[str, int]) -> None:
    """Raise `UsageError` for a malformed URL, without showing it: it may contain a password."""
    try:
        parse_server_url(url, ports, option)
    except ConfigError as error:
        raise UsageError(str(error)) from None


def _genesis(parser: argparse.ArgumentParser, _settings: Settings) -> None:
    add = parser.add_argument
    add("--chain", default="", metavar="FILE", help="the chain file; made if it does not exist (required)")
    add("--payee", default="", metavar="ADDRESS|KEY", help="whom it pays: an address or public key")
    add("--name", default="", help="name of a new chain (default: that of the file)")
    add("--reward", type=_whole_number(), metavar="SATOSHIS", help="what it pays (default: the first subsidy)")
    add("--bits", metavar="HEX", help="its target, as in a header (default: the chain's limit)")
    add("--time", type=_whole_number(), metavar="SECONDS", help="since 1970 (default: now)")
    add("--again", action="store_true", help="replace a genesis block that has been mined already")


def _check_genesis(options: argparse.Namespace, _settings: Settings, _environ: Mapping[str, str]) -> None:
    if not options.chain:
        raise UsageError("genesis needs --chain FILE")


def _demo(parser: argparse.ArgumentParser, settings: Settings) -> None:
    _data_dir(parser, settings)
    add = parser.add_argument
    add("--wallet-url", default="", metavar="URL", help="with the next three: a stack not of this machine")
    add("--explorer-url", default="", metavar="URL")
    add("--rpc-url", default="", metavar="URL")
    add("--creator-password-file", default="", metavar="FILE", help="default: the data directory's")


def _backup(parser: argparse.ArgumentParser, settings: Settings) -> None:
    parser.add_argument("file", type=_not_empty, metavar="FILE", help="-: standard output or input")
    _data_dir(parser, settings)
    parser.add_argument("--chain", default=settings.chain, metavar="NAME|FILE", help="default: %(default)s")
    parser.add_argument("--redis-url", default="", metavar="URL", help="default: the data directory's own Redis")


def _restore(parser: argparse.ArgumentParser, settings: Settings) -> None:
    _backup(parser, settings)
    parser.add_argument("--force", action="store_true", help="remove the chain and the wallets that are there")


def _dead(parser: argparse.ArgumentParser, settings: Settings) -> None:
    add = parser.add_argument
    actions = ("list", "show", "replay", "purge")
    add("action", type=_one_of(*actions), metavar="|".join(actions), help="replay: give back to their queues")
    add(
        "ids", nargs="*", metavar="ID", help="the messages, as `list` names them (default: all that the options choose)"
    )
    add("--service", default="", metavar="NAME", help="only those that this service could not handle")
    add("--topic", default="", help="only those of this topic")
    add("--all", action="store_true", help="with replay and purge: all of them")
    add("--json", action="store_true", help="for programs; docs/operations.md says what is in it")
    _data_dir(parser, settings)
    add("--chain", default=settings.chain, metavar="NAME|FILE", help="default: %(default)s")
    add("--broker", default=settings.broker, type=_one_of("embedded", "rabbitmq"), metavar="embedded|rabbitmq")
    add("--redis-url", default="", metavar="URL", help="of the embedded broker (default: the data directory's Redis)")
    add("--amqp-url", default="", metavar="URL", help="of RabbitMQ, with a user that may read dead letters")


def _check_dead(options: argparse.Namespace, settings: Settings, environ: Mapping[str, str]) -> None:
    if options.amqp_url:
        options.broker = "rabbitmq"
    _from_environment(options, settings, environ, "redis_url", "amqp_url")
    if options.action in ("replay", "purge") and not (options.ids or options.service or options.topic or options.all):
        raise UsageError(f"dead {options.action} needs IDs, --service, --topic or --all")
    if options.redis_url:
        _check_url("--redis-url", options.redis_url, REDIS_PORTS | {"unix": 0})
    if options.amqp_url:
        _check_url("--amqp-url", options.amqp_url, AMQP_PORTS)


def _check_store(options: argparse.Namespace, settings: Settings, environ: Mapping[str, str]) -> None:
    _from_environment(options, settings, environ, "redis_url")
    if options.redis_url:
        _check_url("--redis-url", options.redis_url, REDIS_PORTS | {"unix": 0})


def _check_demo(options: argparse.Namespace, _settings: Settings, _environ: Mapping[str, str]) -> None:
    urls = {name: getattr(options, f"{name}_url") for name in ("wallet", "explorer", "rpc")}
    if any(urls.values()):
        if not all(urls.values()) or not options.creator_password_file:
            raise UsageError("--wallet-url, --explorer-url, --rpc-url and --creator-password-file go together")
        for name, url in urls.items():
            _check_url(f"--{name}-url", url, {"http": 80, "https": 443})


COMMANDS = (
    Command("up", "run the whole stack until Ctrl-C: Redis, mempool, miner, wallet, explorer", "local", _up, _check_up),
    Command("miner", "search for blocks of a chain elsewhere, with RabbitMQ's address", "miner", _miner, _check_miner),
    Command("down", "stop the stack of a data directory, in order", "", _data_dir),
    Command("status", "show chain, height, pool and how each service is", "", _status),
    Command(
        "demo", "pay, mine and check balances through the public interfaces of a running stack", "", _demo, _check_demo
    ),
    Command(
        "backup", "write chain, pool and wallets to a file, of a running stack too", "local", _backup, _check_store
    ),
    Command("dead", "list, show, replay or purge messages that could not be handled", "local", _dead, _check_dead),
    Command("restore", "build chain, pool and wallets anew from a backup", "local", _restore, _check_store),
    Command(
        "genesis",
        "mine the genesis block of a chain of your own, and write it to the chain file",
        "local",
        _genesis,
        _check_genesis,
    ),
    Command("test", "run the tests: what follows goes to pytest", "test"),
    Command("lock", "write requirements/*.lock again, from pyproject.toml, or --check-wheels of them", "test"),
)


def _not_empty(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def _whole_number(low: int | None = None, high: int | None = None) -> Callable[[str], int]:
    bounds = "" if low is None else f" from {low} to {high}"

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or (low is not None and high is not None and not low <= value <= high):
            raise argparse.ArgumentTypeError(f"must be a whole number{bounds}, not {text!r}")
        return value

    return read


def _mining_mode(text: str) -> str:
    try:
        return parse_mode(text).text
    except DecodeError as error:
        raise argparse.ArgumentTypeError(f"{error}, not {text!r}") from None


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            hint = did_you_mean(text, choices)
            raise argparse.ArgumentTypeError(f"must be {' or '.join(choices)}, not {text!r}{hint}")
        return text

    return read

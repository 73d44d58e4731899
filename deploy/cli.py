"""The command line behind `./warren`: reads the options, hands over to the module that does the work.

Options of `up` that are not given come from the same `WARREN_*` variables that the services read.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy import control
from deploy.genesis import GenesisOrder, write_genesis
from deploy.local import Stack
from deploy.options import MAX_MEMPOOLS, MAX_MINERS, UpOptions, check, default_secret, resolve_chain
from shared.config import Settings, load
from shared.errors import WarrenError


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Run a command; return its exit status: 1 for a problem, which is told in a line, 2 for wrong usage."""
    try:
        settings = load(environ)
        options = _parser(settings).parse_args(arguments)
        match options.command:
            case "up":
                asked = up_options(options, settings, environ)
                return control.up_detached(asked) if options.detach else Stack(asked, _say).run()
            case "down":
                control.down(_directory(options), _say)
                return 0
            case "genesis":
                return _genesis(options)
            case "status":
                return 0 if control.status(_directory(options), _say) else 1
            case _:
                from deploy import demo  # only here: the others start faster without it

                return demo.run(options, _say)
    except WarrenError as error:
        sys.stdout.flush()
        print(f"warren: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:  # while nothing runs that would have to be stopped in order
        return 130


def up_options(options: argparse.Namespace, settings: Settings, environ: Mapping[str, str]) -> UpOptions:
    """Return what `up` was asked for, checked; `LaunchError` or `ConfigError` names what is wrong."""
    chain, chain_name = resolve_chain(options.chain)
    asked = UpOptions(
        data_dir=_directory(options),
        chain=chain,
        chain_name=chain_name,
        host=options.host,
        wallet_port=options.wallet_port,
        explorer_port=options.explorer_port,
        rpc_port=options.rpc_port,
        miners=options.miners,
        mempools=options.mempools,
        broker=options.broker,
        redis_url=options.redis_url or default_secret("redis_url", settings, environ),
        amqp_url=options.amqp_url or default_secret("amqp_url", settings, environ),
        rpc_user=options.rpc_user,
        rpc_password=options.rpc_password or default_secret("rpc_password", settings, environ),
        creator_blocks=settings.creator_blocks,
    )
    check(asked)
    return asked


def _parser(settings: Settings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="warren", description="A complete private Bitcoin chain.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name, help=about, description=about[0].upper() + about[1:] + ".", allow_abbrev=False
        )
        added.add_argument("--data-dir", default=str(settings.data_dir), metavar="DIR", help="default: %(default)s")
        return added

    up = command("up", "run the whole stack until Ctrl-C")
    up.add_argument("--chain", default=settings.chain, metavar="NAME|FILE", help="default: %(default)s")
    for name in ("wallet", "explorer", "rpc"):
        port = getattr(settings, f"{name}_port")
        up.add_argument(f"--{name}-port", type=int, default=port, metavar="N", help="default: %(default)s; 0: any free")
    up.add_argument("--host", default=settings.host, help="address to listen on (default: %(default)s)")
    up.add_argument("--miners", type=int, default=1, metavar="N", help=f"1 to {MAX_MINERS} (default: 1)")
    up.add_argument(
        "--mempools",
        type=int,
        default=1,
        metavar="N",
        help=f"1 to {MAX_MEMPOOLS} instances, one of which writes while the others stand by (default: 1)",
    )
    up.add_argument(
        "--broker",
        choices=("embedded", "rabbitmq"),
        default=settings.broker,
        help="embedded: Redis Streams on the chain's Redis (default: %(default)s)",
    )
    up.add_argument("--redis-url", default="", metavar="URL", help="a Redis to use (default: a private one is started)")
    up.add_argument("--amqp-url", default="", metavar="URL", help="the RabbitMQ of --broker rabbitmq")
    up.add_argument("--rpc-user", default=settings.rpc_user, metavar="NAME", help="default: the cookie file's")
    up.add_argument("--rpc-password", default="", metavar="PASSWORD", help="better: WARREN_RPC_PASSWORD_FILE")
    up.add_argument("--detach", action="store_true", help="return when all is ready; `warren down` stops it")

    genesis = commands.add_parser(
        "genesis",
        help="mine the genesis block of a chain of your own, and write it to the chain file",
        description="Mine the genesis block of a chain of your own, and write it to the chain file.",
        allow_abbrev=False,
    )
    genesis.add_argument("--chain", required=True, metavar="FILE", help="the chain file; made if it does not exist")
    genesis.add_argument("--payee", default="", metavar="ADDRESS|KEY", help="whom it pays: an address or public key")
    genesis.add_argument("--name", default="", help="name of a new chain (default: that of the file)")
    genesis.add_argument("--reward", type=int, metavar="SATOSHIS", help="what it pays (default: the first subsidy)")
    genesis.add_argument("--bits", metavar="HEX", help="its target, as in a header (default: the chain's limit)")
    genesis.add_argument("--time", type=int, metavar="SECONDS", help="since 1970 (default: now)")
    genesis.add_argument("--again", action="store_true", help="replace a genesis block that has been mined already")

    command("down", "stop the stack of a data directory")
    command("status", "list the services of a running stack")

    demo = command("demo", "pay, mine and check balances on a running stack")
    demo.add_argument("--wallet-url", default="", metavar="URL", help="with the next two: a stack not of this machine")
    demo.add_argument("--explorer-url", default="", metavar="URL")
    demo.add_argument("--rpc-url", default="", metavar="URL")
    demo.add_argument("--creator-password-file", default="", metavar="FILE", help="default: the data directory's")
    return parser


def _genesis(options: argparse.Namespace) -> int:
    order = GenesisOrder(
        payee=options.payee,
        name=options.name,
        reward=options.reward,
        bits=options.bits,
        time=options.time,
        again=options.again,
    )
    chain = write_genesis(Path(options.chain), order)
    header = chain.genesis.header
    _say(
        f"genesis {header.hash_hex} of {chain.name} (nonce {header.nonce}, time {header.time}, bits {header.bits:08x})"
    )
    _say(f"run it with: ./warren up --chain {options.chain}")
    return 0


def _directory(options: argparse.Namespace) -> Path:
    return Path(options.data_dir).absolute()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

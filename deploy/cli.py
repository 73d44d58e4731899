"""The command line behind `./warren`: hands over to the module that does the work, and prints errors in one line.

Options of `up` that are not given come from the same `WARREN_*` variables that the services read. Each command imports
the packages that it needs, so that the others do without them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from deploy import command_line
from deploy.console import Console
from deploy.errors import UsageError
from deploy.files import explain
from deploy.setup.environment import ROOT
from deploy.stack import control
from shared.config import load
from shared.errors import WarrenError


def main(
    arguments: Sequence[str],
    environ: Mapping[str, str] = os.environ,
    prepare: Callable[[str], None] = lambda lock: None,
) -> int:
    """Run a command; return its exit status: 1 for a problem, 2 for wrong usage. Either is printed in one line.

    `prepare` installs the lock file of a command that needs one, before the command runs.
    """
    output, errors = Console(sys.stdout), Console(sys.stderr)
    if not arguments:
        errors.say(command_line.usage())
        return 2
    try:
        options = command_line.parse(arguments, environ)
        if options.lock:
            prepare(options.lock)
        return _run(options, environ, output)
    except UsageError as error:
        errors.say(f"warren: {error}")
        return 2
    except WarrenError as error:
        errors.say(f"warren: {error}")
        return 1
    except OSError as error:  # of a file, mostly: no permission, no space, not a directory
        errors.say(f"warren: {explain(error)}")
        return 1
    except KeyboardInterrupt:  # before a stack runs: there is nothing to stop in order
        return 130


def _run(options: argparse.Namespace, environ: Mapping[str, str], output: Console) -> int:
    match options.command:
        case "up":
            from deploy.launcher.detached import up_detached
            from deploy.launcher.local import Stack
            from deploy.launcher.options import up_options
            from deploy.launcher.preflight import preflight

            asked = up_options(options, load(environ))
            preflight(asked)
            return up_detached(asked, output) if options.detach else Stack(asked, output).run()
        case "miner":
            from deploy import miner

            return miner.run(options, load(environ), output)
        case "down":
            control.down(_directory(options), output.say)
            return 0
        case "status":
            return 0 if control.status(_directory(options), output.say, as_json=options.json) else 1
        case "demo":
            from deploy.demo import run

            return run.run(options, output.say)
        case "backup":
            from deploy.backup import command

            return command.run_backup(options, Console(sys.stderr) if options.file == "-" else output)
        case "restore":
            from deploy.backup import command

            return command.run_restore(options, output)
        case "dead":
            from deploy import dead

            return dead.run(options, load(environ), output.say)
        case "genesis":
            from deploy.setup import genesis

            return genesis.run(options, output.say)
        case "test":
            return _become_pytest(options.rest, environ)
        case "lock":
            from deploy.setup import lock

            return lock.main(options.rest)
        case _:
            output.say(options.text)
            return 0


def _become_pytest(arguments: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Go on as pytest, without the PYTHONPATH that `./warren` set."""
    os.chdir(ROOT)
    environment = {name: value for name, value in environ.items() if name != "PYTHONPATH"}
    os.execve(sys.executable, [sys.executable, "-m", "pytest", *arguments], environment)


def _directory(options: argparse.Namespace) -> Path:
    return Path(options.data_dir).absolute()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

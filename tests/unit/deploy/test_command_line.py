import subprocess
import sys

import pytest

from deploy import cli
from deploy.command_line import COMMANDS, help_of, parse, usage
from deploy.errors import UsageError
from deploy.setup.environment import ROOT
from shared.errors import ConfigError
from shared.version import VERSION

NAMES = [command.name for command in COMMANDS]


def test_help_of_the_whole_names_every_command():
    assert all(f"\n  {name} " in usage() for name in NAMES)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]])
def test_help_is_told_on_standard_output(capsys, arguments):
    assert cli.main(arguments, {}) == 0
    assert capsys.readouterr() == (usage() + "\n", "")


def test_without_a_command_the_help_is_a_complaint(capsys):
    assert cli.main([], {}) == 2
    assert capsys.readouterr() == ("", usage() + "\n")


@pytest.mark.parametrize("name", NAMES)
def test_help_of_a_command_is_had_in_three_ways(capsys, name):
    told = []
    for arguments in (["help", name], [name, "--help"], [name, "-h"]):
        assert cli.main(arguments, {}) == 0
        told.append(capsys.readouterr().out)
    assert set(told) == {help_of(name, {}) + "\n"}
    assert told[0].startswith(f"usage: warren {name}")


def test_the_version_is_that_of_the_project(capsys):
    assert cli.main(["--version"], {}) == 0
    assert capsys.readouterr().out == f"warren {VERSION}\n"
    assert f'\nversion = "{VERSION}"\n' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["stauts"], "unknown command 'stauts'; did you mean status?"),
        (["Up"], "unknown command 'Up'; did you mean up?"),
        (["frobnicate"], "unknown command 'frobnicate' (see `warren --help`)"),
        (["help", "dmeo"], "unknown command 'dmeo'; did you mean demo?"),
        (["--hlep"], "unknown option --hlep; did you mean --help?"),
        (["--data-dir", "x"], "unknown option --data-dir; options come after the command"),
        (["up", "--walet-port", "1"], "unknown option --walet-port; did you mean --wallet-port?"),
        (["up", "--walet-port=1"], "unknown option --walet-port; did you mean --wallet-port?"),
        (["up", "--frobnicate"], "unknown option --frobnicate (see `warren up --help`)"),
        (["up", "regtest"], "'regtest' is one word too many"),
        (["up", "--data", "x"], "unknown option --data; did you mean --data-dir?"),
        (["down", "--dta-dir", "x"], "unknown option --dta-dir; did you mean --data-dir?"),
        (["status", "--jsn"], "unknown option --jsn; did you mean --json?"),
        (["demo", "--wallet-ulr", "x"], "unknown option --wallet-ulr; did you mean --wallet-url?"),
        (["genesis", "--chian", "x"], "unknown option --chian; did you mean --chain?"),
        (["genesis"], "genesis needs --chain FILE"),
        (["genesis", "--chain", "x", "--reward", "many"], "--reward: must be a whole number, not 'many'"),
        (["up", "--data-dir", ""], "--data-dir: must not be empty"),
        (["up", "--miners"], "--miners: expected one argument"),
        (["up", "--miners", "abc"], "--miners: must be a whole number from 1 to 64, not 'abc'"),
        (["up", "--miners", "0"], "--miners: must be a whole number from 1 to 64, not '0'"),
        (["up", "--miners", "65"], "--miners: must be a whole number from 1 to 64, not '65'"),
        (["up", "--mempools", "9"], "--mempools: must be a whole number from 1 to 8, not '9'"),
        (["up", "--rpc-port", "65536"], "--rpc-port: must be a whole number from 0 to 65535, not '65536'"),
        (["up", "--wallet-port", "-1"], "--wallet-port: must be a whole number from 0 to 65535, not '-1'"),
        (
            ["up", "--broker", "rabitmq"],
            "--broker: must be embedded or rabbitmq, not 'rabitmq'; did you mean rabbitmq?",
        ),
        (["up", "--broker", "rabbitmq"], "--broker rabbitmq needs --amqp-url"),
        (["up", "--broker", "rabbitmq", "--amqp-url", "http://localhost"], "--amqp-url is not a URL that starts"),
        (["up", "--redis-url", "localhost:6379"], "--redis-url is not a URL that starts"),
        (["up", "--redis-url", "redis://localhost:99999"], "--redis-url is not a URL that starts"),
        (["up", "--mining", "sometimes"], "--mining: a mining mode is manual, auto, interval:S or interval:A-B"),
        (["up", "--mining", "interval:0"], "--mining: an interval has from 0.2 to 86400 seconds"),
        (["up", "--mining-address", "bcrt1q"], "--mining-address needs --mining MODE"),
        (["up", "--rpc-user", "alice"], "--rpc-user and --rpc-password go together"),
        (["demo", "--wallet-url", "http://w"], "go together"),
        (
            [
                "demo",
                *("--wallet-url", "w", "--explorer-url", "http://e", "--rpc-url", "http://r"),
                "--creator-password-file",
                "f",
            ],
            "--wallet-url is not a URL that starts",
        ),
    ],
)
def test_wrong_usage_is_told_in_one_line_before_anything_is_installed(capsys, arguments, complaint):
    def refuse(lock):
        raise AssertionError(f"{lock} would be installed")

    assert cli.main(arguments, {}, refuse) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("warren: ")
    assert complaint in errors
    assert errors.count("\n") == 1


def test_a_secret_in_a_malformed_url_is_not_shown():
    with pytest.raises(UsageError) as problem:
        parse(["up", "--redis-url", "http://:hidden-word@localhost"], {})
    assert "hidden-word" not in str(problem.value)


def test_tests_and_lock_pass_everything_on():
    assert parse(["test", "-x", "--help", "tests/unit"], {}).rest == ["-x", "--help", "tests/unit"]
    assert parse(["lock", "--upgrade"], {}).rest == ["--upgrade"]


def test_an_unknown_variable_stops_a_command_that_reads_settings():
    with pytest.raises(ConfigError, match="unknown setting WARREN_WALET_PORT"):
        parse(["status"], {"WARREN_WALET_PORT": "1"})
    assert parse(["--version"], {"WARREN_WALET_PORT": "1"}).text


def test_what_needs_no_installation_imports_only_the_standard_library():
    """With `-S` there are no site-packages, whatever is installed."""
    rooms = ("stack.control", "stack.status", "stack.healthcheck", "demo.run", "setup.installation")
    needless = ", ".join(f"deploy.{name}" for name in ("__main__", *rooms))
    command = [sys.executable, "-S", "-P", "-c", f"import {needless}"]
    result = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")

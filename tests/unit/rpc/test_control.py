"""Help, stop, and other methods that need no chain."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.mempool.rpc.methods.table import METHODS
from shared.process.shutdown import ExitFlag
from tests.unit.rpc.conftest import Rpc


def test_help_lists_every_method_by_category(rpc: Rpc) -> None:
    text = rpc.call("help")
    assert text.startswith('== Blockchain ==\ngetbestblockhash\ngetblock "blockhash" ( verbosity )\n')
    assert '\n\n== Control ==\ngetmemoryinfo ( "mode" )\ngetrpcinfo\nhelp ( "command" )\n' in text
    for name, method in METHODS.items():
        assert (f"\n{name}" in text) is not method.is_hidden


def test_help_explains_a_method(rpc: Rpc) -> None:
    assert rpc.call("help", "getblockhash") == (
        "getblockhash height\n\nReturns the hash of the most-work chain's block at a height.\n\n"
        "Arguments:\n1. height    (numeric, required) The height; the genesis block has 0\n"
    )
    assert "(numeric or string, optional, default=0.10)" in rpc.call("help", "sendrawtransaction")


def test_help_says_what_it_does_not_know(rpc: Rpc) -> None:
    assert rpc.call("help", "nope") == "help: unknown command: nope\n"


def test_optional_arguments_come_last() -> None:
    for method in METHODS.values():
        flags = [arg.is_optional for arg in method.args]
        assert flags == sorted(flags), method.name


def test_stop_asks_the_process_to_stop(rpc: Rpc, stopping: ExitFlag) -> None:
    assert rpc.call("stop") == "Warren stopping"
    assert stopping.is_set()


def test_the_network_has_no_peers(rpc: Rpc) -> None:
    assert rpc.call("getpeerinfo") == []
    assert rpc.call("getconnectioncount") == 0
    info = rpc.call("getnetworkinfo")
    assert (info["version"], info["connections"], info["warnings"]) == (300_000, 0, [])


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
            {
                "scriptPubKey": "0014751e76e8199196d454941c45d1b3a323f1433bd6",
                "isscript": False,
                "iswitness": True,
                "witness_version": 0,
                "witness_program": "751e76e8199196d454941c45d1b3a323f1433bd6",
            },
        ),
        (
            "mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r",
            {
                "scriptPubKey": "76a914751e76e8199196d454941c45d1b3a323f1433bd688ac",
                "isscript": False,
                "iswitness": False,
            },
        ),
        (
            "bcrt1pfeesnyr2tx",
            {
                "scriptPubKey": "51024e73",
                "isscript": True,
                "iswitness": True,
                "witness_version": 1,
                "witness_program": "4e73",
            },
        ),
    ],
)
def test_a_valid_address(rpc: Rpc, address: str, shown: dict[str, object]) -> None:
    assert rpc.call("validateaddress", address) == {"isvalid": True, "address": address, **shown}


@pytest.mark.parametrize("address", ["", "x", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"])
def test_an_address_that_is_not_of_this_chain(rpc: Rpc, address: str) -> None:
    result = rpc.call("validateaddress", address)
    assert result["isvalid"] is False
    assert result["error"]
    assert result["error_locations"] == []


def test_every_method_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "json-rpc.md").read_text(encoding="utf-8")
    assert [name for name in METHODS if f"`{name}`" not in text] == []

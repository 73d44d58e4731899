"""`warren_getminingmode` and `warren_setminingmode`."""

from __future__ import annotations

import pytest

from shared.bus.events import ChainControl, ControlAction, ControlResult, WalletName, WalletsRequested, WalletsResult
from shared.consensus.params import MAINNET, REGTEST
from shared.crypto.address import encode_address
from shared.mining_mode import MiningSetting, parse_mode
from tests import builders
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.rpc.conftest import ALICE, BOB, Chain, Rpc

SCRIPT, OTHER_SCRIPT = builders.p2wpkh(ALICE), builders.p2wpkh(BOB)
ADDRESS = encode_address(SCRIPT, REGTEST.address)
OTHER_ADDRESS = encode_address(OTHER_SCRIPT, REGTEST.address)


@pytest.fixture(autouse=True)
def writer(chain: Chain, broker: FakeBroker) -> None:
    """Carries out orders as the writer does."""

    def carry_out(message: ChainControl) -> ControlResult:
        script = bytes.fromhex(message.script_pubkey) or chain.view.mining_setting.script_pubkey
        chain.view.mining_setting = MiningSetting(parse_mode(message.mode), script)
        return ControlResult(done=True)

    broker.answers[ChainControl] = carry_out


@pytest.fixture
def wallets(broker: FakeBroker) -> list[WalletName]:
    """The wallets that the wallet service names."""
    named = [WalletName(id="creator", address=ADDRESS or ""), WalletName(id="wallet_1", address=OTHER_ADDRESS or "")]
    broker.answers[WalletsRequested] = lambda _: WalletsResult(wallets=tuple(named))
    return named


def orders(broker: FakeBroker) -> list[ChainControl]:
    return [message for message in broker.published if isinstance(message, ChainControl)]


def test_a_chain_mines_on_request_until_somebody_chooses(rpc: Rpc) -> None:
    assert rpc.call("warren_getminingmode") == {"mode": "manual", "address": None, "scriptPubKey": ""}


def test_the_mode_is_set_and_pays_the_address(rpc: Rpc, broker: FakeBroker) -> None:
    shown = {"mode": "interval:5-15,skip-empty", "address": ADDRESS, "scriptPubKey": SCRIPT.hex()}
    assert rpc.call("warren_setminingmode", "interval:5-15,skip-empty", ADDRESS) == shown
    assert rpc.call("warren_getminingmode") == shown
    assert orders(broker) == [
        ChainControl(action=ControlAction.SET_MINING, mode="interval:5-15,skip-empty", script_pubkey=SCRIPT.hex())
    ]


def test_without_an_address_it_pays_creator_at_first_and_then_the_last_payee(
    rpc: Rpc, wallets: list[WalletName]
) -> None:
    assert rpc.call("warren_setminingmode", "auto")["address"] == ADDRESS
    wallets.clear()
    assert rpc.call("warren_setminingmode", "continuous") == {
        "mode": "continuous",
        "address": ADDRESS,
        "scriptPubKey": SCRIPT.hex(),
    }
    assert rpc.call("warren_setminingmode", "auto", OTHER_ADDRESS)["address"] == OTHER_ADDRESS
    assert rpc.call("warren_setminingmode", "manual")["address"] == OTHER_ADDRESS


def test_a_chain_without_creator_needs_an_address_unless_the_mode_is_manual(
    rpc: Rpc, broker: FakeBroker, wallets: list[WalletName]
) -> None:
    del wallets[0]
    code, message = rpc.error("warren_setminingmode", "auto")
    assert (code, message) == (-8, "This chain has no wallet creator that the blocks could pay: name an address")
    assert orders(broker) == []
    assert rpc.call("warren_setminingmode", "manual")["mode"] == "manual"


@pytest.mark.parametrize("address", ["nonsense", encode_address(SCRIPT, MAINNET.address)])
def test_an_address_of_no_or_another_network_is_refused(rpc: Rpc, broker: FakeBroker, address: str) -> None:
    assert rpc.error("warren_setminingmode", "auto", address) == (-5, "Error: Invalid address")
    assert orders(broker) == []


def test_a_mode_that_there_is_not_is_refused(rpc: Rpc, broker: FakeBroker) -> None:
    code, message = rpc.error("warren_setminingmode", "sometimes", ADDRESS)
    assert code == -8
    assert message.startswith("a mining mode is manual, auto, interval:S")
    code, message = rpc.error("warren_setminingmode", "interval:0.1", ADDRESS)
    assert (code, message) == (-8, "an interval has from 0.2 to 86400 seconds, and A is at most B")
    assert rpc.error("warren_setminingmode", 5)[0] == -3
    assert orders(broker) == []

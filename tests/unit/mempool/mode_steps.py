"""Steps of tests of the mining modes."""

from __future__ import annotations

from services.mempool.blocks.operator import control
from shared.bus.events import BlockTemplate, ChainControl, ControlAction, ControlResult
from shared.mining_mode import MiningSetting, parse_mode
from shared.primitives.transaction import Transaction
from tests.builders import p2wpkh, pay
from tests.unit.mempool.desk import Desk
from tests.unit.mempool.memory import ALICE, MINER

OWN = p2wpkh(MINER)
"""Whom the blocks of the mode pay; requests pay PAYEE."""
RARE = 1_000.0
"""An interval, in seconds, much longer than a test."""


def start_with(desk: Desk, text: str) -> None:
    """Load the node anew, as a writer that finds this mode at its start."""
    desk.node.mining = MiningSetting(parse_mode(text), OWN)
    desk.mining.forget()


def set_mode(desk: Desk, text: str, script: bytes = OWN) -> ControlResult:
    return control(desk.node, ChainControl(action=ControlAction.SET_MINING, mode=text, script_pubkey=script.hex()))


def send(desk: Desk) -> Transaction:
    tx = pay(desk.node.coin(), ALICE, 1_000_000)
    assert desk.node.send_one(tx).accepted
    return tx


def pays(template: BlockTemplate, script: bytes) -> bool:
    return script.hex() in template.coinbase_suffix

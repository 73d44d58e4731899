"""Coins of the load's own, and the transactions that spend them: nothing but its key signs these."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from shared.consensus.params import REGTEST
from shared.crypto.address import encode_address
from shared.crypto.keys import PrivateKey
from shared.primitives.transaction import Transaction, TxOut
from tests.builders import Spendable, key, output_of, p2wpkh, spend

FEE = 1_000
"""Satoshis: enough for every transaction here."""


def address_of(name: str) -> str:
    """Return an address that is always the same for the same name."""
    address = encode_address(p2wpkh(key(name)), REGTEST.address)
    assert address is not None
    return address


def split(tx: Transaction, owner: PrivateKey, names: Iterable[str]) -> tuple[Transaction, list[Spendable]]:
    """Return a transaction that divides what `tx` pays its owner evenly among keys, and their coins."""
    owners = [key(name) for name in names]
    vout = next(number for number, output in enumerate(tx.outputs) if output.script_pubkey == p2wpkh(owner))
    share = (tx.outputs[vout].value - FEE * len(owners)) // len(owners)
    divided = spend([output_of(tx, vout, owner)], [TxOut(share, p2wpkh(each)) for each in owners])
    return divided, [output_of(divided, number, each) for number, each in enumerate(owners)]


class Purse:
    """Coins that take turns, so that none becomes a long chain of unconfirmed transactions."""

    def __init__(self, coins: Iterable[Spendable]) -> None:
        self._coins = deque(coins)

    def pay(self, name: str) -> Transaction:
        """Return a transaction that moves the next coin to the key of this name; `LookupError` if none is left."""
        coin = self._coins.popleft()
        return spend([coin], [TxOut(coin.output.value - FEE, p2wpkh(key(name)))])

    def keep(self, tx: Transaction, name: str) -> None:
        """Take in the coin of a transaction of `pay` that the chain has accepted."""
        self._coins.append(output_of(tx, 0, key(name)))

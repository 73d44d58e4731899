"""Builds and signs the transaction of a payment from the selected coins and their keys. Pure.

Inputs spend P2WPKH coins (BIP143 signatures). The lock time is the tip's height, as in Core's wallet, so that a miner
cannot put the payment into a rewritten tip; every input signals replaceability (BIP125).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from services.wallet.coins.selection import Selection, SpendableCoin
from shared.crypto.keys import PrivateKey
from shared.policy import MAX_BIP125_RBF_SEQUENCE
from shared.primitives.transaction import Transaction, TxIn, TxOut
from shared.script.sighash import SIGHASH_ALL, SighashCache
from shared.script.standard import p2pkh_script

_VERSION = 2


def build_payment(selection: Selection, payment: TxOut, change_script: bytes, tip_height: int) -> Transaction:
    """Return the unsigned transaction; its inputs and outputs are shuffled, so that no position gives change away."""
    shuffle = random.SystemRandom().shuffle
    inputs = [TxIn(coin.outpoint, b"", MAX_BIP125_RBF_SEQUENCE) for coin in selection.coins]
    outputs = [payment]
    if selection.change:
        outputs.append(TxOut(selection.change, change_script))
    shuffle(inputs)
    shuffle(outputs)
    return Transaction(_VERSION, tuple(inputs), tuple(outputs), tip_height)


def sign_payment(
    tx: Transaction, coins: Sequence[SpendableCoin], key_of: Callable[[SpendableCoin], PrivateKey]
) -> Transaction:
    """Return the transaction with a witness for every input; `key_of` returns the private key of a coin."""
    by_outpoint = {coin.outpoint: coin for coin in coins}
    spent = [by_outpoint[txin.prevout] for txin in tx.inputs]
    digests = SighashCache(tx, [coin.output for coin in spent])
    signed = []
    for index, (txin, coin) in enumerate(zip(tx.inputs, spent, strict=True)):
        key = key_of(coin)
        script_code = p2pkh_script(key.public_key.hash160)
        digest = digests.segwit_v0(index, script_code, coin.value, SIGHASH_ALL)
        signature = key.sign_ecdsa(digest) + bytes([SIGHASH_ALL])
        signed.append(replace(txin, witness=(signature, key.public_key.compressed)))
    return Transaction(tx.version, tuple(signed), tx.outputs, tx.lock_time)

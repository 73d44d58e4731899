"""Builds keys, transactions and blocks for tests, independent of the services that build them for users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.consensus.block_check import WITNESS_RESERVED_VALUE, bip34_height_push, commitment_script
from shared.consensus.params import REGTEST, ChainParams
from shared.consensus.pow import bits_to_target
from shared.consensus.subsidy import block_subsidy
from shared.crypto.hashes import sha256
from shared.crypto.keys import PrivateKey
from shared.primitives.block import Block, BlockHeader
from shared.primitives.merkle import merkle_root
from shared.primitives.transaction import NULL_OUTPOINT, OutPoint, Transaction, TxIn, TxOut
from shared.script.sighash import SighashCache
from shared.script.standard import p2pkh_script, p2wpkh_script

SIGHASH_ALL = 1


def key(name: str) -> PrivateKey:
    """Return the private key of a name: each name has one fixed key."""
    return PrivateKey.from_bytes(sha256(name.encode()))


def p2wpkh(owner: PrivateKey) -> bytes:
    return p2wpkh_script(owner.public_key.hash160)


@dataclass(frozen=True)
class Spendable:
    """An output and the key that may spend it by P2WPKH."""

    outpoint: OutPoint
    output: TxOut
    owner: PrivateKey


def output_of(tx: Transaction, vout: int, owner: PrivateKey) -> Spendable:
    return Spendable(OutPoint(tx.txid, vout), tx.outputs[vout], owner)


def spend(
    coins: Sequence[Spendable],
    outputs: Sequence[TxOut],
    *,
    version: int = 2,
    lock_time: int = 0,
    sequence: int = 0xFFFFFFFD,
) -> Transaction:
    """A signed transaction from P2WPKH coins."""
    spent = [coin.output for coin in coins]
    inputs = tuple(TxIn(coin.outpoint, b"", sequence) for coin in coins)
    unsigned = Transaction(version, inputs, tuple(outputs), lock_time)
    cache = SighashCache(unsigned, spent)
    signed = []
    for index, coin in enumerate(coins):
        public_key = coin.owner.public_key
        digest = cache.segwit_v0(index, p2pkh_script(public_key.hash160), coin.output.value, SIGHASH_ALL)
        signature = coin.owner.sign_ecdsa(digest) + bytes([SIGHASH_ALL])
        signed.append(TxIn(coin.outpoint, b"", sequence, (signature, public_key.compressed)))
    return Transaction(version, tuple(signed), tuple(outputs), lock_time)


def pay(coin: Spendable, to: PrivateKey, amount: int, fee: int = 1_000) -> Transaction:
    """Output 0 pays `amount` satoshis to `to`, output 1 the change."""
    change = coin.output.value - amount - fee
    outputs = [TxOut(amount, p2wpkh(to))]
    if change:
        outputs.append(TxOut(change, p2wpkh(coin.owner)))
    return spend([coin], outputs)


def coinbase(height: int, script_pubkey: bytes, reward: int, txs: Sequence[Transaction], tag: bytes) -> Transaction:
    witness_root, _ = merkle_root([bytes(32), *(tx.wtxid for tx in txs)])
    script_sig = bip34_height_push(height) + bytes([len(tag)]) + tag
    outputs = (TxOut(reward, script_pubkey), TxOut(0, commitment_script(witness_root)))
    return Transaction(2, (TxIn(NULL_OUTPOINT, script_sig, 0xFFFFFFFF, (WITNESS_RESERVED_VALUE,)),), outputs, 0)


def grind(header: BlockHeader) -> BlockHeader:
    """Return the header with a nonce that meets its target."""
    target = bits_to_target(header.bits)
    for nonce in range(1 << 32):
        tried = BlockHeader(header.version, header.prev_hash, header.merkle_root, header.time, header.bits, nonce)
        if int.from_bytes(tried.hash, "little") <= target:
            return tried
    raise AssertionError("no nonce")


def make_block(
    prev: BlockHeader,
    height: int,
    script_pubkey: bytes,
    txs: Sequence[Transaction] = (),
    *,
    fees: int = 0,
    params: ChainParams = REGTEST,
    time: int | None = None,
    tag: bytes = b"tests",
    first: Transaction | None = None,
) -> Block:
    """A block on top of `prev`; `tag` makes it differ from others at its height, `first` replaces its coinbase."""
    reward = block_subsidy(height, params) + fees
    all_txs = (first or coinbase(height, script_pubkey, reward, txs, tag), *txs)
    root, _ = merkle_root([tx.txid for tx in all_txs])
    header = BlockHeader(0x20000000, prev.hash, root, prev.time + 1 if time is None else time, prev.bits, 0)
    return Block(grind(header), all_txs)

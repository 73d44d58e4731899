"""Coins of every kind and the transactions that spend them, for blocks that two engines judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.crypto.hashes import hash160, sha256
from shared.crypto.keys import PrivateKey
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.script import opcodes as op
from shared.script.interpreter import tapleaf_hash
from shared.script.script import push_data, push_number
from shared.script.sighash import SIGHASH_ALL, SIGHASH_DEFAULT, SighashCache
from shared.script.standard import P2A_SCRIPT, p2pkh_script, p2sh_script, p2tr_script, p2wpkh_script, p2wsh_script
from tests.unit.script.script_paths import PLACES, control_block, output_script

KEYS = [PrivateKey.from_bytes(bytes([number]) * 32) for number in (0x61, 0x62, 0x63)]
OWNER = KEYS[0]
SEQUENCE = 0xFFFFFFFD

Unlock = Callable[[SighashCache, int], tuple[bytes, tuple[bytes, ...]]]


@dataclass(frozen=True)
class Kind:
    """A kind of output: its script, and how an input unlocks it."""

    script_pubkey: bytes
    unlock: Unlock
    sequence: int = SEQUENCE


@dataclass(frozen=True)
class Coin:
    outpoint: OutPoint
    output: TxOut
    kind: Kind
    mature_at: int
    """The first height at which it can be spent."""


def _signature(place: str, script: bytes, key: PrivateKey, cache: SighashCache, index: int) -> bytes:
    if place in ("bare", "p2sh"):
        return key.sign_ecdsa(cache.legacy(index, script, SIGHASH_ALL)) + bytes([SIGHASH_ALL])
    if place == "tapscript":
        digest = cache.taproot(index, SIGHASH_DEFAULT, leaf_hash=tapleaf_hash(script))
        assert digest is not None
        return key.sign_schnorr(digest, aux=bytes(32))
    digest = cache.segwit_v0(index, script, cache.spent_outputs[index].value, SIGHASH_ALL)
    return key.sign_ecdsa(digest) + bytes([SIGHASH_ALL])


def placed(
    place: str, script: bytes, signers: Sequence[PrivateKey] = (), first: Sequence[bytes] = (), sequence: int = SEQUENCE
) -> Kind:
    """A script in a place; its stack is `first` and a signature of each signer."""

    def unlock(cache: SighashCache, index: int) -> tuple[bytes, tuple[bytes, ...]]:
        items = [*first, *(_signature(place, script, key, cache, index) for key in signers)]
        match place:
            case "bare":
                return b"".join(map(push_data, items)), ()
            case "p2sh":
                return b"".join(map(push_data, [*items, script])), ()
            case "p2wsh":
                return b"", (*items, script)
            case "p2sh-p2wsh":
                return push_data(p2wsh_script(sha256(script))), (*items, script)
            case _:
                return b"", (*items, script, control_block(script))

    return Kind(output_script(place, script), unlock, sequence)


def _checksig(place: str) -> Kind:
    public_key = OWNER.public_key
    data = public_key.x_only if place == "tapscript" else public_key.compressed
    return placed(place, push_data(data) + bytes([op.OP_CHECKSIG]), [OWNER])


def _multisig(place: str) -> Kind:
    if place == "tapscript":
        script = push_number(0)
        for key in KEYS:
            script += push_data(key.public_key.x_only) + bytes([op.OP_CHECKSIGADD])
        return placed(place, script + push_number(3) + bytes([op.OP_NUMEQUAL]), KEYS[::-1])
    public_keys = b"".join(push_data(key.public_key.compressed) for key in KEYS)
    script = push_number(2) + public_keys + push_number(3) + bytes([op.OP_CHECKMULTISIG])
    return placed(place, script, KEYS[1:], [b""])


def _p2pkh(cache: SighashCache, index: int) -> tuple[bytes, tuple[bytes, ...]]:
    script = p2pkh_script(OWNER.public_key.hash160)
    return push_data(_signature("bare", script, OWNER, cache, index)) + push_data(OWNER.public_key.compressed), ()


def _p2wpkh(cache: SighashCache, index: int) -> tuple[bytes, tuple[bytes, ...]]:
    script = p2pkh_script(OWNER.public_key.hash160)
    return b"", (_signature("p2wsh", script, OWNER, cache, index), OWNER.public_key.compressed)


def _p2sh_p2wpkh(cache: SighashCache, index: int) -> tuple[bytes, tuple[bytes, ...]]:
    return push_data(p2wpkh_script(OWNER.public_key.hash160)), _p2wpkh(cache, index)[1]


def _p2tr(cache: SighashCache, index: int) -> tuple[bytes, tuple[bytes, ...]]:
    digest = cache.taproot(index, SIGHASH_DEFAULT)
    assert digest is not None
    return b"", (OWNER.tweaked().sign_schnorr(digest, aux=bytes(32)),)


def _nothing(cache: SighashCache, index: int) -> tuple[bytes, tuple[bytes, ...]]:
    return b"", ()


_PUBKEY_HASH = OWNER.public_key.hash160
KINDS: dict[str, Kind] = {
    "p2pkh": Kind(p2pkh_script(_PUBKEY_HASH), _p2pkh),
    "p2wpkh": Kind(p2wpkh_script(_PUBKEY_HASH), _p2wpkh),
    "p2sh-p2wpkh": Kind(p2sh_script(hash160(p2wpkh_script(_PUBKEY_HASH))), _p2sh_p2wpkh),
    "p2tr": Kind(p2tr_script(OWNER.public_key.taproot_output_key()), _p2tr),
    "anchor": Kind(P2A_SCRIPT, _nothing),
    "future witness": Kind(b"\x52\x20" + b"\x01" * 32, _nothing),
    "after height 100": placed("p2wsh", push_number(100) + bytes([op.OP_CHECKLOCKTIMEVERIFY])),
    "a block old": placed("tapscript", push_number(1) + bytes([op.OP_CHECKSEQUENCEVERIFY]), sequence=1),
    "many sigops": placed("p2wsh", push_number(1) + bytes([op.OP_IF, op.OP_1, op.OP_ELSE]) + b"\xae" * 9 + b"\x68"),
    "branches": placed("p2sh", bytes([op.OP_IF]) + b"\x51\x67\x00\x68", first=[b"\x01"]),
    **{f"{place} true": placed(place, bytes([op.OP_1])) for place in PLACES},
    **{f"{place} key": _checksig(place) for place in PLACES},
    **{f"{place} multisig": _multisig(place) for place in PLACES},
}
BY_SCRIPT = {kind.script_pubkey: kind for kind in KINDS.values()}

# Outputs that nobody will spend.
ODD_OUTPUTS: dict[str, bytes] = {
    "nothing": b"",
    "data": b"\x6a" + push_data(b"data"),
    "much data": b"\x6a" + push_data(bytes(5_000)),
    "too long to spend": b"\x51" * 10_001,
    "cut off": b"\x4c",
    "multisigs": b"\xae" * 12,
    "disabled": b"\x7e",
    "witness without meaning": b"\x00\x03abc",
}


def sign(tx: Transaction, coins: Sequence[Coin]) -> Transaction:
    """The transaction with every input unlocked."""
    cache = SighashCache(tx, [coin.output for coin in coins])
    inputs = []
    for index, (tx_in, coin) in enumerate(zip(tx.inputs, coins, strict=True)):
        script_sig, witness = coin.kind.unlock(cache, index)
        inputs.append(TxIn(tx_in.prevout, script_sig, tx_in.sequence, witness))
    return Transaction(tx.version, tuple(inputs), tx.outputs, tx.lock_time)


def spend(
    coins: Sequence[Coin],
    scripts: Sequence[bytes],
    *,
    fee: int = 1_000,
    version: int = 2,
    lock_time: int = 100,
    sequence: int | None = None,
) -> Transaction:
    """Spend coins in equal parts to scripts; the first output also gets the remainder."""
    rest = max(sum(coin.output.value for coin in coins) - fee, 0)
    share = rest // len(scripts)
    values = [rest - share * (len(scripts) - 1), *[share] * (len(scripts) - 1)]
    outputs = tuple(TxOut(value, script) for value, script in zip(values, scripts, strict=True))
    inputs = tuple(TxIn(coin.outpoint, b"", coin.kind.sequence if sequence is None else sequence) for coin in coins)
    return sign(Transaction(version, inputs, outputs, lock_time), coins)

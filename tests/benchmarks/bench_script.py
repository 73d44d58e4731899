"""The cost of running scripts on one core: `python -m tests.benchmarks.bench_script [PART OF A BLOCK]`.

Prints the verified spends of each kind per second, and the seconds for blocks that were built to be slow. Such a block
is measured on a part of it (a tenth by default) and multiplied, except transactions that are hashed again for every
input, which are measured as a whole.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable

from shared.errors import ScriptError
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.script import opcodes as op
from shared.script.flags import MANDATORY
from shared.script.interpreter import verify_input
from shared.script.script import push_data, push_number
from shared.script.sighash import SighashCache
from tests.conformance.payments import KEYS, KINDS, OWNER, Coin, Kind, placed, spend

BLOCK_WEIGHT = 4_000_000
BLOCK_SIGOPS = 80_000
FEW_SECONDS = 0.4


def coin_of(kind: Kind, number: int = 0) -> Coin:
    return Coin(OutPoint(number.to_bytes(32, "big"), 0), TxOut(100_000, kind.script_pubkey), kind, 0)


def verify(tx: Transaction, coins: list[Coin]) -> float:
    """Seconds that all inputs take."""
    outputs = [coin.output for coin in coins]
    started = time.perf_counter()
    cache = SighashCache(tx, outputs)
    for index in range(len(coins)):
        verify_input(tx, index, outputs, MANDATORY, cache=cache)
    return time.perf_counter() - started


def spends_per_second(kind: Kind) -> float:
    coins = [coin_of(kind, 1), coin_of(kind, 2)]
    tx = spend(coins, [KINDS["p2wpkh"].script_pubkey] * 2)
    count, seconds = 0, 0.0
    while seconds < FEW_SECONDS:
        seconds += verify(tx, coins)
        count += len(coins)
    return count / seconds


def one_spend(kind: Kind) -> float:
    """Seconds that one spend takes."""
    coins = [coin_of(kind)]
    tx = spend(coins, [b"\x51"])
    return verify(tx, coins)


def repeated(part: int, start: bytes, body: bytes, end: bytes = b"") -> float:
    """A tapscript that repeats `body` until the block is full."""
    count = BLOCK_WEIGHT // part // len(body)
    return part * one_spend(placed("tapscript", start + body * count + end))


def quadratic_hashing(_: int) -> float:
    """Return one transaction as large as a block; the signature of each input covers all of it."""
    size = len(spend([coin_of(KINDS["bare key"])], [b"\x51"]).inputs[0].serialize())
    coins = [coin_of(KINDS["bare key"], number) for number in range(1_000_000 // size)]
    return verify(spend(coins, [b"\x51"]), coins)


def repeated_hashing(_: int) -> float:
    """Return such a transaction with many signature checks in each input, of which all but one fail."""
    script = bytes([op.OP_2DUP, op.OP_CHECKSIG, op.OP_DROP]) * 66 + bytes([op.OP_CHECKSIG])
    kind = placed("bare", script)
    signed = push_data(bytes.fromhex("3006020101020101") + b"\x01") + push_data(OWNER.public_key.compressed)
    coins = [coin_of(kind, number) for number in range(200)]
    inputs = tuple(TxIn(coin.outpoint, signed) for coin in coins)
    tx = Transaction(1, inputs, (TxOut(0, b"\x6a" + bytes(970_000)),))
    outputs = [coin.output for coin in coins]
    cache = SighashCache(tx, outputs)
    started = time.perf_counter()
    for index in range(len(coins)):
        with contextlib.suppress(ScriptError):
            verify_input(tx, index, outputs, MANDATORY, cache=cache)
    return time.perf_counter() - started


def multisigs(part: int) -> float:
    """As many public keys as a block may have, each tried in vain but for the last."""
    keys = b"".join([push_data(KEYS[1].public_key.compressed)] * 19)
    script = push_number(1) + push_data(OWNER.public_key.compressed) + keys + push_number(20)
    kind = placed("p2wsh", script + bytes([op.OP_CHECKMULTISIG]), [OWNER], [b""])
    coins = [coin_of(kind, number) for number in range(BLOCK_SIGOPS // 20 // part)]
    return part * verify(spend(coins, [b"\x51"]), coins)


def tapscript_signatures(part: int) -> float:
    """As many Schnorr signatures as the weight of a block pays for."""
    key = OWNER.public_key.x_only
    count = BLOCK_WEIGHT // 50 // part
    body = bytes([op.OP_2DUP, op.OP_CHECKSIGVERIFY])
    script = push_data(key) + body * count + bytes([op.OP_CHECKSIG])
    # What is never executed makes room for that many.
    room = bytes([op.OP_0, op.OP_IF]) + push_data(bytes(520)) * (48 * count // 520 + 2) + bytes([op.OP_ENDIF])
    return part * one_spend(placed("tapscript", room + script, [OWNER]))


WORST: dict[str, Callable[[int], float]] = {
    "one transaction, each input signs all of it": quadratic_hashing,
    "200 inputs with 67 checks over 1 MB each": repeated_hashing,
    "80,000 keys of multisigs": multisigs,
    "80,000 tapscript signatures": tapscript_signatures,
    "OP_NOP": lambda part: repeated(part, b"", b"\x61", b"\x51"),
    "pushes of a number": lambda part: repeated(part, b"", b"\x51\x75", b"\x51"),
    "pushes of 520 bytes": lambda part: repeated(part, b"", push_data(bytes(520)) + b"\x75", b"\x51"),
    "OP_DUP, OP_DROP of 520 bytes": lambda part: repeated(part, push_data(bytes(520)), b"\x76\x75", b"\x75\x51"),
    "OP_HASH256 of 520 bytes": lambda part: repeated(
        part, push_data(bytes(520)), bytes([op.OP_DUP, op.OP_HASH256, op.OP_DROP]), b"\x75\x51"
    ),
    "OP_RIPEMD160 of 520 bytes": lambda part: repeated(
        part, push_data(bytes(520)), bytes([op.OP_DUP, op.OP_RIPEMD160, op.OP_DROP]), b"\x75\x51"
    ),
    "OP_ROLL in a stack of 999 items": lambda part: repeated(
        part, b"\x51" * 998, push_number(997) + bytes([op.OP_ROLL]), bytes([op.OP_2DROP]) * 498 + bytes([op.OP_DROP])
    ),
    "OP_IF nested 100,000 deep": lambda part: repeated(
        part, b"", b"\x00" + b"\x63" * 100_000 + b"\x68" * 100_000, b"\x51"
    ),
    "OP_IF, OP_ELSE in turn": lambda part: repeated(part, b"", b"\x51\x63\x67\x68", b"\x51"),
    "OP_ADD": lambda part: repeated(part, b"\x51", b"\x51\x93\x51\x94", b""),
}


def main() -> None:
    part = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    print("spends per second, one core")
    for name, kind in KINDS.items():
        print(f"  {name:<24}{spends_per_second(kind):>10,.0f}")
    print("seconds for a block that was built to be slow, one core")
    for name, measure in WORST.items():
        print(f"  {name:<48}{measure(part):>8.2f}", flush=True)


if __name__ == "__main__":
    main()

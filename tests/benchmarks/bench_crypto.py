"""The cost of keys and signatures on one core: `python -m tests.benchmarks.bench_crypto [ROUNDS]`.

Prints the microseconds of processor time of each operation of `shared.crypto`: the median of rounds in which all
operations take turns, so that other load on the machine slows all of them alike. Each round uses 64 keys and digests;
half of the digests need more than one try for a low R.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

from shared.crypto.hashes import tagged_hash
from shared.crypto.keys import PrivateKey, PublicKey
from shared.crypto.signatures import check_taproot_tweak, verify_ecdsa, verify_schnorr

ROUNDS = 50
COUNT = 64

Calls = list[Callable[[], object]]


def digest_of(number: int) -> bytes:
    return hashlib.sha256(b"digest %d" % number).digest()


def operations(count: int = COUNT) -> dict[str, Calls]:
    """Return the calls of each operation."""
    calls: dict[str, Calls] = {}

    def add(name: str, function: Callable[..., object], *arguments: object) -> None:
        calls.setdefault(name, []).append(partial(function, *arguments))

    for number in range(count):
        key = PrivateKey.from_bytes(hashlib.sha256(b"key %d" % number).digest())
        public, digest = key.public_key, digest_of(number)
        ecdsa, schnorr = key.sign_ecdsa(digest), key.sign_schnorr(digest)
        tweak, output = tagged_hash("TapTweak", public.x_only), key.tweaked().public_key
        add("verify ECDSA", verify_ecdsa, public.compressed, ecdsa, digest)
        add("verify ECDSA, uncompressed key", verify_ecdsa, public.uncompressed, ecdsa, digest)
        add("verify Schnorr", verify_schnorr, public.x_only, schnorr, digest)
        add("check taproot tweak", check_taproot_tweak, output.x_only, public.x_only, tweak, output.compressed[0] & 1)
        add("sign ECDSA, low R", key.sign_ecdsa, digest)
        add("sign Schnorr", key.sign_schnorr, digest)
        add("parse key", PublicKey.parse, public.compressed)
        add("parse key, uncompressed", PublicKey.parse, public.uncompressed)
        # A number beyond the order is refused once it is parsed, before the curve takes part.
        add("parse x-only key", verify_schnorr, public.x_only, b"\xff" * 64, digest)
        add("parse DER and uncompressed key", verify_ecdsa, public.uncompressed, _beyond(ecdsa), digest)
        add("make key from secret", PrivateKey.from_bytes, key.secret)
        add("taproot output key", public.taproot_output_key)
        add("tweak private key for taproot", key.tweaked)
        add("tweak public key (BIP32)", public.tweak_add, digest)
        add("tweak private key (BIP32)", key.tweak_add, digest)
    return calls


def _beyond(signature: bytes) -> bytes:
    """Return a signature of the same form whose S is too large: it has 33 bytes."""
    r_end = 4 + signature[3]
    return b"\x30" + bytes([r_end + 33]) + signature[2:r_end] + b"\x02\x21" + b"\x7f" * 33


def microseconds(calls: Calls) -> float:
    """Return the processor time that one call took on average."""
    started = time.thread_time()
    for call in calls:
        call()
    return (time.thread_time() - started) / len(calls) * 1e6


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    measured = operations()
    times: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(rounds):
        for name, calls in measured.items():
            times[name].append(microseconds(calls))
    print("microseconds of processor time per operation")
    for name, each in times.items():
        print(f"  {name:<36}{statistics.median(each):>8.2f}")


if __name__ == "__main__":
    main()

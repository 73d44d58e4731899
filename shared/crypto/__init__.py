"""Hashes, keys, signatures and their text forms: addresses, WIF, BIP32, PEM. The lowest layer; pure.

libsecp256k1, Bitcoin Core's own library, does the curve arithmetic, through btclib-secp256k1. `keys` uses the package's
functions on bytes. `signatures` calls the C functions directly, through the `lib` and `ffi` that the package exports:
Bitcoin's ECDSA accepts encodings and high S values that the package's functions refuse, and the script interpreter,
which checks a signature for every input, would pay for checking and copying each argument twice. No other module
imports the library. Its context, `context.ctx`, is randomised at import and serves all threads.
"""

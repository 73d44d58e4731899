"""Hashes, keys, signatures, and the texts that stand for them: addresses, WIF, BIP32, PEM. The lowest layer; pure.

Arithmetic on the curve is that of libsecp256k1, Bitcoin Core's own library, through btclib-secp256k1. `keys` uses its
functions on bytes. `signatures` calls the C functions themselves, through the `lib` and `ffi` that the package exports
for this: Bitcoin's ECDSA takes signatures in encodings and with an S that those functions refuse, and the script
interpreter, which checks a signature for every input, would pay for arguments checked and copied twice. No other module
knows the library. Its context, `context.ctx`, is randomised at import and serves all threads.
"""

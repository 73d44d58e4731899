"""BIP340's vectors for Schnorr signatures."""

from shared.crypto.keys import PrivateKey
from shared.crypto.signatures import verify_schnorr


def test_schnorr_signatures_agree_with_bip340(core_vectors):
    vectors = core_vectors("bip340_test_vectors.csv")
    assert len(vectors) == 19
    for vector in vectors:
        key, message, signature = (bytes.fromhex(vector[name]) for name in ("public key", "message", "signature"))
        is_valid = vector["verification result"] == "TRUE"
        assert verify_schnorr(key, signature, message) is is_valid, vector["comment"]
        if vector["secret key"] and len(message) == 32:
            private_key = PrivateKey.from_bytes(bytes.fromhex(vector["secret key"]))
            assert private_key.public_key.x_only == key
            assert private_key.sign_schnorr(message, aux=bytes.fromhex(vector["aux_rand"])) == signature

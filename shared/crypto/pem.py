"""Keys as PEM text: encrypted PKCS#8 for private keys, SubjectPublicKeyInfo for public keys.

The wallet exports its keys in PEM, and accepts a public key in PEM or hex as a payee.
"""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.crypto.keys import PrivateKey, PublicKey
from shared.errors import DecodeError

_MAX_TEXT = 16_384


def private_key_to_pem(key: PrivateKey, password: str) -> bytes:
    """Return `key` as PKCS#8 PEM, encrypted with `password`, which must not be empty (ValueError)."""
    number = int.from_bytes(key.secret, "big")
    return ec.derive_private_key(number, ec.SECP256K1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode()),
    )


def private_key_from_pem(pem: bytes, password: str) -> PrivateKey:
    """Return the key of an encrypted PKCS#8 PEM; DecodeError for a wrong password or another kind of key."""
    try:
        loaded = serialization.load_pem_private_key(pem, password.encode())
    except UnsupportedAlgorithm:
        raise DecodeError("the PEM is of a kind of key that is not supported") from None
    except TypeError:  # a password given for a key that has none
        raise DecodeError("the PEM is not encrypted") from None
    except ValueError:
        raise DecodeError("the password is wrong or the PEM is damaged") from None
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise DecodeError(f"the PEM holds {_kind(loaded)}; Bitcoin's keys are of the curve secp256k1")
    _require_curve(loaded.curve)
    return PrivateKey.from_bytes(loaded.private_numbers().private_value.to_bytes(32, "big"))


def public_key_to_pem(key: PublicKey) -> str:
    """Return `key` as SubjectPublicKeyInfo PEM."""
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), key.compressed)
    return point.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode(
        "ascii"
    )


def public_key_from_pem(text: str) -> PublicKey:
    """Return the key of a PEM; DecodeError if it is a private or RSA key, on another curve, or no PEM at all."""
    if len(text) > _MAX_TEXT:
        raise DecodeError("the PEM is too long for a public key")
    if "PRIVATE KEY" in text:
        raise DecodeError("this is a private key: never show it to anyone; give the public key")
    try:
        loaded = serialization.load_pem_public_key(text.encode())
    except UnsupportedAlgorithm:
        raise DecodeError("the PEM is of a kind of key that is not supported") from None
    except ValueError:
        raise DecodeError("the text is not a public key in PEM") from None
    if not isinstance(loaded, ec.EllipticCurvePublicKey):
        raise DecodeError(f"the PEM holds {_kind(loaded)}; Bitcoin's keys are of the curve secp256k1")
    _require_curve(loaded.curve)
    return PublicKey.parse(loaded.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint))


def parse_public_key(text: str) -> PublicKey:
    """Return the public key of a text in hex (compressed or not) or PEM; DecodeError for other text."""
    text = text.strip()
    if text.startswith("-----BEGIN"):
        return public_key_from_pem(text)
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise DecodeError("a public key is given in hex or PEM") from None
    return PublicKey.parse(data)


def _kind(key: object) -> str:
    name = type(key).__name__.removesuffix("PublicKey").removesuffix("PrivateKey")
    return f"a key of the kind {name}"


def _require_curve(curve: ec.EllipticCurve) -> None:
    if not isinstance(curve, ec.SECP256K1):
        raise DecodeError(f"the key is of the curve {curve.name}; Bitcoin's keys are of secp256k1")

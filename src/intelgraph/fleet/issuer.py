"""The local token issuer's key: made once by ``up``, so that a laptop can sign its own tokens.

The private key is readable by this account alone; the public half is a JSON Web Key Set beside it. Signing tokens is
the command line's business, believing them the API's.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from intelgraph.fleet.places import write_private
from intelgraph.settings import Issuer

ISSUER = "https://intelgraph.local"
AUDIENCE = "intelgraph"
PRIVATE_KEY, KEY_SET = "private.pem", "jwks.json"


def ensure_issuer(directory: Path) -> Issuer:
    """Make the key pair if there is none, and say whose tokens are believed."""
    private = directory / PRIVATE_KEY
    if not private.exists():
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(private, pem)
    loaded = serialization.load_pem_private_key(private.read_bytes(), password=None)
    if not isinstance(loaded, Ed25519PrivateKey):
        raise TypeError(f"{private} is not an Ed25519 key")
    write_private(directory / KEY_SET, json.dumps(key_set(loaded), indent=2))
    return Issuer(issuer=ISSUER, audience=AUDIENCE, jwks=str(directory / KEY_SET))


def key_set(key: Ed25519PrivateKey) -> dict[str, list[dict[str, str]]]:
    """The public key as a JSON Web Key Set; the key's id is its thumbprint (RFC 7638)."""
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    required = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
    canonical = json.dumps(required, separators=(",", ":"), sort_keys=True).encode()
    thumbprint = _base64url(hashlib.sha256(canonical).digest())
    return {"keys": [{**required, "kid": thumbprint, "alg": "EdDSA", "use": "sig"}]}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")

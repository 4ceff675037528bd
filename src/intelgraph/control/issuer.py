"""The local token issuer: an Ed25519 key made once, beside the fleet, and bearer tokens signed with it.

For one machine. At scale an identity provider issues tokens and the regions are told its JWKS URL; nothing here is
used then. ``ensure_key`` never replaces a key that is there: tokens outlive a restart. The private key is readable by
its owner alone and never leaves this module.
"""

from __future__ import annotations

import base64
import hashlib
import time
from pathlib import Path

import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from intelgraph.model.duration import duration_text
from intelgraph.model.errors import refuse
from intelgraph.model.names import check_name
from intelgraph.runtime.whole_file import write_whole

ISSUER = "https://intelgraph.local"
AUDIENCE = "intelgraph"
ROLES = ("analyst", "writer", "admin")
TTL_S_MAX = 30 * 24 * 3600
_ALGORITHM = "EdDSA"


def key_directory(state: Path) -> Path:
    """Where a fleet's issuer lives: ``private.pem`` (owner only) and ``jwks.json`` (public)."""
    return state / "fleet" / "issuer"


def ensure_key(state: Path) -> Path:
    """Make the key if there is none; return the path of the public ``jwks.json``."""
    directory = key_directory(state)
    private, public = directory / "private.pem", directory / "jwks.json"
    directory.mkdir(parents=True, exist_ok=True)
    if not private.exists():
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_whole(private, pem)
    wanted = orjson.dumps({"keys": [_public_jwk(_read_key(private))]}, option=orjson.OPT_INDENT_2)
    if not public.exists() or public.read_bytes() != wanted:
        write_whole(public, wanted, mode=0o644)
    return public


def sign(state: Path, tenant: str, role: str, ttl_s: float) -> str:
    """A bearer token for ``tenant`` as ``role`` that expires after ``ttl_s`` seconds; refuses with ``no_issuer``."""
    check_name("tenant", tenant)
    if role not in ROLES:
        raise refuse("bad_role", f"the token is refused: its role is {role!r}; it must be one of {', '.join(ROLES)}")
    if not 1 <= ttl_s <= TTL_S_MAX:
        raise refuse(
            "bad_ttl",
            f"the token is refused: it would live {duration_text(ttl_s)}; it may be 1 s to {duration_text(TTL_S_MAX)}",
        )
    key = _read_key(key_directory(state) / "private.pem")
    now_s = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now_s,
        "nbf": now_s,
        "exp": now_s + int(ttl_s),
        "tenant": tenant,
        "role": role,
    }
    return jwt.encode(claims, key, algorithm=_ALGORITHM, headers={"kid": _public_jwk(key)["kid"]})


def _read_key(private: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(private.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise refuse(
            "no_issuer",
            f"the token is refused: the local issuer's key {private} cannot be read; `intelgraph up` makes it, "
            "or give a token of your own issuer",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise refuse("no_issuer", f"the token is refused: {private} is not an Ed25519 key")
    return key


def _public_jwk(key: Ed25519PrivateKey) -> dict[str, str]:
    """The public half as a JSON Web Key; its id is the RFC 7638 thumbprint."""
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    required = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
    thumbprint = hashlib.sha256(orjson.dumps(required, option=orjson.OPT_SORT_KEYS)).digest()
    return {**required, "kid": _base64url(thumbprint), "alg": _ALGORITHM, "use": "sig"}


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

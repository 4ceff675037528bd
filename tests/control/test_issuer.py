"""The local issuer signs tokens that its public key verifies, and keeps its key."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest

from intelgraph.control import issuer
from intelgraph.model.errors import IntelGraphError


def test_a_signed_token_is_verified_by_the_published_key(tmp_path: Path) -> None:
    keys = jwt.PyJWKSet.from_json(issuer.ensure_key(tmp_path).read_text())
    token = issuer.sign(tmp_path, "acme", "writer", 60)
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["EdDSA"], audience=issuer.AUDIENCE, issuer=issuer.ISSUER)
    assert (claims["tenant"], claims["role"], claims["exp"] - claims["nbf"]) == ("acme", "writer", 60)


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    issuer.ensure_key(tmp_path)
    private = issuer.key_directory(tmp_path) / "private.pem"
    first = private.read_bytes()
    issuer.ensure_key(tmp_path)
    assert private.read_bytes() == first
    assert private.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("tenant", "role", "ttl_s"), [("A!", "writer", 60), ("a", "root", 60), ("a", "admin", 0)])
def test_a_token_that_nobody_should_hold_is_not_signed(tmp_path: Path, tenant: str, role: str, ttl_s: float) -> None:
    issuer.ensure_key(tmp_path)
    with pytest.raises(IntelGraphError):
        issuer.sign(tmp_path, tenant, role, ttl_s)


def test_without_a_fleet_there_is_no_issuer_and_the_refusal_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(IntelGraphError, match="intelgraph up"):
        issuer.sign(tmp_path, "acme", "writer", 60)

"""The issuer's keys: asymmetric only, found when rotated, forgotten when withdrawn, and never asked for in a flood."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from intelgraph.api.authentication import LEEWAY_S, Authenticator
from intelgraph.api.incoming import Incoming
from intelgraph.api.keys import REREAD_MIN_S, STALE_MAX_S, KeySet
from intelgraph.api.request import Request
from intelgraph.model.errors import IntelGraphError
from intelgraph.settings import Issuer


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def public(kid: str, key: Any) -> dict[str, Any]:
    kind = jwt.algorithms.OKPAlgorithm if isinstance(key, ed25519.Ed25519PrivateKey) else jwt.algorithms.ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}


def publish(path: Path, *items: dict[str, Any]) -> None:
    path.write_text(json.dumps({"keys": list(items)}))


def run(body: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(90):
            await body

    asyncio.run(bounded())


def test_a_rotated_key_is_found_and_made_up_ids_do_not_make_the_set_be_read_in_a_flood(tmp_path: Path) -> None:
    async def body() -> None:
        path, clock = tmp_path / "jwks.json", Clock()
        publish(path, public("one", ed25519.Ed25519PrivateKey.generate()))
        keys = KeySet(str(path), monotonic=clock)
        assert await keys.find("one") is not None
        publish(path, public("two", ec.generate_private_key(ec.SECP256R1())))
        assert await keys.find("two") is None
        clock.now_s += REREAD_MIN_S
        assert await keys.find("two") is not None
        assert await keys.find("one") is None

    run(body())


def test_symmetric_and_encryption_keys_are_not_taken(tmp_path: Path) -> None:
    async def body() -> None:
        path = tmp_path / "jwks.json"
        encryption = {**public("enc", ed25519.Ed25519PrivateKey.generate()), "use": "enc"}
        publish(path, {"kty": "oct", "k": "c2VjcmV0", "kid": "shared", "alg": "HS256"}, encryption)
        keys = KeySet(str(path), monotonic=Clock())
        assert await keys.find("shared") is None
        assert await keys.find("enc") is None

    run(body())


def test_keys_that_cannot_be_read_are_believed_for_a_while_and_then_nobody_is(tmp_path: Path) -> None:
    async def body() -> None:
        path, clock = tmp_path / "jwks.json", Clock()
        publish(path, public("one", ed25519.Ed25519PrivateKey.generate()))
        keys = KeySet(str(path), monotonic=clock)
        assert await keys.find("one") is not None
        path.unlink()
        clock.now_s += STALE_MAX_S
        assert await keys.find("one") is not None
        clock.now_s += 1
        with pytest.raises(IntelGraphError) as caught:
            await keys.find("one")
        assert caught.value.denied.code == "keys_unavailable"

    run(body())


def test_a_remembered_token_ends_with_its_expiry_and_with_its_key(tmp_path: Path) -> None:
    async def body() -> None:
        path, clock, wall_s = tmp_path / "jwks.json", Clock(), time.time()
        signing = ed25519.Ed25519PrivateKey.generate()
        publish(path, public("one", signing))
        keys = KeySet(str(path), monotonic=clock)
        times = [wall_s]
        issuer = Issuer(issuer="https://issuer.test", audience="a", jwks=str(path))
        authenticator = Authenticator(issuer, keys, wall_clock=lambda: times[0])
        life = {"nbf": int(wall_s) - 1, "exp": int(wall_s) + 60}
        claims = {"iss": issuer.issuer, "aud": "a", "tenant": "acme", "role": "writer", **life}
        token = jwt.encode(claims, signing, algorithm="EdDSA", headers={"kid": "one"})
        request = with_token(token)
        first = await authenticator.authenticate(request)
        assert await authenticator.authenticate(request) is first
        times[0] = life["exp"] + LEEWAY_S
        with pytest.raises(IntelGraphError) as caught:
            await authenticator.authenticate(request)
        assert caught.value.denied.code == "token_expired"
        times[0] = wall_s
        publish(path, public("two", ed25519.Ed25519PrivateKey.generate()))
        clock.now_s += REREAD_MIN_S
        await keys.find("unknown")
        with pytest.raises(IntelGraphError) as caught:
            await authenticator.authenticate(request)
        assert caught.value.denied.code == "bad_token"

    run(body())


def with_token(token: str) -> Request:
    headers = {b"authorization": b"Bearer " + token.encode()}
    return Request("GET", b"/", headers, None, Incoming(lambda: None))

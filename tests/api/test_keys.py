"""The issuer's keys: asymmetric only, found when rotated, forgotten when withdrawn, and never asked for in a flood."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from intelgraph.api.auth.authentication import LEEWAY_S, Authenticator, Principal
from intelgraph.api.auth.keys import KEYS_OF_ID_MAX, OLD_S, REREAD_MIN_S, STALE_MAX_S, KeySet, next_url
from intelgraph.api.http.incoming import Incoming
from intelgraph.api.http.request import Request
from intelgraph.model.errors import IntelGraphError
from intelgraph.settings import Issuer
from tests.fakes.clock import Clock


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
        assert len(await keys.find("one")) == 1
        publish(path, public("two", ec.generate_private_key(ec.SECP256R1())))
        assert await keys.find("two") == ()
        clock.now_s += REREAD_MIN_S
        assert len(await keys.find("two")) == 1
        assert await keys.find("one") == ()

    run(body())


def test_symmetric_and_encryption_keys_are_not_taken(tmp_path: Path) -> None:
    async def body() -> None:
        path = tmp_path / "jwks.json"
        encryption = {**public("enc", ed25519.Ed25519PrivateKey.generate()), "use": "enc"}
        publish(path, {"kty": "oct", "k": "c2VjcmV0", "kid": "shared", "alg": "HS256"}, encryption)
        keys = KeySet(str(path), monotonic=Clock())
        assert await keys.find("shared") == ()
        assert await keys.find("enc") == ()

    run(body())


def test_keys_that_cannot_be_read_are_believed_for_a_while_and_then_nobody_is(tmp_path: Path) -> None:
    async def body() -> None:
        path, clock = tmp_path / "jwks.json", Clock()
        publish(path, public("one", ed25519.Ed25519PrivateKey.generate()))
        keys = KeySet(str(path), monotonic=clock)
        assert len(await keys.find("one")) == 1
        path.unlink()
        clock.now_s += STALE_MAX_S
        assert len(await keys.find("one")) == 1
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
    return Request("GET", b"/", headers, None, Incoming(lambda: None), b"an-id")


def test_a_key_that_is_not_understood_costs_only_itself(tmp_path: Path) -> None:
    async def body() -> None:
        path, clock = tmp_path / "jwks.json", Clock()
        good = public("good", ed25519.Ed25519PrivateKey.generate())
        odd: list[Any] = [
            {"kty": "OKP", "crv": "X25519", "x": "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo", "kid": "x"},
            {"kty": "new", "kid": "y"},
            {"kid": "z"},
            7,
            None,
            [],
            "key",
            {**good, "kid": 7},
            {**good, "kid": ["a"]},
            {**good, "x": 7, "kid": "n"},
            {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "e"},
            {"kty": "RSA", "n": "", "e": "", "kid": "r"},
        ]
        publish(path, *odd, good)
        keys = KeySet(str(path), monotonic=clock)
        assert keys.why_limited() is not None
        assert len(await keys.find("good")) == 1
        assert f"{len(odd)} keys of the token issuer are not understood, and 1 are" in str(keys.why_limited())
        publish(path, good)
        clock.now_s += REREAD_MIN_S
        assert await keys.find("x") == ()
        assert keys.why_limited() is None

    run(body())


@pytest.mark.parametrize(
    ("items", "not_understood", "passed_over"),
    [
        ([], 0, 0),
        ([{"kty": "oct", "k": "eA"}], 0, 1),
        ([{"kty": "new"}, 7, {"kty": "oct", "k": "eA"}], 2, 1),
        ([{**public("enc", ed25519.Ed25519PrivateKey.generate()), "use": "enc"}], 0, 1),
        ([{**public("odd", ed25519.Ed25519PrivateKey.generate()), "use": 7}], 1, 0),
    ],
)
def test_a_set_without_one_key_that_verifies_is_said_so(
    tmp_path: Path, items: list[Any], not_understood: int, passed_over: int
) -> None:
    async def body() -> None:
        path, clock = tmp_path / "jwks.json", Clock()
        publish(path, *items)
        keys = KeySet(str(path), monotonic=clock)
        assert await keys.find("one") == ()
        said = str(keys.why_limited())
        assert said.startswith("no key of the token issuer verifies: of its keys ")
        assert f"{not_understood} are not understood, {passed_over} are symmetric or not for signatures" in said
        clock.now_s += OLD_S + 1
        assert keys.why_limited() == said, "that it is old as well helps nobody"
        publish(path, *items, public("one", ed25519.Ed25519PrivateKey.generate()))
        assert len(await keys.find("one")) == 1
        assert "no key" not in str(keys.why_limited())

    run(body())


def test_keys_for_other_purposes_beside_one_that_verifies_are_no_fault(tmp_path: Path) -> None:
    async def body() -> None:
        path = tmp_path / "jwks.json"
        good, other = (public(kid, ed25519.Ed25519PrivateKey.generate()) for kid in ("good", "other"))
        publish(path, {"kty": "oct", "k": "eA"}, {**other, "use": "enc"}, {**good, "use": None, "alg": None})
        keys = KeySet(str(path), monotonic=Clock())
        assert len(await keys.find("good")) == 1
        assert keys.why_limited() is None

    run(body())


def test_a_set_that_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    async def body() -> None:
        path = tmp_path / "jwks.json"
        publish(path, public("one", ed25519.Ed25519PrivateKey.generate()))
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert len(await KeySet(str(path), monotonic=Clock()).find("one")) == 1

    run(body())


@pytest.mark.parametrize("kid", [None, "shared"])
def test_each_of_the_keys_that_share_an_id_or_have_none_verifies_up_to_a_bound(tmp_path: Path, kid: str | None) -> None:
    async def body() -> None:
        path = tmp_path / "jwks.json"
        signing = [ed25519.Ed25519PrivateKey.generate() for _ in range(KEYS_OF_ID_MAX)]
        elliptic, beyond = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
        items = [public("shared", key) for key in (elliptic, *signing[1:], beyond)]
        publish(path, *({name: value for name, value in item.items() if kid or name != "kid"} for item in items))
        keys = KeySet(str(path), monotonic=Clock())
        issuer = Issuer(issuer="i", audience="a", jwks=str(path))
        authenticator = Authenticator(issuer, keys, wall_clock=lambda: 1_000.0)

        async def refusal(key: Any, algorithm: str, audience: str = "a") -> str | None:
            claims = {"iss": "i", "aud": audience, "tenant": "acme", "role": "writer", "exp": 2_000, "nbf": 900}
            token = jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid} if kid else {})
            try:
                await authenticator.authenticate(with_token(token))
            except IntelGraphError as error:
                return error.denied.reason.rpartition(": ")[2]
            return None

        assert await refusal(elliptic, "ES256") is None
        assert [await refusal(key, "EdDSA") for key in signing[1:]] == [None] * (KEYS_OF_ID_MAX - 1)
        assert await refusal(signing[1], "EdDSA", audience="b") == "it is for another audience"
        assert await refusal(beyond, "EdDSA") == "its signature is not the issuer's"
        assert await refusal("s" * 64, "HS256") == "its algorithm is not the key's"
        told = f"more than {KEYS_OF_ID_MAX} keys of one id, or without an id: 1 are not used, and {KEYS_OF_ID_MAX} are"
        assert keys.why_limited() == f"the token issuer has {told}"

    run(body())


def test_a_set_that_cannot_be_read_is_said_so_and_then_that_it_is_old(tmp_path: Path) -> None:
    async def body() -> None:
        path, clock = tmp_path / "jwks.json", Clock()
        keys = KeySet(str(path), monotonic=clock)
        for text in ("", "[]", "7", '{"keys":{}}', "{", '{"keys":[]} x' + "x" * 1_000_001):
            path.write_text(text)
            clock.now_s += REREAD_MIN_S
            with pytest.raises(IntelGraphError):
                await keys.find("one")
            assert "cannot be read" in str(keys.why_limited())
        publish(path, public("one", ed25519.Ed25519PrivateKey.generate()))
        clock.now_s += REREAD_MIN_S
        assert len(await keys.find("one")) == 1
        assert keys.why_limited() is None
        path.unlink()
        clock.now_s += OLD_S + 1
        assert len(await keys.find("one")) == 1
        assert await keys.find("two") == ()
        assert f"{OLD_S + 1:.0f} s old" in str(keys.why_limited())

    run(body())


def test_a_redirect_never_leaves_https() -> None:
    assert next_url("https://a.example/x", "/y") == "https://a.example/y"
    assert next_url("https://a.example/x", "https://b.example/") == "https://b.example/"
    for location in ("http://a.example/x", "file:///etc/passwd", "", None):
        with pytest.raises(ValueError, match="https"):
            next_url("https://a.example/x", location)


def judged(tmp_path: Path, claims: Mapping[str, Any]) -> Principal:
    """Whom an otherwise good token with these claims names; raises its refusal."""
    key = ed25519.Ed25519PrivateKey.generate()
    path = tmp_path / "jwks.json"
    publish(path, public("one", key))
    issuer = Issuer(issuer="i", audience="a", jwks=str(path))
    good = {"iss": "i", "aud": "a", "tenant": "acme", "role": "writer", "exp": 2_000, "nbf": 900}
    token = jwt.api_jws.encode(json.dumps({**good, **claims}).encode(), key, algorithm="EdDSA", headers={"kid": "one"})

    async def body() -> Principal:
        authenticator = Authenticator(issuer, KeySet(str(path), monotonic=Clock()), wall_clock=lambda: 1_000.0)
        return await authenticator.authenticate(with_token(token))

    return asyncio.run(body())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exp", 10**400),
        ("exp", -(10**400)),
        ("exp", float("inf")),
        ("exp", True),
        ("exp", "9999999999"),
        ("exp", None),
        ("exp", []),
        ("exp", {}),
        ("nbf", 10**400),
        ("nbf", "now"),
        ("iat", 10**400),
        ("iat", [1]),
        ("aud", {}),
        ("aud", [7]),
        ("aud", None),
        ("iss", ["a"]),
        ("iss", 7),
        ("tenant", []),
        ("tenant", 7),
        ("tenant", "x" * 5_000),
        ("role", {}),
        ("role", [[]]),
        ("role", 10**400),
    ],
)
def test_claims_of_any_type_and_size_are_taken_or_refused(tmp_path: Path, name: str, value: Any) -> None:
    try:
        principal = judged(tmp_path, {name: value})
    except IntelGraphError as error:
        assert error.denied.code in ("bad_token", "token_expired", "role_not_allowed")
    else:
        assert principal.tenant == "acme"


@pytest.mark.parametrize("name", ["sub", "jti", "azp", "scope"])
@pytest.mark.parametrize("value", [7, None, {}, [], "x"])
def test_claims_that_nobody_reads_may_have_any_type(tmp_path: Path, name: str, value: Any) -> None:
    assert judged(tmp_path, {name: value}).tenant == "acme"


def test_however_many_wait_for_an_issuer_that_does_not_answer_it_is_asked_once(tmp_path: Path) -> None:
    async def body() -> None:
        clock, asked = Clock(), []
        keys = KeySet("https://issuer.example/jwks", monotonic=clock)

        async def fetch() -> bytes:
            asked.append(clock.now_s)
            await asyncio.sleep(0)
            clock.now_s += 5.0
            raise TimeoutError

        keys._fetch = fetch  # type: ignore[method-assign]
        told = await asyncio.gather(*(keys.find("one") for _ in range(20)), return_exceptions=True)
        assert [error.denied.code for error in told if isinstance(error, IntelGraphError)] == ["keys_unavailable"] * 20
        assert len(asked) == 1

    run(body())

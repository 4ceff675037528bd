"""One admission: its checks in their order, the same result and the same marks for a request that is known or new."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from intelgraph.api.admission import Admission, Admitted
from intelgraph.api.auth.authentication import Authenticator
from intelgraph.api.auth.keys import KeySet
from intelgraph.api.http.incoming import Incoming
from intelgraph.api.http.request import Request
from intelgraph.control.directory.cache import Located
from intelgraph.model.errors import PermanentError, refuse
from intelgraph.model.placement import Declared, Durability, Placement
from intelgraph.settings import Issuer

from .test_keys import public, publish

US, EU = "us-east", "eu-west"
AT_HOME = Placement(id="p", home=US, standby=EU, regions=(US, EU), epoch=1, durability=Durability.HOME)
DEGRADED = replace(AT_HOME, declared=Declared(home=US, durability=Durability.REMOTE))
ELSEWHERE = Placement(id="q", home=EU, standby=None, regions=(EU,), epoch=1, durability=Durability.HOME)


class FakeTenants:
    """A directory of which a tenant is in memory once it was looked up."""

    def __init__(self, placements: dict[str, Placement]) -> None:
        self.placements = placements
        self.memory: set[str] = set()
        self.looked_up: list[str] = []

    def cached(self, tenant: str) -> Located | None:
        if tenant not in self.memory:
            return None
        return Located(tenant=tenant, placement=self.placements[tenant])

    async def locate(self, tenant: str) -> Located:
        self.looked_up.append(tenant)
        if tenant not in self.placements:
            raise refuse("unknown_tenant", f"the tenant {tenant} is refused: the directory does not know it")
        self.memory.add(tenant)
        return Located(tenant=tenant, placement=self.placements[tenant])


class Setting:
    """An admission of us-east, and requests with tokens that it believes."""

    def __init__(self, directory: Path, placements: dict[str, Placement]) -> None:
        path = directory / "jwks.json"
        self._key = ed25519.Ed25519PrivateKey.generate()
        publish(path, public("one", self._key))
        self.tenants = FakeTenants(placements)
        issuer = Issuer(issuer="https://issuer.test", audience="a", jwks=str(path))
        authenticator = Authenticator(issuer, KeySet(str(path)))
        self.admission = Admission(region=US, authenticator=authenticator, tenants=self.tenants)

    def request(self, tenant: str, role: str = "writer", *, ttl_s: int = 60) -> Request:
        now_s = int(time.time())
        claims = {"iss": "https://issuer.test", "aud": "a", "tenant": tenant, "role": role, "nbf": now_s - 120}
        token = jwt.encode({**claims, "exp": now_s + ttl_s}, self._key, algorithm="EdDSA", headers={"kid": "one"})
        headers = {b"authorization": b"Bearer " + token.encode()}
        return Request("GET", b"/", headers, None, Incoming(lambda: None), b"an-id")


@pytest.fixture
def setting(tmp_path: Path) -> Callable[..., Setting]:
    return lambda **placements: Setting(tmp_path, placements)


async def code_of(setting: Setting, request: Request, *, writes: bool = False) -> str:
    with pytest.raises(PermanentError) as caught:
        await setting.admission.admit(request, writes=writes)
    return caught.value.denied.code


@pytest.mark.parametrize(("placement", "is_degraded"), [(AT_HOME, False), (DEGRADED, True)])
def test_a_known_request_is_admitted_and_marked_like_a_new_one(
    setting: Callable[..., Setting], placement: Placement, is_degraded: bool
) -> None:
    async def body() -> None:
        given = setting(acme=placement)
        first = given.request("acme")
        for request in (first, Request("GET", b"/", first.headers, None, Incoming(lambda: None), b"another")):
            admitted = await given.admission.admit(request)
            assert admitted == Admitted(principal=admitted.principal, placement=placement)
            assert (request.tenant, request.is_degraded) == ("acme", is_degraded)
        assert given.tenants.looked_up == ["acme"]

    asyncio.run(body())


def test_a_token_that_is_refused_asks_nothing_of_the_directory(setting: Callable[..., Setting]) -> None:
    async def body() -> None:
        given = setting(acme=AT_HOME)
        assert await code_of(given, given.request("acme", ttl_s=-60)) == "token_expired"
        assert given.tenants.looked_up == []

    asyncio.run(body())


def test_residency_is_judged_before_the_role_whether_the_tenant_is_known_or_not(
    setting: Callable[..., Setting],
) -> None:
    async def body() -> None:
        given = setting(hooli=ELSEWHERE, acme=AT_HOME)
        for _ in range(2):
            assert await code_of(given, given.request("hooli", "analyst"), writes=True) == "region_not_allowed"
            assert await code_of(given, given.request("acme", "analyst"), writes=True) == "role_not_allowed"
        assert await code_of(given, given.request("nobody")) == "unknown_tenant"
        refused = given.request("hooli")
        await code_of(given, refused)
        assert refused.tenant == ""

    asyncio.run(body())


def test_a_tenant_that_moved_away_is_refused_at_once(setting: Callable[..., Setting]) -> None:
    async def body() -> None:
        given = setting(acme=AT_HOME)
        request = given.request("acme")
        await given.admission.admit(request)
        given.tenants.placements["acme"] = ELSEWHERE
        assert await code_of(given, request) == "region_not_allowed"

    asyncio.run(body())

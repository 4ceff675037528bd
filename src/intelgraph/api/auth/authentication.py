"""Who is asking? A bearer token's verified claims, and nothing else, say which tenant and which role.

Required: a signature by a key of the issuer with an asymmetric algorithm, ``iss``, ``aud``, ``exp`` and ``nbf``. The
tenant is the claim ``tenant``, the role the claim ``role``. A token that was verified is remembered until it expires or
the issuer's keys change; one that was not is never remembered. What a tenant may do does not belong here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import jwt
from cachetools import FIFOCache
from jwt.types import Options

from intelgraph.api.auth.keys import ALGORITHMS, KeySet
from intelgraph.api.http.request import Request
from intelgraph.model.errors import IntelGraphError, PermanentError, refuse
from intelgraph.model.head_refusals import repeated
from intelgraph.model.names import check_name
from intelgraph.settings import Issuer

LEEWAY_S = 5.0
_REMEMBERED_MAX = 4_096
"""Tokens. The one that was verified first is forgotten first: it is nearly the one that expires first. Every request
looks here; to note which token was used last would triple what that costs."""
_TOKEN_BYTES_MAX = 8_192
_OPTIONS: Options = {
    "require": ["exp", "nbf", "iss", "aud"],
    # the library knows no clock but the machine's: times are judged here
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    # nothing here reads these, and an issuer may number its users
    "verify_sub": False,
    "verify_jti": False,
}


_UNVERIFIABLE = (
    jwt.PyJWTError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
)
"""What the library may raise at a token that somebody made up."""
_SECONDS_MAX = 2.0**53


class Role(Enum):
    """What the bearer may do: ``analyst`` reads, ``writer`` also writes, ``admin`` also erases."""

    ANALYST = "analyst"
    WRITER = "writer"
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True)
class Principal:
    """The verified bearer. ``expires_at_s`` is Unix time, leeway included."""

    tenant: str
    role: Role
    expires_at_s: float

    @property
    def may_write(self) -> bool:
        """Whether the role writes."""
        return self.role is not Role.ANALYST

    def check_may_write(self) -> None:
        """Refuse with ``role_not_allowed`` a bearer who may read only."""
        if not self.may_write:
            raise refuse(
                "role_not_allowed",
                f"the write is refused: the token's role {self.role.value} may read only",
                role=self.role.value,
            )

    def check_may_erase(self) -> None:
        """Refuse with ``role_not_allowed`` a bearer who may not erase: what was erased is gone for ever."""
        if self.role is not Role.ADMIN:
            raise refuse(
                "role_not_allowed",
                f"the erasure is refused: the token's role {self.role.value} may not erase; the role "
                f"{Role.ADMIN.value} may",
                role=self.role.value,
                needed=Role.ADMIN.value,
            )


class Authenticator:
    """Verifies bearer tokens of one issuer."""

    def __init__(self, issuer: Issuer, keys: KeySet, *, wall_clock: Callable[[], float] = time.time) -> None:
        self._issuer = issuer
        self._keys = keys
        self._wall_clock = wall_clock
        self._remembered: FIFOCache[bytes, Principal] = FIFOCache(_REMEMBERED_MAX)
        self._remembered_version = keys.version

    def why_limited(self) -> str | None:
        """Say what is amiss with the issuer's keys; nothing when they are well."""
        return self._keys.why_limited()

    def now_s(self) -> float:
        """Return the time that tokens are judged by (Unix)."""
        return self._wall_clock()

    def known(self, request: Request) -> Principal | None:
        """Return the bearer of a token that was verified before and still holds."""
        try:
            found = self._remembered[request.headers.get(b"authorization", b"")]
        except KeyError:
            return None
        if self._remembered_version != self._keys.version or self._wall_clock() >= found.expires_at_s:
            return None
        return found

    async def authenticate(self, request: Request) -> Principal:
        """Return the request's bearer; refuses with ``no_token``, ``bad_token``, ``token_expired``."""
        found = self.known(request)
        if found is not None:
            return found
        header = request.headers.get(b"authorization")
        if header is None:
            raise refuse("no_token", "the request is refused: it carries no bearer token")
        if b"," in header:  # no token has one: an edge has joined two headers
            raise PermanentError(repeated(b"authorization"))
        return await self._verify(header)

    async def _verify(self, header: bytes) -> Principal:
        scheme, _, token = header.partition(b" ")
        if scheme.lower() != b"bearer" or not token or len(token) > _TOKEN_BYTES_MAX:
            raise _bad("the Authorization header is not a bearer token")
        try:
            head = jwt.get_unverified_header(token)
        except _UNVERIFIABLE as error:
            raise _bad("it is not a JSON Web Token") from error
        kid = head.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise _bad("its key id is not a text")
        keys = await self._keys.find(kid)
        if not keys:
            raise _bad("the issuer has no key of its id")
        fitting = [key for key in keys if key.algorithm_name == head.get("alg")]
        if not fitting:
            raise _bad("its algorithm is not the key's")
        claims = self._claims(token, fitting)
        self._check_times(claims)
        principal = _principal(claims)
        self._remember(header, principal)
        return principal

    def _claims(self, token: bytes, keys: Sequence[jwt.PyJWK]) -> dict[str, Any]:
        """Return what the token says by the first of the keys that has signed it."""
        failed: Exception = jwt.InvalidSignatureError()
        for key in keys:
            try:
                return self._decoded(token, key)
            except _UNVERIFIABLE as error:
                if isinstance(failed, jwt.InvalidSignatureError):  # else a key has signed it, and what it says is wrong
                    failed = error
        raise _bad(_WHY.get(type(failed), "it cannot be verified")) from failed

    def _decoded(self, token: bytes, key: jwt.PyJWK) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name] if key.algorithm_name in ALGORITHMS else [],
            audience=self._issuer.audience,
            issuer=self._issuer.issuer,
            options=_OPTIONS,
        )

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        """Judge by this worker's clock, which the library could not be told."""
        expires_s = _seconds(claims["exp"])
        begins_s = max(_seconds(claims["nbf"]), _seconds(claims.get("iat", claims["nbf"])))
        now_s = self._wall_clock()
        if expires_s <= now_s - LEEWAY_S:
            raise refuse("token_expired", "the request is refused: its bearer token has expired")
        if begins_s > now_s + LEEWAY_S:
            raise _bad("it is not valid yet")

    def _remember(self, header: bytes, principal: Principal) -> None:
        if self._remembered_version != self._keys.version:
            self._remembered.clear()
            self._remembered_version = self._keys.version
        self._remembered[header] = principal


_WHY: dict[type[BaseException], str] = {
    jwt.InvalidSignatureError: "its signature is not the issuer's",
    jwt.InvalidAlgorithmError: "its algorithm is not the key's",
    jwt.InvalidAudienceError: "it is for another audience",
    jwt.InvalidIssuerError: "it is of another issuer",
    jwt.MissingRequiredClaimError: "it lacks one of exp, nbf, iss and aud",
}


def _seconds(claim: object) -> float:
    """A time of a token as seconds; whatever its size, a time beyond the calendar is only very early or very late."""
    if isinstance(claim, bool) or not isinstance(claim, int | float) or claim != claim:
        raise _bad("its times are not numbers")
    return float(max(-_SECONDS_MAX, min(_SECONDS_MAX, claim)))


def _principal(claims: dict[str, Any]) -> Principal:
    try:
        tenant = check_name("tenant", claims.get("tenant", ""))
    except IntelGraphError as error:
        raise _bad("its claim tenant is missing or not a tenant's name") from error
    try:
        role = Role(claims.get("role"))
    except (ValueError, TypeError) as error:
        roles = ", ".join(known.value for known in Role)
        raise refuse("role_not_allowed", f"the request is refused: its token's role is not one of {roles}") from error
    return Principal(tenant=tenant, role=role, expires_at_s=_seconds(claims["exp"]) + LEEWAY_S)


def _bad(why: str) -> PermanentError:
    return refuse("bad_token", f"the request is refused: its bearer token is not valid: {why}")

"""Bearer tokens of the local issuer. Who was given one is recorded; the token itself is kept nowhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from intelgraph.control import issuer
from intelgraph.model.errors import TransientError
from intelgraph.operations.operator import Operator
from intelgraph.operations.record import record

ROLES, TTL_S_MAX = issuer.ROLES, issuer.TTL_S_MAX
RENEWED_TTL_S = 3_600.0
"""How long a token lives that is renewed; it is signed anew when so much of that is over:"""
_RENEWED_AFTER = 0.5


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A token. ``expires_at``: seconds since 1970. ``unchecked``: why it is not known whether the tenant exists."""

    token: str = field(repr=False)
    expires_at: int
    unchecked: str | None = None


async def issue(operator: Operator, tenant: str, role: str, ttl_s: float) -> Issued:
    """Sign a token; ``unknown_tenant`` if there is no such tenant. While the control store is away it is signed."""
    token = issuer.sign(operator.site.state, tenant, role, ttl_s)
    unchecked = None
    try:
        async with operator.site.directory() as directory:
            await directory.tenant(tenant)
    except TransientError as error:
        unchecked = error.denied.reason
    record(operator, "token", tenant=tenant, role=role, ttl_s=ttl_s)
    return Issued(token=token, expires_at=int(time.time()) + int(ttl_s), unchecked=unchecked)


def renewed_token(operator: Operator, tenant: str, role: str) -> Callable[[], str]:
    """Return what gives a token that never expires while it is asked for; recorded once. Nothing of it waits.

    The first is signed at once, so that ``no_issuer`` is said before anything else is done; no tenant is looked for.
    """
    state = operator.site.state
    signed: list[tuple[float, str]] = []

    def token() -> str:
        now_s = time.monotonic()
        if not signed or now_s - signed[-1][0] > _RENEWED_AFTER * RENEWED_TTL_S:
            signed[:] = [(now_s, issuer.sign(state, tenant, role, RENEWED_TTL_S))]
        return signed[-1][1]

    token()
    record(operator, "token", tenant=tenant, role=role, ttl_s=RENEWED_TTL_S, renewed=True)
    return token

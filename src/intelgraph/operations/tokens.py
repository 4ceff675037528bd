"""Bearer tokens of the local issuer. Who was given one is recorded; the token itself is kept nowhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from intelgraph.control import issuer
from intelgraph.model.errors import TransientError
from intelgraph.operations.operator import Operator
from intelgraph.operations.record import record


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

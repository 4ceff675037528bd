"""The one way into the API: token, tenant, placement, residency, role, in this order.

Guarantees: nothing else turns a request into a tenant, so a handler that was given no ``Admitted`` knows no tenant and
can ask the database nothing; a request of a degraded placement is marked as such whichever handler answers it, and
whether its token and its tenant were known here before or had to be looked up. Which role an operation needs is known
when the operation is: a handler that knows it only later asks ``Admitted.principal``.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from intelgraph.api.auth.authentication import Authenticator, Principal
from intelgraph.api.http.request import Request
from intelgraph.control.directory.cache import Located
from intelgraph.model.errors import PermanentError
from intelgraph.model.placement import Placement
from intelgraph.residency import decision as residency


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """A request that may be served here: who asks, and the placement of their tenant."""

    principal: Principal
    placement: Placement


class Tenants(Protocol):
    """Where tenants live, as a worker's copy of the directory has it."""

    def cached(self, tenant: str) -> Located | None:
        """Look a tenant up in memory."""
        ...

    async def locate(self, tenant: str) -> Located:
        """Find a tenant; ``unknown_tenant`` or ``directory_unreadable`` if that cannot be said."""
        ...


class Admission:
    """Admits the requests of one worker, which serves ``region``."""

    def __init__(self, *, region: str, authenticator: Authenticator, tenants: Tenants) -> None:
        self._region = region
        self._authenticator = authenticator
        self._tenants = tenants

    async def admit(self, request: Request, *, writes: bool = False) -> Admitted:
        """Let a request in, or raise why not; ``writes``: whoever may read only is refused too."""
        principal = self._authenticator.known(request) or await self._authenticator.authenticate(request)
        located = self._tenants.cached(principal.tenant) or await self._tenants.locate(principal.tenant)
        placement = self._allowed(located)
        request.tenant = principal.tenant
        request.is_degraded = placement.is_degraded
        if writes:
            principal.check_may_write()
        return Admitted(principal=principal, placement=placement)

    async def placement_of(self, principal: Principal) -> Placement:
        """Find where an admitted tenant lives now; refuses with ``region_not_allowed`` if that is not here any more."""
        return self._allowed(self._tenants.cached(principal.tenant) or await self._tenants.locate(principal.tenant))

    def _allowed(self, located: Located) -> Placement:
        denied = residency.decide(region=self._region, placement=located.placement)
        if denied is not None:
            raise PermanentError(denied)
        return located.placement

"""What every handler works with, and the one way in: token, tenant, placement, residency, role, in this order.

``Door`` is made once a worker by the composition root (``app``). ``admit`` is the only place that turns a request
into a tenant; a handler that has not been through it knows no tenant and can ask the database nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from intelgraph.api.auth.authentication import Authenticator, Principal
from intelgraph.api.database.coalescing import Coalescer
from intelgraph.api.database.database import Database
from intelgraph.api.database.feed import FeedNotices
from intelgraph.api.graphql.persisted import PersistedDocuments
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Header
from intelgraph.api.limits.patience import Patience
from intelgraph.api.limits.quota import ConnectionLoad, Quota
from intelgraph.api.logs import Log
from intelgraph.api.metrics import Metrics
from intelgraph.api.read.bookmarks import BookmarkWaiters
from intelgraph.api.write.appending import Appends
from intelgraph.api.write.durability import LeaseCheck, RemoteWaiter
from intelgraph.api.write.forward import Forwarder
from intelgraph.api.write.holding import Holding
from intelgraph.api.write.probe import WriteProbe
from intelgraph.control.directory.cache import CachedDirectory
from intelgraph.graph.query.planning import Planner
from intelgraph.model.errors import PermanentError
from intelgraph.model.placement import Placement
from intelgraph.residency import decision as residency
from intelgraph.settings import ApiPolicy

if TYPE_CHECKING:
    from intelgraph.api.health import Readiness

_ADMITTED_MAX = 4_096


@dataclass(frozen=True, kw_only=True, slots=True)
class Admitted:
    """A request that may be served here: who asks, and the placement of their tenant."""

    principal: Principal
    placement: Placement


@dataclass(frozen=True, kw_only=True)
class Door:
    """The parts of one worker."""

    region: str
    release: str
    policy: ApiPolicy
    authenticator: Authenticator
    directory: CachedDirectory
    database: Database
    reads: Coalescer
    appends: Appends
    waiters: BookmarkWaiters
    feed: FeedNotices
    forwarder: Forwarder
    standby: RemoteWaiter
    lease: LeaseCheck
    holding: Holding
    readiness: Readiness
    write_probe: WriteProbe
    metrics: Metrics
    log: Log
    planner: Planner
    patience: Patience = field(default_factory=Patience)
    persisted: PersistedDocuments = field(default_factory=PersistedDocuments)
    streams: Quota
    bodies: Quota
    """Bodies that did not come with their heads and are still arriving."""
    body_bytes: Quota
    """What has arrived of such bodies, until their requests end."""
    connections: ConnectionLoad
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _admitted: dict[str, Admitted] = field(default_factory=dict)
    """The last of each tenant: it is the same value for the next request by the same token."""

    def begin_stop(self) -> None:
        """Have every stream and every held write end: this process is about to stop."""
        self.stopping.set()
        self.holding.stop()
        self.feed.wake()

    def admit_known(self, request: Request) -> Admitted | None:
        """Let a reader in whose token and tenant are known here; nothing if ``admit`` has to look, or to refuse."""
        principal = self.authenticator.known(request)
        if principal is None:
            return None
        located = self.directory.cached(principal.tenant)
        if located is None or residency.decide(region=self.region, placement=located.placement) is not None:
            return None
        admitted = self._admitted.get(principal.tenant)
        if admitted is None or admitted.principal is not principal or admitted.placement is not located.placement:
            admitted = Admitted(principal=principal, placement=located.placement)
            if len(self._admitted) >= _ADMITTED_MAX:
                self._admitted.clear()
            self._admitted[principal.tenant] = admitted
        request.tenant = principal.tenant
        return admitted

    def directory_age(self) -> list[Header]:
        """Return the header that says how old the directory is by which an answer was given."""
        age_s = self.directory.age_s()
        return [(b"ig-directory-age-ms", b"%d" % (age_s * 1000))] if age_s < float("inf") else []

    async def admit(self, request: Request, *, writes: bool = False) -> Admitted:
        """Let a request in, or raise why not."""
        principal = await self.authenticator.authenticate(request)
        placement = await self.placement_of(principal)
        request.is_degraded = placement.is_degraded
        request.tenant = principal.tenant
        if writes:
            principal.check_may_write()
        return Admitted(principal=principal, placement=placement)

    async def placement_of(self, principal: Principal) -> Placement:
        """Find where the tenant lives now; refuses with ``region_not_allowed`` if that is not here."""
        located = self.directory.cached(principal.tenant) or await self.directory.locate(principal.tenant)
        denied = residency.decide(region=self.region, placement=located.placement)
        if denied is not None:
            raise PermanentError(denied)
        return located.placement

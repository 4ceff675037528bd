"""What a request's document becomes: understood, whole, and planned within its limits, in the tenant's turn.

A document that was seen costs next to nothing. One that was not is parsed and validated on the planner thread, so that
nobody else waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from intelgraph.api.graphql import http
from intelgraph.api.graphql.persisted import PersistedDocuments
from intelgraph.api.http.request import Request
from intelgraph.api.limits.planner_thread import LARGE_BYTES, PlannerThread
from intelgraph.graph.engines.postgres.statement import Statement
from intelgraph.graph.engines.protocol import Engine
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.prepared import Prepared
from intelgraph.graph.query.prepared_plan import PreparedPlan

Understood = tuple[http.GraphQLRequest, Prepared | tuple[PreparedPlan, list[Any]]]
"""What is asked for, and either what was prepared of it, or what is ready for it with its own values."""


@dataclass(frozen=True, kw_only=True)
class Documents:
    """The documents of one worker's requests."""

    planner: Planner
    engine: Engine[Statement]
    persisted: PersistedDocuments
    planner_thread: PlannerThread

    async def understand(self, request: Request, tenant: str, body: bytes) -> Understood:
        """Read a request and plan its operation; raises ``QueryRefused``, or refuses what is no GraphQL request."""
        if len(body) >= LARGE_BYTES:
            return await self.planner_thread.run(tenant, lambda: self._both(tenant, request, body))
        asked = self.persisted.whole(tenant, http.understand(request, body))
        ready = self.planner.ready(asked.query, asked.operation_name, asked.variables)
        if ready is not None:
            return asked, ready
        if self.planner.knows(asked.query, asked.operation_name):
            return asked, self._prepared(tenant, asked)
        cheap = self.planner.refuses(asked.query, asked.operation_name)
        return asked, await self.planner_thread.run(tenant, lambda: self._prepared(tenant, asked), cheap=cheap)

    def make_ready(self, asked: http.GraphQLRequest, prepared: Prepared) -> None:
        """Have the next request like this one find everything ready, if it can be."""
        self.planner.make_ready(asked.query, asked.operation_name, prepared)

    def _both(self, tenant: str, request: Request, body: bytes) -> Understood:
        asked = self.persisted.whole(tenant, http.understand(request, body))
        return asked, self._prepared(tenant, asked)

    def _prepared(self, tenant: str, asked: http.GraphQLRequest) -> Prepared:
        document = self.planner.document(asked.query, asked.operation_name, tenant=tenant)
        prepared = self.planner.prepare(document, asked.variables)
        if prepared.plan is not None:
            self.engine.statement(prepared.plan)  # made here, because a new document is prepared on the planner thread
        return prepared

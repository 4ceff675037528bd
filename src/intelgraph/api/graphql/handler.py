"""``/graphql``: who and where first, then the body, then the document within its limits, and only then the database.

The order is the promise. A mutation is a write like any other (``write.writer``): its key, its one hop to the home, its
durability; all its fields are one transaction. Whatever fails, its client is answered in the form of GraphQL.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphql import OperationType

from intelgraph.api.admission import Admission
from intelgraph.api.graphql import http
from intelgraph.api.graphql.documents import Documents
from intelgraph.api.graphql.media_types import RESPONSE, MediaTypes
from intelgraph.api.graphql.queries import Asked, Queries
from intelgraph.api.graphql.stream import Subscriptions
from intelgraph.api.graphql.write import Mutations
from intelgraph.api.http import problem
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Answer, Response
from intelgraph.api.limits.bodies import Bodies
from intelgraph.api.logs import Log
from intelgraph.graph.query.document import QueryRefused
from intelgraph.graph.query.prepared import Prepared
from intelgraph.model.errors import IntelGraphError, PermanentError, refuse


@dataclass(frozen=True, kw_only=True)
class GraphQL:
    """The handler of ``GET /graphql`` and ``POST /graphql``."""

    admission: Admission
    bodies: Bodies
    media_types: MediaTypes
    documents: Documents
    queries: Queries
    mutations: Mutations
    subscriptions: Subscriptions
    log: Log

    async def answer(self, request: Request) -> Answer:
        """Answer one request, whatever its operation is."""
        try:
            wanted = self.media_types.wanted(request)
        except IntelGraphError as error:
            return http.failed(RESPONSE, error)
        kind = wanted.refusal
        try:
            admitted = await self.admission.admit(request)
            tenant = admitted.principal.tenant
            body = b""
            if request.method == "POST":
                if request.query_string:
                    request.query(frozenset())
                body = await self.bodies.read_json(request, tenant)
            given, found = await self.documents.understand(request, tenant, body)
            if not isinstance(found, Prepared):
                kind = wanted.single
                return await self.queries.read_ready(request, Asked(admitted, given, kind), *found)
            kind = wanted.of(found.document.kind)
            return await self._execute(request, Asked(admitted, given, kind), found)
        except QueryRefused as refused:
            return http.refused(kind, refused.errors, refused.code)
        except http.FieldRefused as refused:
            return http.field_refused(kind, refused)
        except IntelGraphError as error:
            return http.failed(kind, error)
        except Exception as error:
            self.log.failure("request_failed", error, request_id=request.id.decode(), route="/graphql")
            return http.failed(kind, PermanentError(problem.INTERNAL))

    async def _execute(self, request: Request, asked: Asked, prepared: Prepared) -> Answer:
        """Answer a request that has taken the long way."""
        kind_of = prepared.document.kind
        if kind_of is OperationType.MUTATION and request.method == "GET":
            return _only_by_post(asked.kind)
        if kind_of is OperationType.SUBSCRIPTION:
            return await self.subscriptions.subscribe(request, asked.admitted, prepared)
        if kind_of is OperationType.MUTATION:
            return await self.mutations.write(request, asked.admitted, asked.request, prepared, asked.kind)
        self.documents.make_ready(asked.request, prepared)
        return await self.queries.read(request, asked, prepared)


def _only_by_post(kind: bytes) -> Response:
    response = http.failed(kind, refuse("method_not_allowed", "the mutation is refused: a GET may only read"))
    response.headers.append((b"allow", b"POST"))
    return response

"""``/graphql``: one request, one statement. The database's JSON passes through unparsed.

The order is the promise: who and where first (``Door.admit``), then the body, then the document within its limits, and
only then the database. A mutation is a write like any other (``write.Write``): its key, its one hop to the home, its
durability; all its fields are one transaction.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson
from graphql import OperationType

from intelgraph.api import graphql_http as http
from intelgraph.api.bookmarks import Readable
from intelgraph.api.coalescing import Read
from intelgraph.api.door import Admitted, Door
from intelgraph.api.graphql_stream import subscribe
from intelgraph.api.graphql_write import write
from intelgraph.api.patience import LARGE_BYTES
from intelgraph.api.read import ask_until_seen, facts, wanted_bookmark
from intelgraph.api.request import Request
from intelgraph.api.response import Answer, Header, Response
from intelgraph.graph.query.compile import OUTSIDE
from intelgraph.graph.query.document import QueryRefused
from intelgraph.graph.query.introspection import introspect
from intelgraph.graph.query.planning import Prepared
from intelgraph.model.errors import IntelGraphError, refuse

_SETTLING_S = 0.02


class _Answer(Readable, kw_only=True):
    """What a compiled statement answers: whether this region may answer, and the data."""

    data: str | None = None


async def graphql(door: Door, request: Request) -> Answer:
    """``GET /graphql`` and ``POST /graphql``."""
    streams = b"text/event-stream" in request.headers.get(b"accept", b"")
    try:
        kind = http.PLAIN if streams else http.media_type(request)
    except IntelGraphError as error:
        return http.failed(http.RESPONSE, error)
    try:
        admitted = await door.admit(request)
        asked, prepared = await _understand(door, request, admitted)
        document = prepared.document
        if document.kind is OperationType.MUTATION and request.method == "GET":
            return _only_by_post(kind)
        if streams or document.kind is OperationType.SUBSCRIPTION:
            return await subscribe(door, request, admitted, prepared, streams=streams)
        if document.kind is OperationType.MUTATION:
            return await write(door, request, admitted, asked, prepared, kind)
        explain = asked.extensions.get("explain") is True
        return await _read(door, request, admitted, prepared, _Form(kind=kind, explain=explain))
    except QueryRefused as refused:
        return http.refused(kind, refused.errors, refused.code)
    except IntelGraphError as error:
        return http.failed(kind, error)


async def _understand(door: Door, request: Request, admitted: Admitted) -> tuple[http.GraphQLRequest, Prepared]:
    """Read and prepare a request; what takes long, a large body or a new document, aside, in the tenant's turn."""
    body = await http.read_body_of(request, door.policy)
    tenant = admitted.principal.tenant
    if len(body) >= LARGE_BYTES:
        return await door.patience.aside(tenant, lambda: _both(door, tenant, http.understand(request, body)))
    asked = door.persisted.whole(tenant, http.understand(request, body))
    if door.planner.knows(asked.query, asked.operation_name):
        return asked, _prepared(door, asked)
    return asked, await door.patience.aside(tenant, lambda: _prepared(door, asked))


def _both(door: Door, tenant: str, asked: http.GraphQLRequest) -> tuple[http.GraphQLRequest, Prepared]:
    asked = door.persisted.whole(tenant, asked)
    return asked, _prepared(door, asked)


def _prepared(door: Door, asked: http.GraphQLRequest) -> Prepared:
    return door.planner.prepare(door.planner.document(asked.query, asked.operation_name), asked.variables)


def _only_by_post(kind: bytes) -> Response:
    response = http.failed(kind, refuse("method_not_allowed", "the mutation is refused: a GET may only read"))
    response.headers.append((b"allow", b"POST"))
    return response


@dataclass(frozen=True, kw_only=True)
class _Form:
    """How an answer is written: its media type, and whether it says what it took."""

    kind: bytes
    explain: bool


async def _read(door: Door, request: Request, admitted: Admitted, prepared: Prepared, form: _Form) -> Response:
    headers: list[Header] = []
    data: bytes | None = None
    home: str | None = None
    if prepared.statement is not None:
        answer = await _ask(door, request, admitted, prepared)
        headers, home = facts(door, answer, None), answer.home
        data = (answer.data or "null").encode()
    if any(root.name in OUTSIDE for root in prepared.selection.roots):
        data = _merged(door, prepared, data)
    told = b'"data":%b' % (data if data is not None else b"{}")
    if form.explain:
        told += b',"extensions":%b' % orjson.dumps(_explained(door, admitted, prepared, home))
    response = http.answer(form.kind, b"{%b}" % told)
    response.headers = headers
    return response


def _explained(door: Door, admitted: Admitted, prepared: Prepared, home: str | None) -> dict[str, Any]:
    """Tell what the operation may take, by what it is held to, and where it was answered."""
    limits, found = door.planner.limits, prepared.estimate
    return {
        "cost": {"estimated": found.cost, "limit": limits.cost_max},
        "objects": {"at_most": found.nodes, "limit": limits.nodes_max},
        "regions": {"answered_in": door.region, "home": home, "allowed": list(admitted.placement.regions)},
    }


async def _ask(door: Door, request: Request, admitted: Admitted, prepared: Prepared) -> _Answer:
    assert prepared.statement is not None
    bookmark = wanted_bookmark(request)
    placement = admitted.placement
    read = Read(
        statement=prepared.statement,
        tenant=admitted.principal.tenant,
        placement=placement.id,
        bookmark=bookmark,
        values=prepared.values,
        cost=prepared.estimate.cost,
    )

    async def send() -> _Answer:
        readable, data = await door.reads.ask(read)
        answer = msgspec.json.decode(readable, type=_Answer)
        answer.data = data
        return answer

    async def settled() -> _Answer:
        # A place in the log that was asked for may not be settled yet: the next look of the feed tells.
        ends = time.monotonic() + door.policy.bookmark_wait_s
        answer = await send()
        while answer.status == "unsettled" and time.monotonic() < ends:
            await asyncio.sleep(_SETTLING_S)
            answer = await send()
        return answer

    return await ask_until_seen(door, placement, bookmark, settled if prepared.statement.of_the_past else send)


def _merged(door: Door, prepared: Prepared, data: bytes | None) -> bytes:
    """Put what the schema says of itself beside the data, in the order of the fields."""
    known: dict[str, Any] = introspect(door.planner.schema, prepared)
    found: dict[str, Any] = {} if data is None else orjson.loads(data)
    return orjson.dumps({root.key: known.get(root.key, found.get(root.key)) for root in prepared.selection.roots})

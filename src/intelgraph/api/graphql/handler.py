"""``/graphql``: one request, one statement. The database's JSON passes through unparsed.

The order is the promise: who and where first (``Door.admit``), then the body, then the document within its limits, and
only then the database. A mutation is a write like any other (``write.Write``): its key, its one hop to the home, its
durability; all its fields are one transaction.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

import msgspec
import orjson
from graphql import OperationType

from intelgraph.api import problem
from intelgraph.api.database.coalescing import Read, Told
from intelgraph.api.door import Admitted, Door
from intelgraph.api.graphql import http
from intelgraph.api.graphql.stream import subscribe
from intelgraph.api.graphql.write import write
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Answer, Header, Response
from intelgraph.api.limits.patience import LARGE_BYTES
from intelgraph.api.read.bookmarks import Readable
from intelgraph.api.read.read import ask_until_seen, facts, wanted_bookmark
from intelgraph.graph.engines.postgres.engine import PostgresEngine
from intelgraph.graph.engines.postgres.statement import Statement
from intelgraph.graph.engines.protocol import Engine
from intelgraph.graph.query.cost import Estimate
from intelgraph.graph.query.document import QueryRefused
from intelgraph.graph.query.introspection import introspect
from intelgraph.graph.query.plan import Plan
from intelgraph.graph.query.plan_builder import OUTSIDE
from intelgraph.graph.query.prepared import Prepared
from intelgraph.graph.query.ready import Ready
from intelgraph.model.errors import IntelGraphError, PermanentError, refuse

_SETTLING_S = 0.02
_ENGINE: Engine[Statement] = PostgresEngine()


class _Answer(Readable, kw_only=True):
    """What a compiled statement answers: whether this region may answer, and the data."""

    data: str | None = None


_ANSWER = msgspec.json.Decoder(_Answer)


class _Asked(NamedTuple):
    """A request that was let in: what it asks for, and the media type of its answer."""

    admitted: Admitted
    request: http.GraphQLRequest
    kind: bytes

    @property
    def explain(self) -> bool:
        return self.request.extensions.get("explain") is True


async def graphql(door: Door, request: Request) -> Answer:
    """``GET /graphql`` and ``POST /graphql``."""
    try:
        wanted = http.wanted(request)
    except IntelGraphError as error:
        return http.failed(http.RESPONSE, error)
    kind = wanted.refusal
    try:
        admitted = door.admit_known(request) or await door.admit(request)
        tenant = admitted.principal.tenant
        body = await http.read_body_of(door, request, tenant)
        if len(body) >= LARGE_BYTES:
            given, prepared = await door.patience.aside(tenant, lambda: _both(door, tenant, request, body))
        else:
            given = door.persisted.whole(tenant, http.understand(request, body))
            ready = door.planner.ready(given.query, given.operation_name, given.variables)
            if ready is not None:
                kind = wanted.single
                return await _read_ready(door, request, _Asked(admitted, given, kind), *ready)
            if door.planner.knows(given.query, given.operation_name):
                prepared = _prepared(door, tenant, given)
            else:
                cheap = door.planner.refuses(given.query, given.operation_name)
                prepared = await door.patience.aside(tenant, lambda: _prepared(door, tenant, given), cheap=cheap)
        kind = wanted.of(prepared.document.kind)
        return await _answer(door, request, _Asked(admitted, given, kind), prepared)
    except QueryRefused as refused:
        return http.refused(kind, refused.errors, refused.code)
    except http.FieldRefused as refused:
        return http.field_refused(kind, refused)
    except IntelGraphError as error:
        return http.failed(kind, error)
    except Exception as error:
        door.log.failure("request_failed", error, request_id=request.id.decode(), route="/graphql")
        return http.failed(kind, PermanentError(problem.INTERNAL))


def _both(door: Door, tenant: str, request: Request, body: bytes) -> tuple[http.GraphQLRequest, Prepared]:
    asked = door.persisted.whole(tenant, http.understand(request, body))
    return asked, _prepared(door, tenant, asked)


def _prepared(door: Door, tenant: str, asked: http.GraphQLRequest) -> Prepared:
    document = door.planner.document(asked.query, asked.operation_name, tenant=tenant)
    prepared = door.planner.prepare(document, asked.variables)
    if prepared.plan is not None:
        # Here, because a new document is prepared in the planner's thread.
        _ENGINE.statement(prepared.plan)
    return prepared


async def _answer(door: Door, request: Request, asked: _Asked, prepared: Prepared) -> Answer:
    """Answer a request that has taken the long way."""
    kind_of = prepared.document.kind
    if kind_of is OperationType.MUTATION and request.method == "GET":
        return _only_by_post(asked.kind)
    if kind_of is OperationType.SUBSCRIPTION:
        return await subscribe(door, request, asked.admitted, prepared)
    if kind_of is OperationType.MUTATION:
        return await write(door, request, asked.admitted, asked.request, prepared, asked.kind)
    door.planner.make_ready(asked.request.query, asked.request.operation_name, prepared)
    return await _read(door, request, asked, prepared)


def _only_by_post(kind: bytes) -> Response:
    response = http.failed(kind, refuse("method_not_allowed", "the mutation is refused: a GET may only read"))
    response.headers.append((b"allow", b"POST"))
    return response


async def _read_ready(door: Door, request: Request, asked: _Asked, ready: Ready, values: list[Any]) -> Response:
    """Answer a read that differs from an earlier one in its texts alone."""
    read = _read_of(request, asked.admitted, ready.plan, values, ready.estimate)
    answer, data = await _ask(door, asked.admitted, read)
    told = b'{"data":%b}' % (data or "null").encode()
    if asked.explain:
        explained = orjson.dumps(_explained(door, asked.admitted, ready.estimate, answer.home))
        told = b'%b,"extensions":%b}' % (told[:-1], explained)
    response = http.answer(asked.kind, told)
    response.headers = facts(door, asked.admitted.placement.id, answer, None)
    return response


async def _read(door: Door, request: Request, asked: _Asked, prepared: Prepared) -> Response:
    headers: list[Header] = []
    data: bytes | None = None
    home: str | None = None
    if prepared.plan is not None:
        read = _read_of(request, asked.admitted, prepared.plan, prepared.values, prepared.estimate)
        answer, text = await _ask(door, asked.admitted, read)
        headers, home = facts(door, asked.admitted.placement.id, answer, None), answer.home
        data = (text or "null").encode()
    if any(root.name in OUTSIDE for root in prepared.selection.roots):
        data = _merged(door, prepared, data)
    told = b'"data":%b' % (data if data is not None else b"{}")
    if asked.explain:
        explained = _explained(door, asked.admitted, prepared.estimate, home)
        told += b',"extensions":%b' % orjson.dumps(explained)
    response = http.answer(asked.kind, b"{%b}" % told)
    response.headers = headers
    return response


def _explained(door: Door, admitted: Admitted, found: Estimate, home: str | None) -> dict[str, Any]:
    """Tell what the operation may take, by what it is held to, and where it was answered."""
    limits = door.planner.limits
    return {
        "cost": {"estimated": found.cost, "limit": limits.cost_max},
        "objects": {"at_most": found.nodes, "limit": limits.nodes_max},
        "regions": {"answered_in": door.region, "home": home, "allowed": list(admitted.placement.regions)},
    }


def _read_of(request: Request, admitted: Admitted, plan: Plan, values: list[Any], estimate: Estimate) -> Read:
    return Read(
        _ENGINE.statement(plan), admitted.principal.tenant, admitted.placement.id, wanted_bookmark(request), values,
        estimate.cost, estimate.weight,
    )  # fmt: skip


async def _ask(door: Door, admitted: Admitted, read: Read) -> tuple[Readable, str | None]:
    """Ask the database; the second time only if the region could not answer the first time."""
    raw, data = await door.reads.ask(read)
    readable = door.reads.readable(raw)
    if readable.status == "ok":
        return readable, data
    answer = await _ask_on(door, admitted, read, (raw, data))
    return answer, answer.data


async def _ask_on(door: Door, admitted: Admitted, read: Read, first: Told) -> _Answer:
    """Go on behind a first answer that was not ``ok``; what may still come is waited for."""
    told: Told | None = first
    last: _Answer | None = None

    async def send() -> _Answer:
        nonlocal told, last
        (raw, data), told = told or await door.reads.ask(read), None
        last = answer = _ANSWER.decode(raw)
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

    asked = settled if read.statement.of_the_past else send
    try:
        return await ask_until_seen(door, admitted.placement, read.bookmark, asked)
    except PermanentError as error:
        if last is None or last.field is None:
            raise
        raise http.FieldRefused(last.field, error) from None


def _merged(door: Door, prepared: Prepared, data: bytes | None) -> bytes:
    """Put what the schema says of itself beside the data, in the order of the fields."""
    known: dict[str, Any] = introspect(door.planner.schema, prepared)
    # msgspec, because it keeps every digit of the whole numbers that may be stored.
    found: dict[str, Any] = {} if data is None else msgspec.json.decode(data)
    return msgspec.json.encode(
        {root.key: known.get(root.key, found.get(root.key)) for root in prepared.selection.roots}
    )

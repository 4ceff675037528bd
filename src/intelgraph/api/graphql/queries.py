"""Queries: one request, one statement. The database's JSON passes through unparsed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import orjson

from intelgraph.api.admission import Admitted
from intelgraph.api.database.query_batching import QueryBatcher, Read, Told
from intelgraph.api.database.readable import Readable
from intelgraph.api.graphql import http
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Header, Response
from intelgraph.api.read.parameters import wanted_bookmark
from intelgraph.api.read.reader import Reader
from intelgraph.graph.engines.postgres.statement import Statement
from intelgraph.graph.engines.protocol import Engine
from intelgraph.graph.query.cost import Estimate
from intelgraph.graph.query.introspection import introspect
from intelgraph.graph.query.plan import Plan
from intelgraph.graph.query.plan_builder import OUTSIDE
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.prepared import Prepared
from intelgraph.graph.query.prepared_plan import PreparedPlan
from intelgraph.model.errors import PermanentError

_SETTLING_S = 0.02


class _Answer(Readable, kw_only=True):
    """What a compiled statement answers: whether this region may answer, and the data."""

    data: str | None = None


_ANSWER = msgspec.json.Decoder(_Answer)


class Asked(NamedTuple):
    """A request that was let in: what it asks for, and the media type of its answer."""

    admitted: Admitted
    request: http.GraphQLRequest
    kind: bytes

    @property
    def explain(self) -> bool:
        """Whether the answer shall say what it cost."""
        return self.request.extensions.get("explain") is True


@dataclass(frozen=True, kw_only=True)
class Queries:
    """The queries of one worker."""

    planner: Planner
    engine: Engine[Statement]
    reads: QueryBatcher
    reader: Reader

    async def read_ready(self, request: Request, asked: Asked, ready: PreparedPlan, values: list[Any]) -> Response:
        """Answer a read that differs from an earlier one in its texts alone."""
        read = self._read_of(request, asked.admitted, ready.plan, values, ready.estimate)
        answer, data = await self._ask(asked.admitted, read)
        told = b'{"data":%b}' % (data or "null").encode()
        if asked.explain:
            explained = orjson.dumps(self._explained(asked.admitted, ready.estimate, answer.home))
            told = b'%b,"extensions":%b}' % (told[:-1], explained)
        response = http.answer(asked.kind, told)
        response.headers = self.reader.facts(asked.admitted.placement.id, answer, None)
        return response

    async def read(self, request: Request, asked: Asked, prepared: Prepared) -> Response:
        """Answer a read that was prepared for this request."""
        headers: list[Header] = []
        data: bytes | None = None
        home: str | None = None
        if prepared.plan is not None:
            read = self._read_of(request, asked.admitted, prepared.plan, prepared.values, prepared.estimate)
            answer, text = await self._ask(asked.admitted, read)
            headers, home = self.reader.facts(asked.admitted.placement.id, answer, None), answer.home
            data = (text or "null").encode()
        if any(root.name in OUTSIDE for root in prepared.selection.roots):
            data = self._merged(prepared, data)
        told = b'"data":%b' % (data if data is not None else b"{}")
        if asked.explain:
            explained = self._explained(asked.admitted, prepared.estimate, home)
            told += b',"extensions":%b' % orjson.dumps(explained)
        response = http.answer(asked.kind, b"{%b}" % told)
        response.headers = headers
        return response

    def _explained(self, admitted: Admitted, found: Estimate, home: str | None) -> dict[str, Any]:
        """Tell what the operation may take, by what it is held to, and where it was answered."""
        limits = self.planner.limits
        return {
            "cost": {"estimated": found.cost, "limit": limits.cost_max},
            "objects": {"at_most": found.nodes, "limit": limits.nodes_max},
            "regions": {"answered_in": self.reader.region, "home": home, "allowed": list(admitted.placement.regions)},
        }

    def _read_of(self, request: Request, admitted: Admitted, plan: Plan, values: list[Any], estimate: Estimate) -> Read:
        return Read(
            self.engine.statement(plan), admitted.principal.tenant, admitted.placement.id, wanted_bookmark(request),
            values, estimate.cost, estimate.weight,
        )  # fmt: skip

    async def _ask(self, admitted: Admitted, read: Read) -> tuple[Readable, str | None]:
        """Ask the database; the second time only if the region could not answer the first time."""
        raw, data = await self.reads.ask(read)
        readable = self.reads.readable(raw)
        if readable.status == "ok":
            return readable, data
        answer = await self._ask_on(admitted, read, (raw, data))
        return answer, answer.data

    async def _ask_on(self, admitted: Admitted, read: Read, first: Told) -> _Answer:
        """Go on behind a first answer that was not ``ok``; what may still come is waited for."""
        told: Told | None = first
        last: _Answer | None = None

        async def send() -> _Answer:
            nonlocal told, last
            (raw, data), told = told or await self.reads.ask(read), None
            last = answer = _ANSWER.decode(raw)
            answer.data = data
            return answer

        async def settled() -> _Answer:
            # A place in the log that was asked for may not be settled yet: the next look of the feed tells.
            ends = time.monotonic() + self.reader.bookmark_wait_s
            answer = await send()
            while answer.status == "unsettled" and time.monotonic() < ends:
                await asyncio.sleep(_SETTLING_S)
                answer = await send()
            return answer

        asked = settled if read.statement.of_the_past else send
        try:
            return await self.reader.ask_until_seen(admitted.placement, read.bookmark, asked)
        except PermanentError as error:
            if last is None or last.field is None:
                raise
            raise http.FieldRefused(last.field, error) from None

    def _merged(self, prepared: Prepared, data: bytes | None) -> bytes:
        """Put what the schema says of itself beside the data, in the order of the fields."""
        known: dict[str, Any] = introspect(self.planner.schema, prepared)
        # msgspec, because it keeps every digit of the whole numbers that may be stored.
        found: dict[str, Any] = {} if data is None else msgspec.json.decode(data)
        return msgspec.json.encode(
            {root.key: known.get(root.key, found.get(root.key)) for root in prepared.selection.roots}
        )

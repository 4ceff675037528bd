"""An import's way through the API: how batches are written, forms are read, and keys are asked about."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from intelgraph.client.api_client import ApiClient, Reply
from intelgraph.graph.imports.answer import Answer
from intelgraph.graph.imports.delivery import Form
from intelgraph.graph.objects import Kind, read_object
from intelgraph.model.errors import refuse

_AT_ONCE = (64, 8, 1)
"""How many objects one document asks for. Few sizes: the API keeps a plan for each."""
_TOO_MUCH = frozenset({"answer_too_large", "query_too_expensive", "document_too_large", "body_too_large"})
_IN_FORCE = ("remote", "home-only", "adopted")
_NODE = "id type properties confidence validFrom validUntil sources created updated revision"
_FIELDS: dict[Kind, str] = {"entity": f"{_NODE} name", "relationship": f"{_NODE} sourceId targetId"}
_OURS = {"validFrom": "valid_from", "validUntil": "valid_until", "sourceId": "source", "targetId": "target"}


def is_in_force(told: dict[str, Any]) -> bool:
    """Whether what ``/v1/outcomes`` told says that a write counts: that one of its rows is accepted or adopted.

    The word of the key alone does not say it: ``home-only`` is also what waits to be adopted, and may yet not be.
    """
    rows = told.get("outcomes", [])
    return told.get("outcome") in _IN_FORCE and any(row.get("class") in ("accepted", "adopted") for row in rows)


class ApiSender:
    """An import's way through the API."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def send(self, *, key: str, body: bytes) -> Answer:
        """Post one request of operations."""
        reply = await self._client.post("/v1/changes", body=body, key=key)
        if reply.status < 400:
            return Answer(status=reply.status, bookmark=reply.json().get("bookmark"))
        code, reason, facts = reply.problem()
        return Answer(status=reply.status, code=code, reason=reason, facts=facts)

    async def forms(self, kind: Kind, ids: list[str]) -> dict[str, Form]:
        """The tenant's objects with these ids, as far as it has them."""
        found: dict[str, Form] = {}
        left, at_once = list(ids), 0
        while left:
            some = left[: _AT_ONCE[at_once]]
            reply = await self._client.ask(_document(kind, _AT_ONCE[at_once]), _variables(some, _AT_ONCE[at_once]))
            answer = reply.json() if reply.status == 200 else None
            if answer is None or answer.get("errors"):
                if at_once + 1 == len(_AT_ONCE) or reply.problem()[0] not in _TOO_MUCH:
                    raise reply.error()
                at_once += 1  # they are large: fewer of them in one answer
                continue
            found |= _read_forms(kind, answer["data"])
            del left[: len(some)]
        return found

    async def has_entity(self, entity_id: str) -> bool:
        """Whether the tenant holds this entity."""
        return self._found(await self._client.get(f"/v1/entities/{quote(entity_id, safe='')}"))

    async def is_accepted(self, key: str) -> bool:
        """Whether a write with this key is in force."""
        reply = await self._client.get(f"/v1/outcomes/{quote(key, safe='')}")
        return self._found(reply) and is_in_force(reply.json())

    def _found(self, reply: Reply) -> bool:
        if reply.status not in (200, 404):
            raise reply.error()
        return reply.status == 200


def _document(kind: Kind, count: int) -> str:
    """A document that asks for ``count`` objects of a kind, by the ids ``i0``, ``i1``, ..."""
    variables = ",".join(f"$i{at}:ID!" for at in range(count))
    wanted = " ".join(f"o{at}:{kind}(id:$i{at}){{...F}}" for at in range(count))
    return f"query({variables}){{{wanted}}} fragment F on {kind.capitalize()}{{{_FIELDS[kind]}}}"


def _variables(ids: list[str], count: int) -> dict[str, str]:
    """As many variables as the document has: the last id fills them up."""
    return {f"i{at}": ids[min(at, len(ids) - 1)] for at in range(count)}


def _read_forms(kind: Kind, data: dict[str, Any]) -> dict[str, Form]:
    forms = {}
    for value in data.values():
        if value is None:
            continue
        revision = value.get("revision")
        if not isinstance(revision, int):
            raise refuse("bad_answer", "the API's answer has an object without a revision")
        ours = {_OURS.get(name, name): member for name, member in value.items()}
        form = Form(revision=revision, thing=read_object(kind, ours))
        forms[form.thing.id] = form
    return forms

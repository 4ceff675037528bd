"""Mutations: the fields of one operation become the operations of one append.

What a field answers is what its own operations made, each where its input stood, and a refusal names the field and the
argument that it is about. The payload's fields are taken from the outcome here: nothing is left to ask the database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from intelgraph.api.admission import Admitted
from intelgraph.api.graphql import http
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Response
from intelgraph.api.idempotency_key import idempotency_key
from intelgraph.api.write.acknowledgement import Acknowledged
from intelgraph.api.write.operations import Operations, check_operations
from intelgraph.api.write.write import Write
from intelgraph.api.write.writer import Writer
from intelgraph.graph.query.prepared import Prepared
from intelgraph.graph.query.selection import Args, Selected
from intelgraph.model.errors import PermanentError, refuse

Operation = dict[str, Any]
Made = Mapping[str, Any]
"""An object of an outcome: ``kind``, ``id``, ``revision``, and ``taken_by``, the operation that it went with."""


@dataclass(frozen=True)
class _Given:
    """One operation: the field that asks for it, its place among the field's, and what it is."""

    root: Selected
    index: int
    operation: Operation


class _Asked:
    """The operations of a mutation's fields, in their order."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self.roots = [root for root in prepared.selection.roots if root.name != "__typename"]
        self._given = [
            _Given(root, index, operation)
            for root in self.roots
            for index, operation in enumerate(OPERATIONS[root.name](prepared.arguments[root.number]))
        ]

    def operations(self, operations_max: int) -> Operations:
        """Validate them; refuses what cannot be written."""
        if not self._given:
            raise refuse("bad_request", "the mutation is refused: the lists of its fields are empty")
        return check_operations([one.operation for one in self._given], self.naming, operations_max=operations_max)

    def naming(self, number: int, path: str) -> str:
        """Name a place in an operation by the argument that it came from."""
        given = self._given[number]
        argument = _ARGUMENTS[given.root.name]
        if given.root.name == "erase":
            return path.removeprefix(".") or argument
        for inside in (".entity", ".relationship"):
            path = path.removeprefix(inside)
        first = _STEP.match(path)
        if first is not None:
            path = f".{_WRITTEN.get(first[1], first[1])}{path[first.end() :]}"
        return f"{argument}[{given.index}]{'' if argument == 'ids' else path}"

    def refused(self, error: PermanentError) -> dict[str, Any]:
        """Return a refusal as the error of the field whose operation it is; of none if it is of the whole request."""
        facts = dict(error.denied.facts)
        number = facts.get("index")
        members = http.of_denied(error)
        if error.denied.code == "revision_mismatch":
            members["message"] = _IF_REVISION.sub(r"; ifRevision says \1", members["message"])
        if isinstance(number, int) and number < len(self._given):
            given = self._given[number]
            facts["index"] = facts.pop("part", given.index)
            members["extensions"]["facts"] = facts
            members["path"] = [given.root.key]
        elif len(self.roots) == 1:
            members["path"] = [self.roots[0].key]
        return members

    def objects(self, root: Selected, made: list[Made]) -> list[Made]:
        """Return what a field's operations made: one object for each, in their order; then what they took along.

        What the log no longer has of an outcome was erased since.
        """
        found = {(one["kind"], one["id"]): one for one in made}
        kind = _KINDS[root.name]
        told: list[Made] = []
        numbers = set()
        for number, given in enumerate(self._given):
            if given.root is root:
                numbers.add(number)
                for id_ in _ids(given.operation):
                    erased = {"kind": "erased", "id": id_}
                    told.append(found.get((kind, id_)) or found.get(("erased", id_)) or erased)
        return told + [one for one in made if one.get("taken_by") in numbers]


@dataclass(frozen=True, kw_only=True)
class Mutations:
    """The mutations of one worker. ``operations_max``: how many operations one may have."""

    writer: Writer
    operations_max: int

    async def write(
        self, request: Request, admitted: Admitted, asked: http.GraphQLRequest, prepared: Prepared, kind: bytes
    ) -> Response:
        """Append what a mutation asks for; a refusal of one operation is the error of its field."""
        admitted.principal.check_may_write()
        key = idempotency_key(request)
        given = _Asked(prepared)
        if not given.roots:
            data = {root.key: "Mutation" for root in prepared.selection.roots}
            return http.answer(kind, orjson.dumps({"data": data}))
        if any(root.name == "erase" for root in given.roots):
            admitted.principal.check_may_erase()
        written = Write(
            request=request,
            admitted=admitted,
            key=key,
            body=asked.body,
            operations=lambda: given.operations(self.operations_max),
            naming=given.naming,
        )
        try:
            outcome = await self.writer.settle(written)
        except PermanentError as error:
            return _refused(kind, given, error)
        if isinstance(outcome, Response):
            return http.passed_on(kind, outcome)
        response = http.answer(kind, orjson.dumps({"data": _data(prepared, given, outcome)}))
        response.headers = [(b"ig-bookmark", outcome.bookmark.encode())]
        return response


def _refused(kind: bytes, given: _Asked, error: PermanentError) -> Response:
    response = http.answer(kind, orjson.dumps({"errors": [given.refused(error)], "data": None}))
    response.code = error.denied.code
    return response


def _data(prepared: Prepared, given: _Asked, outcome: Acknowledged) -> dict[str, Any]:
    made: list[Made] = msgspec.json.decode(outcome.objects)
    data: dict[str, Any] = {}
    for root in prepared.selection.roots:
        if root.name == "__typename":
            data[root.key] = "Mutation"
            continue
        payload = {
            "__typename": "Written",
            "status": outcome.status.upper(),
            "bookmark": outcome.bookmark,
            "objects": given.objects(root, made),
        }
        data[root.key] = {field.key: _part(field, payload) for field in root.only()}
    return data


def _ids(operation: Operation) -> list[str]:
    if operation["op"] == "erase":
        ids: list[str] = operation["ids"]
        return ids
    target = operation.get("entity") or operation.get("relationship") or operation
    return [target["id"]]


def _part(field: Selected, payload: Mapping[str, Any]) -> Any:
    value = payload.get(field.name)
    if field.name == "objects":
        return [
            {part.key: "WrittenObject" if part.name == "__typename" else made.get(part.name) for part in field.only()}
            for made in payload["objects"]
        ]
    return value


_GIVEN = {
    "validFrom": "valid_from",
    "validUntil": "valid_until",
}
_WRITTEN = {**{name: given for given, name in _GIVEN.items()}, "if_revision": "ifRevision"}
_IF_REVISION = re.compile(r"; if_revision says ([0-9]+)\Z")
_STEP = re.compile(r"\.([a-z_]+)")
_ARGUMENTS = {
    "upsertEntities": "entities",
    "relate": "relationships",
    "deleteEntities": "ids",
    "unrelate": "ids",
    "erase": "ids",
}
_KINDS = {
    "upsertEntities": "entity",
    "relate": "relationship",
    "deleteEntities": "entity",
    "unrelate": "relationship",
    "erase": "erased",
}


def _object(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object as operations name its fields; what is null is left out."""
    return {
        _GIVEN.get(name, name): value for name, value in given.items() if value is not None and name != "ifRevision"
    }


def _upsert(op: str, name: str, given: Mapping[str, Any]) -> Operation:
    operation: Operation = {"op": op, name: _object(given)}
    if given.get("ifRevision") is not None:
        operation["if_revision"] = given["ifRevision"]
    return operation


OPERATIONS: Mapping[str, Callable[[Args], list[Operation]]] = {
    "upsertEntities": lambda args: [_upsert("upsert_entity", "entity", given) for given in args["entities"]],
    "relate": lambda args: [_upsert("upsert_relationship", "relationship", given) for given in args["relationships"]],
    "deleteEntities": lambda args: [{"op": "delete_entity", "id": id_} for id_ in args["ids"]],
    "unrelate": lambda args: [{"op": "delete_relationship", "id": id_} for id_ in args["ids"]],
    "erase": lambda args: [{"op": "erase", "ids": args["ids"]}],
}

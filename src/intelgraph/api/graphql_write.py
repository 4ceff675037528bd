"""Mutations: the fields of one operation become the operations of one append.

What a field answers is what its own operations made; the payload's fields are taken from it here, because there is
nothing left to ask the database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import orjson

from intelgraph.api import graphql_http as http
from intelgraph.api.door import Admitted, Door
from intelgraph.api.operations import Operations, check_operations
from intelgraph.api.request import Request
from intelgraph.api.response import Response
from intelgraph.api.write import Acknowledged, Write, idempotency_key
from intelgraph.graph.query.planning import Prepared
from intelgraph.graph.query.selection import Args, Selected
from intelgraph.model.errors import IntelGraphError, PermanentError, refuse

Operation = dict[str, Any]


async def write(
    door: Door, request: Request, admitted: Admitted, asked: http.GraphQLRequest, prepared: Prepared, kind: bytes
) -> Response:
    """Append what a mutation asks for; a refusal of it is the error of its first field."""
    if not admitted.principal.may_write:
        raise refuse(
            "role_not_allowed",
            f"the write is refused: the token's role {admitted.principal.role.value} may read only",
            role=admitted.principal.role.value,
        )
    key = idempotency_key(request)
    roots = [root for root in prepared.selection.roots if root.name != "__typename"]
    if not roots:
        return http.answer(kind, orjson.dumps({"data": {root.key: "Mutation" for root in prepared.selection.roots}}))

    def operations() -> Operations:
        made = [op for root in roots for op in OPERATIONS[root.name](prepared.arguments[root.number])]
        return check_operations(made, operations_max=door.policy.operations_max)

    written = Write(door=door, request=request, admitted=admitted, key=key, body=asked.body, operations=operations)
    try:
        outcome = await written.settle()
    except PermanentError as error:
        return _refused(kind, roots, error)
    if isinstance(outcome, Response):
        return http.passed_on(kind, outcome)
    response = http.answer(kind, orjson.dumps({"data": _data(prepared, outcome)}))
    response.headers = [(b"ig-bookmark", outcome.bookmark.encode())]
    return response


def _refused(kind: bytes, roots: list[Selected], error: IntelGraphError) -> Response:
    members = {**http.of_denied(error), "path": [roots[0].key]}
    response = http.answer(kind, orjson.dumps({"errors": [members], "data": None}))
    response.code = error.denied.code
    return response


def _data(prepared: Prepared, outcome: Acknowledged) -> dict[str, Any]:
    objects: list[dict[str, Any]] = msgspec.json.decode(outcome.objects)
    data: dict[str, Any] = {}
    for root in prepared.selection.roots:
        if root.name == "__typename":
            data[root.key] = "Mutation"
            continue
        asked_for = _named(root, prepared.arguments[root.number])
        payload = {
            "__typename": "Written",
            "status": outcome.status.upper(),
            "bookmark": outcome.bookmark,
            "objects": [made for made in objects if asked_for(made)],
        }
        data[root.key] = {field.key: _part(field, payload) for field in root.only()}
    return data


def _named(root: Selected, args: Args) -> Callable[[Mapping[str, Any]], bool]:
    """Return whether an object belongs to a field: it was named there, or no field of the operation named it."""
    if root.name in ("upsertEntities", "relate"):
        (given,) = args.values()
        kind = "entity" if root.name == "upsertEntities" else "relationship"
        ids = {one["id"] for one in given}
        return lambda made: made["kind"] == kind and made["id"] in ids
    return lambda made: made["kind"] != "entity" or made["id"] in args["ids"]


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

"""GraphQL over HTTP: which request is meant, and which form and status its answer has.

Source: the GraphQL-over-HTTP specification (graphql.github.io/graphql-over-http). With ``application/json`` a request
that is well-formed answers 200 whatever became of it; with ``application/graphql-response+json`` the status tells.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import msgspec
import orjson
from graphql import GraphQLError

from intelgraph.api.graphql.media_types import RESPONSE
from intelgraph.api.http import problem
from intelgraph.api.http.accept import EVENTS
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Response
from intelgraph.model.content import read_float
from intelgraph.model.errors import IntelGraphError, TransientError, refuse
from intelgraph.model.form import not_json

_UTF_8 = b"; charset=utf-8"
_PARAMETERS = frozenset({"query", "operationName", "variables", "extensions"})
_REPEATED = frozenset({401, 408, 421, 500, 503})
"""Another token, another region or another time may help."""
_MESSAGE_CHARS_MAX = 1_000
"""Messages quote what was sent: a refusal must not be as large as its request."""


class GraphQLRequest(msgspec.Struct, kw_only=True):
    """What is asked for; ``query`` is empty when only the hash of a persisted document was given."""

    query: str
    operation_name: str | None = None
    variables: dict[str, Any] = {}
    extensions: dict[str, Any] = {}
    body: bytes = b""


class _Body(msgspec.Struct):
    """A POST's body as it nearly always is."""

    query: str
    operationName: str | None = None
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None


class _Problem(msgspec.Struct):
    """What is read of problem details."""

    code: str = ""
    reason: str = ""
    facts: dict[str, Any] = {}


_BODIES = msgspec.json.Decoder(_Body, float_hook=read_float)
_ANY = msgspec.json.Decoder(float_hook=read_float)


def understand(request: Request, body: bytes) -> GraphQLRequest:
    """Take a GET's parameters or a POST's body apart; refuses what is not a GraphQL request."""
    if request.method == "GET":
        # A parameter without a value is one that is not given.
        given: dict[str, Any] = {name: text for name, text in request.query(_PARAMETERS).items() if text}
        for name in ("variables", "extensions"):
            if name in given:
                given[name] = _json(given[name].encode(), f"the parameter {name}")
        return _checked(given, b"")
    try:
        given_body = _BODIES.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        # What is wrong with it is said in words of ours.
        return _checked(_json(body, "the body"), body)
    return GraphQLRequest(
        query=given_body.query,
        operation_name=given_body.operationName or None,
        variables=given_body.variables or {},
        extensions=given_body.extensions or {},
        body=body,
    )


def _json(text: bytes, what: str) -> Any:
    try:
        return _ANY.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise refuse("bad_json", f"the request is refused: {what} is not JSON: {not_json(error, text)}") from None


def _checked(given: Any, body: bytes) -> GraphQLRequest:
    if not isinstance(given, dict):
        raise _bad("the body must be a JSON object")
    query, name = given.get("query"), given.get("operationName")
    # Some clients send a text without characters for what they have not got.
    variables, extensions = (given.get(part) if given.get(part) != "" else None for part in ("variables", "extensions"))
    if not (name is None or isinstance(name, str)):
        raise _bad("operationName must be a text")
    if not (variables is None or isinstance(variables, dict)):
        raise _bad("variables must be an object")
    if not (extensions is None or isinstance(extensions, dict)):
        raise _bad("extensions must be an object")
    if not (isinstance(query, str) or (query is None and extensions and "persistedQuery" in extensions)):
        raise _bad("query must be a text")
    return GraphQLRequest(
        query=query or "",
        operation_name=name or None,
        variables=variables or {},
        extensions=extensions or {},
        body=body,
    )


def _bad(what: str) -> IntelGraphError:
    return refuse("bad_request", f"the request is refused: {what}")


def answer(kind: bytes, body: bytes, status: int = 200) -> Response:
    """Build an answer from its JSON."""
    if kind is EVENTS:
        return Response(status=status, body=in_events(body), content_type=EVENTS)
    return Response(status=status, body=body, content_type=kind + _UTF_8)


def in_events(body: bytes) -> bytes:
    """Write one answer as the events of a stream: it is the only one."""
    # JSON has line breaks between its tokens only; an event's data is one line.
    return b"event: next\ndata: %b\n\nevent: complete\ndata: \n\n" % b" ".join(body.splitlines())


def passed_on(kind: bytes, answered: Response) -> Response:
    """Give the answer of a mutation's home, which is JSON, the form that was asked for here."""
    body = answered.body
    if answered.content_type.startswith(problem.CONTENT_TYPE):
        with contextlib.suppress(msgspec.DecodeError):
            told = msgspec.json.decode(body, type=_Problem)
            extensions = {"code": told.code, "facts": told.facts}
            body = orjson.dumps({"errors": [{"message": told.reason, "extensions": extensions}]})
    return _formed(kind, answered, body)


def _formed(kind: bytes, response: Response, body: bytes) -> Response:
    """Put an answer into the form that was asked for.

    Events are begun with 200 where the request itself is wrong: at any other status their clients report a failure of
    the network, and repeat it.
    """
    given = answer(kind, body, response.status)
    response.body, response.content_type = given.body, given.content_type
    if kind is EVENTS:
        if response.status in _REPEATED:
            # Lines may end so, too. urql then reads no result, and repeats what it takes for a failure of the network.
            response.body = response.body.replace(b"\n", b"\r\n")
        elif response.status != 403:
            response.status = 200
    return response


def refused(kind: bytes, errors: Sequence[GraphQLError], code: str) -> Response:
    """Build the answer of a request that was not executed: without ``data``."""
    body = orjson.dumps({"errors": [formatted(error) for error in errors]}, default=str)
    response = answer(kind, body, 400 if kind == RESPONSE else 200)
    response.code = code
    return response


def formatted(error: GraphQLError) -> dict[str, Any]:
    """Return an error's members as the specification names them."""
    message = error.message
    if len(message) > _MESSAGE_CHARS_MAX:
        message = message[:_MESSAGE_CHARS_MAX] + " ..."
    members: dict[str, Any] = {"message": message}
    if error.locations:
        members["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
    if error.path:
        members["path"] = error.path
    if error.extensions:
        members["extensions"] = error.extensions
    return members


def failed(kind: bytes, error: IntelGraphError) -> Response:
    """Build the answer of a refusal of ours before anything was executed; status and headers as everywhere."""
    return _formed(kind, problem.of_error(error), orjson.dumps({"errors": [of_denied(error)]}))


class FieldRefused(Exception):
    """A refusal of one field, by its name in the answer, that was found while the operation was executed."""

    def __init__(self, field: str, error: IntelGraphError) -> None:
        super().__init__(error.denied.reason)
        self.field = field
        self.error = error


def field_refused(kind: bytes, refused: FieldRefused) -> Response:
    """Build the answer of an operation of which a field was refused: no data, and the field's error."""
    members = {**of_denied(refused.error), "path": [refused.field]}
    response = answer(kind, orjson.dumps({"errors": [members], "data": None}))
    response.code = refused.error.denied.code
    return response


def of_denied(error: IntelGraphError) -> dict[str, Any]:
    """Return one of our refusals as a GraphQL error."""
    extensions: dict[str, Any] = {"code": error.denied.code, "facts": dict(error.denied.facts)}
    if isinstance(error, TransientError):
        extensions["retry_after_s"] = error.retry_after_s
    return {"message": error.denied.reason, "extensions": extensions}

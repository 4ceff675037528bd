"""GraphQL over HTTP: which request is meant, and which media type and status its answer has.

Source: the GraphQL-over-HTTP specification (graphql.github.io/graphql-over-http). With ``application/json`` a request
that is well-formed answers 200 whatever became of it; with ``application/graphql-response+json`` the status tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson
from graphql import GraphQLError

from intelgraph.api import problem
from intelgraph.api.body import read_body
from intelgraph.api.request import Request
from intelgraph.api.response import Response
from intelgraph.model.errors import IntelGraphError, TransientError, refuse
from intelgraph.settings import ApiPolicy

RESPONSE, PLAIN = b"application/graphql-response+json", b"application/json"
_UTF_8 = b"; charset=utf-8"
_ACCEPTED = {
    b"*/*": PLAIN,
    b"application/*": PLAIN,
    RESPONSE: RESPONSE,
    PLAIN: PLAIN,
}
_MEDIA_TYPES = {b"*/*": PLAIN, PLAIN: PLAIN, RESPONSE: RESPONSE}
"""What most requests say they accept."""
_PARAMETERS = frozenset({"query", "operationName", "variables", "extensions"})
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


_BODIES = msgspec.json.Decoder(_Body)


def media_type(request: Request) -> bytes:
    """Return the media type of the answer; refuses with ``not_acceptable``."""
    accept = request.headers.get(b"accept", b"*/*")
    known = _MEDIA_TYPES.get(accept)
    return known if known is not None else _best(accept.lower())


def _best(accept: bytes) -> bytes:
    best: tuple[float, bytes] | None = None
    for part in accept.split(b","):
        name, *parameters = (piece.strip() for piece in part.split(b";"))
        quality = _quality(parameters)
        kind = _ACCEPTED.get(name)
        if kind is not None and quality > 0 and (best is None or quality > best[0]):
            best = (quality, kind)
    if best is None:
        raise refuse(
            "not_acceptable",
            f"the request is refused: answers are {RESPONSE.decode()} or {PLAIN.decode()}",
        )
    return best[1]


def _quality(parameters: Sequence[bytes]) -> float:
    for parameter in parameters:
        if parameter.startswith(b"q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


async def read_body_of(request: Request, policy: ApiPolicy) -> bytes:
    """Read a POST's body; nothing of a GET. Refuses what is not JSON by its own word, too large or too slow."""
    if request.method == "GET":
        return b""
    given = request.headers.get(b"content-type", b"")
    if given != PLAIN:
        _check_content_type(given)
    if request.query_string:
        request.query(frozenset())
    return await read_body(request, bytes_max=policy.body_bytes_max, timeout_s=policy.body_timeout_s)


def _check_content_type(given: bytes) -> None:
    kind, *parameters = given.lower().split(b";")
    charset = [p.strip() for p in parameters if p.strip().startswith(b"charset=")]
    if kind.strip() != PLAIN or any(p.strip(b'"') not in (b"charset=utf-8", b"charset=utf8") for p in charset):
        raise refuse(
            "unsupported_media_type",
            "the request is refused: a POST must have the content type application/json in UTF-8",
        )


def understand(request: Request, body: bytes) -> GraphQLRequest:
    """Take a GET's parameters or a POST's body apart; refuses what is not a GraphQL request."""
    if request.method == "GET":
        given: dict[str, Any] = dict(request.query(_PARAMETERS))
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
        operation_name=given_body.operationName,
        variables=given_body.variables or {},
        extensions=given_body.extensions or {},
        body=body,
    )


def _json(text: bytes, what: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise refuse("bad_json", f"the request is refused: {what} is not JSON: {str(error)[:200]}") from None


def _checked(given: Any, body: bytes) -> GraphQLRequest:
    if not isinstance(given, dict):
        raise _bad("the body must be a JSON object")
    query, name = given.get("query"), given.get("operationName")
    variables, extensions = given.get("variables"), given.get("extensions")
    if not (name is None or isinstance(name, str)):
        raise _bad("operationName must be a text")
    if not (variables is None or isinstance(variables, dict)):
        raise _bad("variables must be an object")
    if not (extensions is None or isinstance(extensions, dict)):
        raise _bad("extensions must be an object")
    if not (isinstance(query, str) or (query is None and extensions and "persistedQuery" in extensions)):
        raise _bad("query must be a text")
    return GraphQLRequest(
        query=query or "", operation_name=name, variables=variables or {}, extensions=extensions or {}, body=body
    )


def _bad(what: str) -> IntelGraphError:
    return refuse("bad_request", f"the request is refused: {what}")


def answer(kind: bytes, body: bytes, status: int = 200) -> Response:
    """Build an answer from its JSON."""
    return Response(status=status, body=body, content_type=kind + _UTF_8)


def refused(kind: bytes, errors: Sequence[GraphQLError], code: str) -> Response:
    """Build the answer of a request that was not executed: without ``data``."""
    body = orjson.dumps({"errors": [formatted(error) for error in errors]}, default=str)
    response = answer(kind, body, 200 if kind == PLAIN else 400)
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
    response = problem.of_error(error)
    response.body = orjson.dumps({"errors": [of_denied(error)]})
    response.content_type = kind + _UTF_8
    return response


def of_denied(error: IntelGraphError) -> dict[str, Any]:
    """Return one of our refusals as a GraphQL error."""
    extensions: dict[str, Any] = {"code": error.denied.code, "facts": dict(error.denied.facts)}
    if isinstance(error, TransientError):
        extensions["retry_after_s"] = error.retry_after_s
    return {"message": error.denied.reason, "extensions": extensions}

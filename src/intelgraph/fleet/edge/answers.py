"""What an edge answers by itself, as problem details like every other refusal: Envoy's settings for it.

Guarantees: what a client did wrong is said to it as that, in the words and with the status that a worker has for it
(``model.head_refusals``), and never as a region that cannot be reached; only what an edge answers because nobody was
there carries the header by which the global edge tells it from a region's answer. Pure.
"""

from __future__ import annotations

from typing import Any

from intelgraph.model.errors import Denied
from intelgraph.model.head_refusals import (
    BAD_HOST,
    HEAD_TOO_LARGE,
    MALFORMED,
    NO_SUCH_ROUTE,
    NO_UPGRADE,
    REQUEST_TOO_SLOW,
    TRANSFER_CODING,
)

Json = dict[str, Any]

_BAD_HOST = 499
"""Not seen by anybody: how the answers below know that route's own."""

_UNREACHED = Denied(code="region_unreached", reason="the region cannot be reached at the moment; try again")
_BUSY = Denied(code="overloaded", reason="the edge has no room for the request at the moment; try again")


def local_replies(unreached: str) -> Json:
    """Every status that Envoy makes up, with what it means; ``unreached`` is the header of "nobody was there"."""
    nobody = {"header": {"key": unreached, "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    later = {"header": {"key": "retry-after", "value": "1"}, "append_action": "ADD_IF_ABSENT"}
    return {
        "mappers": [
            _mapper(_exactly(403), NO_UPGRADE, 400),
            _mapper(_exactly(404), NO_SUCH_ROUTE, 404),
            _mapper(_exactly(_BAD_HOST), BAD_HOST, 400),
            _mapper(_exactly(408), REQUEST_TOO_SLOW, 408),
            _mapper(_exactly(431), HEAD_TOO_LARGE, 431),
            _mapper(_exactly(501), TRANSFER_CODING, 400),
            {**_mapper(_flags("OM", "UO"), _BUSY, 503, retry_after_s=1), "headers_to_add": [later]},
            {
                **_mapper(_status(at_least(500, "answers_from")), _UNREACHED, None, retry_after_s=1),
                "headers_to_add": [nobody, later],
            },
        ],
        "body_format": _body(MALFORMED, None),
    }


def bad_host() -> Json:
    """The first route: a request with two Host headers, which Envoy joins by a comma."""
    comma = {"name": ":authority", "string_match": {"contains": ","}}
    return {"match": {"prefix": "/", "headers": [comma]}, "direct_response": {"status": _BAD_HOST}}


def no_such_route() -> Json:
    """The last route: there is nothing for clients at this path."""
    return {"match": {"prefix": "/"}, "direct_response": {"status": 404}}


def at_least(status: int, key: str) -> Json:
    """A comparison with a status code, for mappers and logs."""
    return {"op": "GE", "value": {"default_value": status, "runtime_key": f"intelgraph.{key}"}}


def _exactly(status: int) -> Json:
    return _status({"op": "EQ", "value": {"default_value": status, "runtime_key": f"intelgraph.answers_{status}"}})


def _status(comparison: Json) -> Json:
    return {"status_code_filter": {"comparison": comparison}}


def _flags(*flags: str) -> Json:
    """Envoy's own signs: ``OM`` the overload manager, ``UO`` no connection left to the workers."""
    return {"response_flag_filter": {"flags": list(flags)}}


def _mapper(filter_: Json, denied: Denied, status: int | None, *, retry_after_s: int | None = None) -> Json:
    mapper = {"filter": filter_, "body_format_override": _body(denied, status, retry_after_s)}
    return mapper if status is None else {**mapper, "status_code": status}


def _body(denied: Denied, status: int | None, retry_after_s: int | None = None) -> Json:
    members = {
        "type": f"urn:intelgraph:error:{denied.code}",
        "title": denied.code.replace("_", " "),
        "status": "%RESPONSE_CODE%" if status is None else status,
        "detail": denied.reason,
        "code": denied.code,
        "reason": denied.reason,
        "facts": dict(denied.facts),
        "retry_after_s": retry_after_s,
    }
    return {"json_format": members, "content_type": "application/problem+json"}

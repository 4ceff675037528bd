"""How a refusal leaves the API: RFC 9457 problem details, and the one table of which code has which status.

Every answer that is not a success goes through here, so that a code has one status, one shape and the sentence of the
``Denied`` value it came from. A code that this table does not know is a bug of ours and answers 500.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import orjson

from intelgraph.api.http.response import Header, Response
from intelgraph.model.errors import Denied, IntelGraphError, TransientError

STATUSES: Mapping[int, tuple[str, ...]] = {
    400: (
        "bad_json",
        "bad_request",
        "bad_operation",
        "bad_bookmark",
        "bad_argument",
        "bad_variables",
        "bad_document",
        "document_too_large",
        "query_too_expensive",
        "introspection_off",
        "past_too_far",
        "answer_too_large",
        "key_required",
        "bad_name",
        "no_upgrade",
        "unsupported_transfer_coding",
    ),
    401: ("no_token", "bad_token", "token_expired"),
    403: ("unknown_tenant", "role_not_allowed", "origin_not_allowed"),
    404: ("not_found", "no_such_route"),
    405: ("method_not_allowed",),
    406: ("not_acceptable",),
    408: ("body_timeout",),
    409: (
        "dangling",
        "type_changed",
        "endpoints_changed",
        "revision_mismatch",
        "key_reused",
        "erased",
        "superseded",
    ),
    410: ("past_not_kept",),
    413: ("body_too_large", "too_many_operations", "too_many_relationships", "write_too_large"),
    415: ("unsupported_media_type",),
    421: ("region_not_allowed",),
    431: ("head_too_large",),
    503: (
        "too_far_behind",
        "fenced",
        "closing",
        "lease_over",
        "not_granted",
        "held_full",
        "standby_lost",
        "rpo_at_risk",
        "held",
        "gap",
        "home_unreachable",
        "maybe_written",
        "removal_goes_on",
        "database_unavailable",
        "overloaded",
        "stopping",
        "read_timed_out",
        "write_timed_out",
        "directory_unreadable",
        "keys_unavailable",
    ),
}
STATUS_OF = {code: status for status, codes in STATUSES.items() for code in codes}
CONTENT_TYPE = b"application/problem+json"
INTERNAL = Denied(code="internal", reason="the request failed here for a reason that is ours; the log has it")
RETRY_AFTER_S = 1.0
_CLOSES = frozenset({408, 413, 421})


def status_of(denied: Denied) -> int:
    """Return the HTTP status of a refusal."""
    return STATUS_OF.get(denied.code, 500)


def of_error(error: IntelGraphError) -> Response:
    """Build the answer of an error of ours."""
    retry_after_s = error.retry_after_s if isinstance(error, TransientError) else None
    return of_denied(error.denied, retry_after_s=retry_after_s)


def of_denied(denied: Denied, *, retry_after_s: float | None = None) -> Response:
    """Build the answer of a refusal; every 503 says when to come back."""
    status = status_of(denied)
    if status == 503 and retry_after_s is None:
        retry_after_s = RETRY_AFTER_S
    headers: list[Header] = []
    if retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(retry_after_s))).encode()))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status in _CLOSES:
        # The body may be unread: whoever keeps sending it finds the connection closed.
        headers.append((b"connection", b"close"))
    return Response(
        status=status,
        body=orjson.dumps(details(denied, status, retry_after_s)),
        headers=headers,
        content_type=CONTENT_TYPE,
        code=denied.code,
    )


def details(denied: Denied, status: int, retry_after_s: float | None) -> dict[str, object]:
    """Build the problem's members."""
    return {
        "type": f"urn:intelgraph:error:{denied.code}",
        "title": denied.code.replace("_", " "),
        "status": status,
        "detail": denied.reason,
        "code": denied.code,
        "reason": denied.reason,
        "facts": dict(denied.facts),
        "retry_after_s": retry_after_s,
    }

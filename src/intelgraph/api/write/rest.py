"""``POST /v1/changes``: one request, one transaction, one answer.

The order is the promise: who and where first (``Admission``), then the key, then the body, and only at the home the
append. "ok" is said after the commit, after the standby has flushed it where the placement asks for that, and after
the lease was looked at again; otherwise the answer is ``unknown`` with the bookmark.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from intelgraph.api.admission import Admission
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Response
from intelgraph.api.idempotency_key import idempotency_key
from intelgraph.api.limits.bodies import Bodies
from intelgraph.api.write.acknowledgement import Acknowledged
from intelgraph.api.write.operations import Operations, read_operations
from intelgraph.api.write.write import Write
from intelgraph.api.write.writer import Writer


class _Written(msgspec.Struct, kw_only=True):
    status: str
    bookmark: str
    durability: str
    objects: msgspec.Raw


@dataclass(frozen=True, kw_only=True)
class RestWrites:
    """The handler of the REST writes. ``operations_max``: how many operations one request may have."""

    admission: Admission
    bodies: Bodies
    writer: Writer
    operations_max: int

    async def changes(self, request: Request) -> Response:
        """Take a write: append it here, or hand it to its home."""
        admitted = await self.admission.admit(request, writes=True)
        key = idempotency_key(request)
        body = await self.bodies.read_json(request, admitted.principal.tenant)

        def operations() -> Operations:
            read = read_operations(body, operations_max=self.operations_max)
            if read.erases:
                admitted.principal.check_may_erase()
            return read

        write = Write(request=request, admitted=admitted, key=key, body=body, operations=operations)
        outcome = await self.writer.settle(write)
        return outcome if isinstance(outcome, Response) else _answer(outcome)


def _answer(outcome: Acknowledged) -> Response:
    written = _Written(
        status=outcome.status, bookmark=outcome.bookmark, durability=outcome.durability, objects=outcome.objects
    )
    return Response(
        status=202 if outcome.status == "unknown" else 200,
        body=msgspec.json.encode(written),
        headers=[(b"ig-bookmark", outcome.bookmark.encode())],
    )

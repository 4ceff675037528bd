"""What is certain of a write that was tried more than once.

A write is refused for certain only if every attempt is known to have changed nothing. One that was handed to a home
and got no answer may be in that home's log; if the home is lost then, its row waits there to be adopted, and what the
next home says of the same write (another revision, a missing endpoint) is true there alone. Then the answer is
``maybe_written``: a repeat of the key is judged anew, and ``GET /v1/outcomes/{key}`` tells what became of it.
"""

from __future__ import annotations

import re

from intelgraph.model.errors import Denied, TransientError

UNANSWERED = b"ig-unanswered"
"""On a hop: the region that was handed the same write before and gave no answer."""
_REGION = re.compile(rb"[a-z0-9-]{1,63}", re.ASCII)
_SOMEWHERE = "another region"
_MAY_HAVE_WRITTEN = frozenset({"home_unreachable", "database_unavailable", "write_timed_out"})


def may_have_written(error: TransientError) -> bool:
    """Say whether an attempt that ended so may have written nevertheless."""
    return error.denied.code in _MAY_HAVE_WRITTEN and error.denied.facts.get("sent") is not False


def unanswered_before(headers: dict[bytes, bytes], *, hopped: bool) -> str | None:
    """Return the region that gave an earlier attempt no answer, as the API that hands a write over says it."""
    given = headers.get(UNANSWERED) if hopped else None
    if given is None:
        return None
    return given.decode("ascii") if _REGION.fullmatch(given) else _SOMEWHERE


def maybe_written(refusal: Denied, region: str) -> TransientError:
    """Build the answer of a write that is refused now, and that ``region`` may have written before."""
    denied = Denied(
        code="maybe_written",
        reason=f"the write is refused now ({refusal.code}: {refusal.reason}), but an earlier attempt of this request "
        f"was handed to {region}, which gave no answer and may have written it: repeat it with the same "
        "Idempotency-Key, or ask /v1/outcomes what became of it",
        facts={"refused": refusal.code, "unanswered": region},
    )
    return TransientError(denied, retry_after_s=1.0)

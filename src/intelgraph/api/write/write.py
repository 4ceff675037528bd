"""One write on its way from its request to its answer: what it asks for, and what is known of earlier attempts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from intelgraph.api.admission import Admitted
from intelgraph.api.http.request import Request
from intelgraph.api.write.attempts import unanswered_before
from intelgraph.api.write.operations import Naming, Operations, in_changes


@dataclass(kw_only=True)
class Write:
    """One write: where it has to go may change while it is held.

    ``body`` is what a hop to the home carries; ``operations`` makes what is appended, and what a repeat of ``key`` is
    compared with, once, and only at the home.
    """

    request: Request
    admitted: Admitted
    key: str
    body: bytes
    operations: Callable[[], Operations]
    naming: Naming = in_changes
    """How the client knows an operation that the database refuses."""
    made: Operations | None = None
    """What ``operations`` has made."""
    unanswered: str | None = field(init=False)
    """The region that was handed this write before and gave no answer."""

    def __post_init__(self) -> None:
        self.unanswered = unanswered_before(self.request.headers, hopped=self.request.hopped)

    @property
    def tenant(self) -> str:
        """Whose write it is."""
        return self.admitted.principal.tenant

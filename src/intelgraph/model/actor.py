"""Who asks for a change, by which way, and why: the value that every record of an operator's doing holds.

It says who, and allows nothing: whether that subject may do what it asks for is decided before, where it comes in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from intelgraph.model.errors import refuse

SUBJECT_MAX, REASON_MAX = 256, 1_000


class Channel(Enum):
    """The way by which a request came in."""

    CLI = "cli"
    HTTP = "http"
    AGENT = "agent"
    SCHEDULE = "schedule"
    DRILL = "drill"


@dataclass(frozen=True, kw_only=True)
class Actor:
    """``subject``: a person's or a program's name; ``reason``: what was given as one, or nothing.

    Refuses with ``bad_actor`` a subject or a reason that no record can hold.
    """

    subject: str
    channel: Channel
    reason: str = ""

    def __post_init__(self) -> None:
        if not self.subject.strip() or len(self.subject) > SUBJECT_MAX:
            limit = f"it has 1 to {SUBJECT_MAX} characters"
            raise refuse("bad_actor", f"the operation is refused: its subject has {len(self.subject)}; {limit}")
        if len(self.reason) > REASON_MAX:
            limit = f"it has {REASON_MAX:,} characters at most"
            raise refuse("bad_actor", f"the operation is refused: its reason has {len(self.reason):,}; {limit}")
        for what, text in (("subject", self.subject), ("reason", self.reason)):
            if "\0" in text or not _is_unicode(text):
                raise refuse("bad_actor", f"the operation is refused: its {what} is no text: write it in UTF-8")


def _is_unicode(text: str) -> bool:
    """Whether it is text: bytes of an argument that are no UTF-8 come as halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

"""What one worker's HTTP server chooses: every number with its unit and its reason. How it works is not said here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpPolicy:
    """The bounds and times of one worker's connections."""

    connections_max: int = 4_096
    """Beyond, a connection is refused: what one may keep in memory is bounded, and so is what all may."""
    pipelined_max: int = 16
    """Requests that wait behind one that is answered; with more of them no more is read."""
    buffered_bytes_max: int = 65_536
    """Of a body that no handler takes: with more the connection stops reading."""
    one_write_bytes_max: int = 65_536
    """A body up to this size leaves in one piece with its head; to copy a larger one costs more than a second write."""
    idle_s: float = 30.0
    """Between two answers: whoever asks seldom makes a new connection, and keeps none from others."""
    stalled_s: float = 30.0
    """A client that takes nothing for so long has gone, or its machine has; the kernel would wait 15 minutes."""
    unwanted_bytes_max: int = 1_048_576
    """Of a body that nobody wanted: so much is read and thrown away before the connection ends."""
    linger_s: float = 2.0
    """Nothing has come for so long behind the last answer: its client has had the time to read it."""
    linger_s_max: float = 10.0
    """A client that goes on sending for so long does not read its answer."""
    backlog: int = 1_024
    """Connections that wait to be accepted: a burst of clients that come from a lost region."""
    predecessor_s: float = 5.0
    """How long workers of a server that was killed may take to let go of the port."""
    answered_within_s: float = 2.5
    """What a worker that stops has for its last answers; less than the lifeline's grace, after which it ends itself."""
    kill_after_s: float = 5.0
    """A worker that was told to stop is killed then."""

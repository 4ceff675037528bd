"""The lag governor: may a ``home`` write be taken, given how old the oldest write is that the standby lacks?

Losing the home loses what the standby lacks, so this is what bounds the RPO. It throttles from a share of the bound
on, so that a slow link settles at the rate it can carry, and refuses before the bound. A measurement ages: its own
age is added, and one that is too old, or was never made, refuses. Measuring does not belong here, nor waiting.
"""

from __future__ import annotations

from dataclasses import dataclass

from intelgraph.model.errors import Denied
from intelgraph.placement.policy import GovernorPolicy


@dataclass(frozen=True, kw_only=True)
class Admit:
    """Take the write after ``delay_s``."""

    delay_s: float


@dataclass(frozen=True, kw_only=True)
class AtRisk:
    """Do not take it; asking again after ``retry_after_s`` may go through."""

    denied: Denied
    retry_after_s: float


def admit(oldest_s: float | None, *, measured_s_ago: float, rpo_s_max: float, policy: GovernorPolicy) -> Admit | AtRisk:
    """Decide about one write of a placement that has a standby.

    ``oldest_s``: age of the oldest write that the standby lacked when it was measured, 0 if it lacked none, ``None``
    if that could not be told.
    """
    if oldest_s is None or measured_s_ago > max(policy.unknown_s_max, 0.0):
        return _refused("how far the standby is behind is not known", None, rpo_s_max)
    age_s = max(oldest_s, 0.0) + max(measured_s_ago, 0.0)
    throttled_s, refused_s = policy.throttle_from * rpo_s_max, policy.refuse_from * rpo_s_max
    delay_s = max(0.0, age_s - throttled_s) / (refused_s - throttled_s) * policy.delay_s_max
    # What the standby lacks grows older while the write is delayed.
    if age_s + delay_s >= refused_s:
        return _refused(f"the standby lacks writes that are {age_s:.1f} s old", age_s, rpo_s_max)
    return Admit(delay_s=delay_s)


def _refused(fact: str, age_s: float | None, rpo_s_max: float) -> AtRisk:
    denied = Denied(
        code="rpo_at_risk",
        reason=f"the write is refused: {fact}; they may become {rpo_s_max:g} s old before the placement is at risk"
        if age_s is not None
        else f"the write is refused: {fact}; the bound is {rpo_s_max:g} s",
        facts={"rpo_s_max": rpo_s_max} | ({} if age_s is None else {"oldest_s": round(age_s, 3)}),
    )
    return AtRisk(denied=denied, retry_after_s=1.0)

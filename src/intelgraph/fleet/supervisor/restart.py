"""When a part that died is started again: at once the first time, then later and later, and at once again once stable.

Pure: the chance that spreads simultaneous restarts is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """How restarts back off. A single death of a stable part must cost a tenth of a second, not the service."""

    first_s: float = 0.05
    factor: float = 2.0
    most_s: float = 5.0
    jitter: float = 0.2  # the delay is spread evenly over 1 - jitter to 1 + jitter of itself
    stable_s: float = 10.0  # a part that ran this long has no history of failing


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """What to do about a death: how long to wait, and how many deaths in a row there have been."""

    delay_s: float
    streak: int


def after_death(policy: RestartPolicy, *, streak: int, uptime_s: float, chance: float) -> Backoff:
    """Decide the wait after a part with ``streak`` quick deaths before ran ``uptime_s``; ``chance`` is in [0, 1)."""
    if not 0.0 <= chance < 1.0:
        raise ValueError(f"chance must be in [0, 1), not {chance}")
    deaths = 1 if uptime_s >= policy.stable_s else streak + 1
    # The exponent is bounded: a part may fail for weeks.
    delay_s = min(policy.most_s, policy.first_s * policy.factor ** min(deaths - 1, 60))
    return Backoff(delay_s=delay_s * (1.0 - policy.jitter + 2.0 * policy.jitter * chance), streak=deaths)

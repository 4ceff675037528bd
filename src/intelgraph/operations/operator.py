"""Who is at work on which fleet: what every operation takes, and the steps that it reports meanwhile.

A step is for whoever waits; the result says everything again. Whoever wants none gives no callback.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from intelgraph.model.actor import Actor
from intelgraph.operations.site import Site


class StepKind(Enum):
    """What a step tells of."""

    DECIDED = "decided"  # what is to become of something; nothing of it is done yet
    BEGUN = "begun"  # an action begins, or the last one is done


@dataclass(frozen=True, kw_only=True)
class Step:
    """``about``: the placement or region; ``text``: one clause for people."""

    kind: StepKind
    about: str
    text: str


OnStep = Callable[[Step], None]


def no_step(_step: Step) -> None:
    """For whoever wants to hear of no step."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """``actor`` at work on the fleet of ``site``; ``on_step`` is called in between and must not wait."""

    site: Site
    actor: Actor
    on_step: OnStep = no_step

    @property
    def state(self) -> Path:
        """The fleet's state directory, where what is done is recorded."""
        return self.site.state

    def because(self, reason: str) -> Operator:
        """The same with a reason."""
        return replace(self, actor=replace(self.actor, reason=reason))

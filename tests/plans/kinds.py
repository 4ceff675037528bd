"""One plan of every kind that there is, at its beginning. What holds for all plans is tested with each of these."""

from __future__ import annotations

from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.plan import Kind, Plan
from intelgraph.plans.plan import RecordedPlan

from .survey import Survey, SurveyKind

US, EU = "us-east", "eu-west"
BEFORE = Placement(id="both", home=US, standby=EU, regions=(US, EU), epoch=1, durability=Durability.REMOTE)
AFTER = Placement(id="both", home=EU, standby=US, regions=(US, EU), epoch=2, durability=Durability.REMOTE)

KINDS: tuple[RecordedPlan, ...] = (
    *(Plan(id=f"both/2/{kind.value}", kind=kind, before=BEFORE, after=AFTER) for kind in Kind),
    *(Survey(id=f"survey/{kind.value}", kind=kind, about="both", home=US, standby=EU) for kind in SurveyKind),
)

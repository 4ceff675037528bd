"""A region serves a tenant only if the tenant's placement lists it."""

from __future__ import annotations

from intelgraph.model.placement import Durability, Placement
from intelgraph.residency.decision import decide

EUROPE = Placement(
    id="eu", home="eu-west", standby=None, regions=("eu-west", "eu-central"), epoch=3, durability=Durability.HOME
)


def test_every_region_of_the_placement_may_serve_its_tenants() -> None:
    assert decide(region="eu-west", placement=EUROPE) is None
    assert decide(region="eu-central", placement=EUROPE) is None


def test_another_region_is_denied_with_where_to_go_instead() -> None:
    denied = decide(region="us-east", placement=EUROPE)
    assert denied is not None
    assert denied.code == "region_not_allowed"
    assert denied.facts["regions"] == ["eu-west", "eu-central"]
    assert "us-east" in denied.reason and "eu-west, eu-central" in denied.reason


def test_a_prefix_of_an_allowed_region_is_not_that_region() -> None:
    assert decide(region="eu", placement=EUROPE) is not None
    assert decide(region="", placement=EUROPE) is not None

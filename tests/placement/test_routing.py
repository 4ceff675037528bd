"""A write is appended at home, forwarded once from elsewhere, and never twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.routing import ForwardTo, Hold, WriteHere, route_write

REGIONS = ("us-east", "us-west", "eu-west")


def placement(home: str) -> Placement:
    return Placement(id="p", home=home, standby=None, regions=REGIONS, epoch=7, durability=Durability.HOME)


def test_the_home_writes_in_the_epoch_of_the_directory() -> None:
    assert route_write(region="us-east", placement=placement("us-east"), hopped=False) == WriteHere(epoch=7)


def test_another_region_forwards_to_the_home() -> None:
    assert route_write(region="eu-west", placement=placement("us-east"), hopped=False) == ForwardTo(home="us-east")


def test_a_write_that_has_hopped_and_misses_the_home_is_held_with_the_reason() -> None:
    decision = route_write(region="eu-west", placement=placement("us-east"), hopped=True)
    assert isinstance(decision, Hold)
    assert decision.denied.code == "fenced"
    assert decision.denied.facts == {"region": "eu-west", "home": "us-east", "epoch": 7}


@given(st.dictionaries(st.sampled_from(REGIONS), st.sampled_from(REGIONS), min_size=3), st.sampled_from(REGIONS))
def test_whatever_regions_believe_a_write_travels_one_hop_at_most(believed: dict[str, str], entry: str) -> None:
    region, hops = entry, 0
    while True:
        decision = route_write(region=region, placement=placement(believed[region]), hopped=hops > 0)
        if not isinstance(decision, ForwardTo):
            break
        region, hops = decision.home, hops + 1
    assert hops <= 1

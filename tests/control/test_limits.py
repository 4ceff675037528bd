"""What an API worker lacks becomes a finding of its region: what is used up is told, unread keys count."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from intelgraph.control.findings import NOTICES, about
from intelgraph.control.limits import Limits
from intelgraph.placement.policy import Policy
from intelgraph.placement.write_path import UNPROBED


def limits(**lacking: str) -> Limits:
    agent = SimpleNamespace(here="us-east", watching=SimpleNamespace(leases={}))
    observing = SimpleNamespace(known=SimpleNamespace(placements={}))
    prober = SimpleNamespace(path=UNPROBED, limits=lacking)
    return Limits(agent, observing, Policy(), {}, prober, dict)


@pytest.mark.parametrize(
    ("name", "code", "counts"),
    [("keys", "keys_limited", True), ("streams", "used_up", False), ("any", "used_up", False)],
)
def test_what_a_worker_lacks_is_found_in_its_region(name: str, code: str, counts: bool) -> None:
    [found] = limits(**{name: "the limit is 500"}).findings()
    assert (found.code, about(found)) == (code, "us-east")
    assert found.reason == "in us-east: the limit is 500"
    assert (found.code not in NOTICES) is counts


def test_who_lacks_nothing_has_no_finding() -> None:
    assert limits().findings() == []

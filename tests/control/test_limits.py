"""What a region serves less well than it should: told to its doors, found for its report, and no more."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from intelgraph.control.agent.leases.grants import Bound
from intelgraph.control.agent.observer.findings import NOTICES, about
from intelgraph.control.agent.observer.limits import Limits
from intelgraph.model.errors import Denied
from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.policy import Policy
from intelgraph.placement.write_path import UNPROBED, WritePath
from tests.placement.views import EU, US, lease, placement

LOST = Denied(code="standby_lost", reason="its standby is lost")
BROKEN = WritePath(is_known=True, is_broken=True, why=Denied(code="write_path", reason="writes fail in us-east: so"))


@dataclass(kw_only=True)
class Known:
    """What the agent of us-east knows; everybody is well."""

    placements: tuple[Placement, ...] = ()
    stands: dict[str, Denied] = field(default_factory=dict)
    path: WritePath = UNPROBED
    lacking: dict[str, str] = field(default_factory=dict)
    unreached_s: dict[str, float] = field(default_factory=dict)
    unconfirmed_s: float = 0.0
    stalled_s: float = 0.0
    granted_until_s: float = 100.0
    now_s: float = 0.0

    def limits(self) -> Limits:
        here = [each.id for each in self.placements if each.home == US]
        agent: Any = SimpleNamespace(
            here=US,
            watching=SimpleNamespace(leases={US: lease(), EU: lease()}),
            grant=SimpleNamespace(epochs=dict.fromkeys(here, 1), until_s=self.granted_until_s),
            clock=lambda: self.now_s,
        )
        observing: Any = SimpleNamespace(
            known=SimpleNamespace(placements={each.id: SimpleNamespace(placement=each) for each in self.placements}),
            unconfirmed_s=lambda standby: self.unconfirmed_s,
            stalled_s=lambda home, standby: self.stalled_s,
        )
        prober: Any = SimpleNamespace(path=self.path, limits=self.lacking)
        return Limits(agent, observing, Policy(), self.stands, prober, lambda: self.unreached_s)


def limits(**lacking: str) -> Limits:
    return Known(lacking=lacking).limits()


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


def away(**other: Any) -> Known:
    """One placement is written here, and the home of one more does not answer."""
    at_home, elsewhere = placement(), placement(id="q", home=EU, standby=US)
    return Known(placements=(at_home, elsewhere), unreached_s={EU: 60.0}, **other)


def test_that_writes_fail_here_is_said_once_and_by_its_own_name() -> None:
    assert away(path=BROKEN).limits().told([], []) == {"writes": "writes fail in us-east: so"}
    beyond = away(now_s=100.0).limits().told([], [])
    assert set(beyond) == {"homes"}
    assert "cannot be handed on to eu-west" in beyond["homes"]


def test_what_is_written_here_counts_until_the_lease_ends() -> None:
    assert away(now_s=99.9).limits().passed_over() is None
    assert away(now_s=100.0).limits().passed_over() is not None


@pytest.mark.parametrize(
    ("durability", "refused"), [(Durability.REMOTE, LOST), (Durability.HOME, None)], ids=["remote", "home"]
)
def test_a_lost_standby_refuses_remote_writes_only(durability: Durability, refused: Denied | None) -> None:
    known = Known(placements=(placement(durability=durability),), stands={"p": LOST})
    assert known.limits().refusals() == ({"p": refused} if refused else {})
    code, reason = ("standby_lost", "the write is refused: its standby is lost") if refused else ("", "")
    rpo_s_max = known.placements[0].wanted.rpo_s_max
    bound = Bound(rpo_s_max=rpo_s_max, oldest_s=0.0, refused_code=code, refused_reason=reason)
    assert known.limits().bounds() == {"p": bound}


def test_remote_writes_wait_is_said_from_three_silent_seconds_on() -> None:
    """Long before the standby is lost, so that there is a reason to read while clients wait."""
    assert Known(placements=(placement(),), stalled_s=2.9).limits().refusals() == {}
    said = Known(placements=(placement(),), stalled_s=3.0).limits().refusals()
    assert said["p"].code == "standby_silent"
    assert said["p"].reason == "writes of p wait: its standby eu-west has confirmed nothing for 3 s"


def test_a_placement_without_a_standby_is_bounded_by_none() -> None:
    alone = Known(placements=(placement(standby=None, regions=(US,), durability=Durability.HOME),), unconfirmed_s=60.0)
    assert alone.limits().bounds() == {}
    assert alone.limits().refusals() == {}

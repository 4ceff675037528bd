"""When clients should go to another region: writes fail here, or cannot be handed on to a home that is alive."""

from __future__ import annotations

from intelgraph.model.errors import Denied
from intelgraph.placement.steering import UNREACHED_S, home_unreached, passed_over, unreached_homes
from intelgraph.placement.write_path import WritePath

from .views import EU, POLICY, US, WEST, lease, placement

HERE = US
AWAY = [placement(id="a", home=EU, standby=US), placement(id="b", home=EU, standby=US)]
ALIVE = {US: lease(0.3), EU: lease(0.3)}
SILENT = {EU: UNREACHED_S}


def unreached(**other: object) -> dict[str, int]:
    facts: dict[str, object] = {"leases": ALIVE, "unreached_s": SILENT}
    return unreached_homes(HERE, AWAY, policy=POLICY, **(facts | other))  # type: ignore[arg-type]


def test_a_home_that_is_alive_and_does_not_answer_here_is_counted_with_its_placements() -> None:
    assert unreached() == {EU: 2}
    assert unreached(leases={EU: lease(POLICY.lease.lease_s / 2 - 0.1)}) == {EU: 2}, "its lease is renewed"


def test_a_home_that_answers_or_was_missed_once_or_is_lost_is_not() -> None:
    assert unreached(unreached_s={}) == {}
    assert unreached(unreached_s={EU: UNREACHED_S - 1}) == {}
    assert unreached(leases={US: lease(0.3), EU: lease(POLICY.lease.lease_s / 2)}) == {}, "somebody takes over"
    assert unreached(leases={US: lease(0.3)}) == {}, "what is not known is no reason"


def test_what_is_at_home_here_or_may_not_be_here_does_not_count() -> None:
    others = [placement(id="c"), placement(id="d", home=EU, standby=WEST, regions=(EU, WEST))]
    assert unreached_homes(HERE, others, leases=ALIVE, unreached_s={**SILENT, US: 9.0}, policy=POLICY) == {}


def test_a_region_is_passed_over_when_more_is_written_elsewhere_than_here() -> None:
    assert passed_over(None, written_here=1, away={EU: 2}) == (
        "writes cannot be handed on to eu-west, the home of more placements than are written here"
    )
    assert passed_over(None, written_here=1, away={WEST: 1, EU: 1}) is not None, "together they are more"
    assert passed_over(None, written_here=2, away={EU: 2}) is None, "both would be, and nothing were won"
    assert passed_over(None, written_here=0, away={}) is None


def test_a_region_whose_writes_fail_is_passed_over() -> None:
    why = Denied(code="write_path", reason="writes fail in us-east: so it is")
    path = WritePath(failed=2, failing_s=2.0, is_known=True, is_broken=True, why=why)
    assert passed_over(path, written_here=9, away={}) == why.reason
    assert passed_over(WritePath(is_known=True), written_here=0, away={}) is None
    assert passed_over(WritePath(is_broken=True), written_here=9, away={}) == "writes fail here"


def test_the_finding_names_the_home_and_how_many_placements_wait() -> None:
    found = home_unreached(HERE, EU, 1, 7.0)
    assert found.facts["about"] == EU
    assert (found.code, found.facts) == ("home_unreached", {"about": EU})
    assert "the home of 1 placement, for 7 s" in found.reason
    assert "the home of 2 placements, for 7 s" in home_unreached(HERE, EU, 2, 7.0).reason

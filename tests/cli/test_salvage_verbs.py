"""``salvage list``: what waits for a decision where it can be asked, and by name what could not be asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from intelgraph.control.agent.controller.salvaging import audit_file, parse_name
from intelgraph.model.actor import Actor, Channel
from intelgraph.operations.operator import Operator
from intelgraph.operations.record import read_record
from intelgraph.operations.salvage import Decision, decide_waiting, list_waiting, reject_all, show_waiting
from intelgraph.operations.site import find_site
from tests.cli.replicating import CENTRAL, EU, US, Fleet, down
from tests.replication.world import World, upsert

pytestmark = pytest.mark.postgres


def test_a_home_that_is_down_hides_nothing_that_waits_elsewhere(replicating: Fleet) -> None:
    async def story(world: World, placement: str) -> None:
        far = f"{placement}-far"
        await replicating.cli("placement", "create", far, "--regions", CENTRAL)
        row = await _unsent_and_taken_over(replicating, world, placement)
        all_asked = await replicating.ran("salvage", "list")
        assert (all_asked.code, all_asked.value["unasked"]) == (0, [])
        for verb in ("show", "adopt"):
            unknown = await replicating.ran("salvage", verb, "--placement", placement, "us-east/1/987654321")
            assert (unknown.code, unknown.value["error"]["code"]) == (1, "unknown_row")
            assert f"there is no row us-east/1/987654321 in {placement}" in unknown.value["error"]["reason"]
        async with down(world, CENTRAL):
            listed = await replicating.ran("salvage", "list")
            alone = await replicating.ran("salvage", "list", "--placement", far)
        assert [each["row"] for each in listed.value["rows"]] == [row]
        assert [(each["placement"], each["region"]) for each in listed.value["unasked"]] == [(far, CENTRAL)]
        assert "does not answer" in listed.value["unasked"][0]["reason"]
        assert (listed.code, alone.code, alone.value["unasked"]) == (1, 1, listed.value["unasked"])
        await _decided_without_a_terminal(replicating.state, placement, row)

    replicating.tell(story)


async def _decided_without_a_terminal(state: Path, placement: str, row: str) -> None:
    """Who rejects a row is in the fleet's record, and in that of the home; an adoption can still follow."""
    actor = Actor(subject="a person", channel=Channel.HTTP, reason="superseded by hand")
    operator, name = Operator(site=find_site(state), actor=actor), parse_name(row)
    shown = await show_waiting(operator, placement, name)
    assert shown.row.name == name and len(shown.objects) == 1
    assert await reject_all(operator, placement) == 1
    assert (await list_waiting(operator, placement)).rows == ()
    await decide_waiting(operator.because("after all"), Decision(placement=placement, rows=(name,), adopt=True))
    lines = read_record(state)[-3:]
    assert [each.operation for each in lines] == ["salvage show", "salvage reject", "salvage adopt"]
    assert [each.actor for each in lines[:2]] == [actor, actor]
    assert lines[1].facts == {"placement": placement, "rows": [row]}
    home = audit_file(Path(operator.site.region(EU).directory))
    told = [json.loads(line) for line in home.read_text().splitlines()][-2:]
    assert [(each["who"], each["reason"]) for each in told] == [
        ("a person", "superseded by hand"),
        ("a person", "after all"),
    ]


async def _unsent_and_taken_over(fleet: Fleet, world: World, placement: str) -> str:
    """us-east writes a row that nobody receives before eu-west is the home; returns its name once it waits there."""
    await world.cut(US, EU)
    told = await world.append(placement, [upsert("unsent")])
    opened = await fleet.cli("placement", "open", placement, "--home", EU, "--force")
    assert opened["home"] == EU, opened
    await world.heal(US, EU)
    assert await world.arrived(EU, told["bookmark"]) == "inert"
    origin, life, _epoch, position = told["bookmark"].split("/")
    return f"{origin}/{life}/{position}"

"""``intelgraph switchover`` and ``failback``: move placements on purpose; nothing is lost, writes wait a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from intelgraph.cli.moves import Intent, Options, carry_out, check_choice, chosen, intent_of, move_options
from intelgraph.cli.site import fleet_options, the_site
from intelgraph.control.operating import OperatorsView
from intelgraph.model.placement import Placement
from intelgraph.placement.plan import Plan, is_under_way
from intelgraph.placement.switchover import fail_back, switch_to


@click.command()
@click.option("--placement", help="Which placement.")
@click.option("--all", "every", is_flag=True, help="Every placement that the region may hold.")
@click.option("--to", "target", required=True, help="Which region is to write.")
@move_options
@fleet_options
def command(
    placement: str | None, every: bool, target: str, state: Path | None, topology: Path | None, **rest: Any
) -> int:
    """Move a placement's home, and declare it its home from now on.

    The old home closes it, the new one waits for its exact last position, and writes go on there: they are held for
    some tenths of a second, none fails. If the new home does not catch up in time, nothing has changed.

    \b
    Examples:
      intelgraph switchover --placement both --to eu-west --dry-run
      intelgraph switchover --all --to eu-west
    """
    check_choice(placement, every=every)
    site = the_site(state, topology)
    site.region(target)

    def decide(view: OperatorsView) -> list[Intent]:
        intents = []
        for name in chosen(view, placement):
            place, plan = view.known.placements[name].placement, view.known.plan_of(name).plan
            note = nothing_to_move(place, plan, target, every=every)
            if note is not None:
                intents.append(Intent(placement=name, note=note))
            else:
                intents.append(intent_of(name, switch_to(view.view(name, as_of=target), target, site.policy)))
        return intents

    return carry_out(site, Options(**rest), decide)


def nothing_to_move(placement: Placement, plan: Plan | None, target: str, *, every: bool) -> str | None:
    """Say why nothing is to be moved; none where a move is to be decided about, as while a plan is under way."""
    if every and target not in placement.regions:
        return f"stays in {placement.home}: it may not live in {target}"
    if placement.home != target or is_under_way(placement, plan):
        return None
    if placement.wanted.home == target:
        return f"is at home in {target} already"
    declaring = f"`intelgraph placement declare {placement.id} --home {target}` declares it its home"
    return f"is in {target} already, and its declared home is {placement.wanted.home}: {declaring}"


@click.command()
@click.option("--placement", help="Which placement.")
@click.option("--all", "every", is_flag=True, help="Every placement that is not at home.")
@move_options
@fleet_options
def failback(placement: str | None, every: bool, state: Path | None, topology: Path | None, **rest: Any) -> int:
    """Move a placement back to the home that was declared for it, after a failover or a drain.

    \b
    Examples:
      intelgraph failback --placement both
      intelgraph failback --all --dry-run
    """
    check_choice(placement, every=every)
    site = the_site(state, topology)

    def decide(view: OperatorsView) -> list[Intent]:
        intents = []
        for name in chosen(view, placement):
            place = view.known.placements[name].placement
            if place.home == place.wanted.home:
                intents.append(Intent(placement=name, note=f"is at home in {place.home}"))
            else:
                intents.append(intent_of(name, fail_back(view.view(name, as_of=place.wanted.home), site.policy)))
        return intents

    return carry_out(site, Options(**rest), decide)

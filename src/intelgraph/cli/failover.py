"""``intelgraph failover``: another region takes a placement over whose home is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from intelgraph.cli.moves import Intent, Options, carry_out, check_choice, chosen, intent_of, move_options
from intelgraph.cli.site import fleet_options, the_site
from intelgraph.control.operating import OperatorsView
from intelgraph.placement.failover import failover_to


@click.command()
@click.option("--placement", help="Which placement.")
@click.option("--all", "every", is_flag=True, help="Every placement.")
@click.option("--to", "target", required=True, help="Which region takes over.")
@click.option("--allow-data-loss", is_flag=True, help="Any allowed region may: what it lacks is cut off, and salvaged.")
@move_options
@fleet_options
def command(
    placement: str | None,
    every: bool,
    target: str,
    allow_data_loss: bool,
    state: Path | None,
    topology: Path | None,
    **rest: Any,
) -> int:
    """Let a region take over a placement whose home is down. It happens by itself where that loses nothing.

    A home that is up is moved by `switchover`. The named standby needs nothing else; another region needs
    --allow-data-loss, and what it lacks comes back with the lost region: see `salvage`.

    \b
    Examples:
      intelgraph failover --placement both --to eu-west --dry-run
      intelgraph failover --placement both --to us-west --allow-data-loss
    """
    check_choice(placement, every=every)
    site = the_site(state, topology)
    site.region(target)

    def decide(view: OperatorsView) -> list[Intent]:
        names = chosen(view, placement)
        return [
            intent_of(
                name,
                failover_to(view.view(name, as_of=target), target, allow_data_loss=allow_data_loss, policy=site.policy),
            )
            for name in names
        ]

    return carry_out(site, Options(**rest), decide)

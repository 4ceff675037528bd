"""``intelgraph failover``: another region takes a placement over whose home is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from intelgraph.cli.moves import check_choice, move_options, show_moved
from intelgraph.cli.options import fleet_options, reason_option, run, the_operator
from intelgraph.operations.moves import MoveOptions, fail_over


@click.command()
@click.option("--placement", help="Which placement.")
@click.option("--all", "every", is_flag=True, help="Every placement.")
@click.option("--to", "target", required=True, help="Which region takes over.")
@click.option("--allow-data-loss", is_flag=True, help="Any allowed region may: what it lacks is cut off, and salvaged.")
@reason_option
@move_options
@fleet_options
def command(target: str, every: bool, state: Path | None, topology: Path | None, **rest: Any) -> int:
    """Let a region take over a placement whose home is down. It happens by itself where that loses nothing.

    A home that is up is moved by `switchover`. The named standby needs nothing else; another region needs
    --allow-data-loss, and what it lacks comes back with the lost region: see `salvage`.

    \b
    Examples:
      intelgraph failover --placement both --to eu-west --dry-run
      intelgraph failover --placement both --to us-west --allow-data-loss
    """
    placement: str | None = rest.pop("placement")
    check_choice(placement, every=every)
    as_json, loss = rest.pop("as_json"), rest.pop("allow_data_loss")
    operator = the_operator(state, topology, reason=rest.pop("reason"), quiet=as_json)
    options = MoveOptions(**rest)
    moved = run(fail_over(operator, target, placement=placement, allow_data_loss=loss, options=options))
    return show_moved(moved, as_json=as_json)

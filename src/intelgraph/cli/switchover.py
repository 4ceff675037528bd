"""``intelgraph switchover`` and ``failback``: move placements on purpose; nothing is lost, writes wait a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from intelgraph.cli.moves import check_choice, move_options, show_moved
from intelgraph.cli.options import fleet_options, reason_option, run, the_operator
from intelgraph.operations.moves import MoveOptions, fail_back, switch_over


@click.command()
@click.option("--placement", help="Which placement.")
@click.option("--all", "every", is_flag=True, help="Every placement that the region may hold.")
@click.option("--to", "target", required=True, help="Which region is to write.")
@reason_option
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
    as_json = rest.pop("as_json")
    operator = the_operator(state, topology, reason=rest.pop("reason"), quiet=as_json)
    moved = run(switch_over(operator, target, placement=placement, options=MoveOptions(**rest)))
    return show_moved(moved, as_json=as_json)


@click.command()
@click.option("--placement", help="Which placement.")
@click.option("--all", "every", is_flag=True, help="Every placement that is not at home.")
@reason_option
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
    as_json = rest.pop("as_json")
    operator = the_operator(state, topology, reason=rest.pop("reason"), quiet=as_json)
    return show_moved(run(fail_back(operator, placement=placement, options=MoveOptions(**rest))), as_json=as_json)

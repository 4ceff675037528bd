"""``intelgraph placement``: where tenants may live and which region writes; and changing that by hand."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.number import Number
from intelgraph.cli.options import fleet_options, json_option, reason_option, run, show, the_operator
from intelgraph.control.directory.placements import describe
from intelgraph.model.placement import RPO_S_MAX, Declared, Durability, Placement, StandbyLoss
from intelgraph.operations.change import Changed
from intelgraph.operations.placements import (
    Arrangement,
    Wish,
    create_placement,
    declare_placement,
    list_placements,
    rearrange_placement,
    remove_region,
    show_placement,
)


@click.group()
def command() -> None:
    """Create, show and move placements.

    \b
    Examples:
      intelgraph placement create both --regions us-east,eu-west --home us-east --standby eu-west --durability remote
      intelgraph placement create europe --regions eu-west
      intelgraph placement open both --home us-east --standby us-west
      intelgraph placement declare both --on-standby-loss strict
      intelgraph placement list --json
    """


@command.command("create")
@click.argument("name")
@click.option("--regions", required=True, help="Where its tenants may live, separated by commas.")
@click.option("--home", help="Which region writes [default: the first].")
@click.option(
    "--standby", help="Which region may take over unattended [default: the agents name one that has caught up]."
)
@click.option(
    "--durability",
    type=click.Choice([each.value for each in Durability]),
    default=Durability.HOME.value,
    show_default=True,
    help="Acknowledge a write when it is flushed at home, or by the standby too.",
)
@click.option(
    "--on-standby-loss",
    type=click.Choice([each.value for each in StandbyLoss]),
    default=StandbyLoss.DEGRADE.value,
    show_default=True,
    help="Of remote durability: refuse writes without the standby, or go on at home and say so.",
)
@click.option(
    "--rpo",
    "rpo_s",
    type=Number(),
    default=RPO_S_MAX,
    show_default=True,
    help="Seconds: how old the oldest write may become that the standby lacks.",
)
@reason_option
@fleet_options
@json_option
def create(name: str, regions: str, home: str | None, state: Path | None, topology: Path | None, **rest: Any) -> None:
    """Create placement NAME and open its first epoch; the same again changes nothing.

    \b
    Examples:
      intelgraph placement create europe --regions eu-west
      intelgraph placement create both --regions us-east,eu-west --standby eu-west --durability remote --rpo 20"""
    allowed = _names(regions)
    durability = Durability(rest["durability"])
    placement = Placement(
        id=name,
        home=home or allowed[0],
        standby=rest["standby"],
        regions=allowed,
        epoch=1,
        durability=durability,
        declared=Declared(
            home=home or allowed[0],
            durability=durability,
            on_standby_loss=StandbyLoss(rest["on_standby_loss"]),
            rpo_s_max=rest["rpo_s"],
        ),
    )
    done = run(create_placement(the_operator(state, topology, reason=rest["reason"]), placement))
    show(_value(done), _text(done), as_json=bool(rest["as_json"]))


@command.command("open")
@click.argument("name")
@click.option("--home", required=True, help="Which region is to write.")
@click.option("--standby", help="Another standby [default: the old home, if the new home was the standby].")
@click.option("--regions", help="More regions, separated by commas: all it has now and those to add.")
@click.option("--force", is_flag=True, help="Open although rows may be missing at the new home: they are cut off.")
@reason_option
@fleet_options
@json_option
def open_(name: str, home: str, state: Path | None, topology: Path | None, **rest: Any) -> None:
    """Open the next epoch of placement NAME with another standby or more regions. Run it again to finish one.

    A region is taken off by `placement remove-region`, which waits for what is still on its way there. Where agents
    run, the home's agent does it, and a home is moved by `switchover` (or `failover`), not by this: only agents know
    when the old home has stopped.

    \b
    Examples:
      intelgraph placement open both --home us-east --standby us-west
      intelgraph placement open both --home us-east --regions us-east,eu-west,us-west
    """
    regions, as_json = _names(rest["regions"]) if rest["regions"] else None, rest["as_json"]
    arrangement = Arrangement(home=home, standby=rest["standby"], regions=regions)
    operator = the_operator(state, topology, reason=rest["reason"], quiet=as_json)
    done = run(rearrange_placement(operator, name, arrangement, force=rest["force"]))
    show(_value(done), _text(done), as_json=as_json)


@command.command("declare")
@click.argument("name")
@click.option("--home", help="Which region is to be its home; `failback` moves it there.")
@click.option("--durability", type=click.Choice([each.value for each in Durability]), help="As for `create`.")
@click.option("--on-standby-loss", type=click.Choice([each.value for each in StandbyLoss]), help="As for `create`.")
@click.option("--rpo", "rpo_s", type=Number(), help="Seconds, as for `create`.")
@reason_option
@fleet_options
@json_option
def declare_(name: str, state: Path | None, topology: Path | None, as_json: bool, **given: Any) -> None:
    """Declare placement NAME anew: what is not given stays as it is. The same again changes nothing.

    It holds from the next epoch on, which is opened at once; writes are held meanwhile, for some tenths of a second.

    \b
    Examples:
      intelgraph placement declare both --on-standby-loss strict
      intelgraph placement declare both --durability home --rpo 20
    """
    wish = Wish(
        home=given["home"],
        durability=Durability(given["durability"]) if given["durability"] else None,
        on_standby_loss=StandbyLoss(given["on_standby_loss"]) if given["on_standby_loss"] else None,
        rpo_s_max=given["rpo_s"],
    )
    if not wish.given():
        raise click.UsageError("nothing is declared: give --home, --durability, --on-standby-loss or --rpo")
    done = run(declare_placement(the_operator(state, topology, reason=given["reason"], quiet=as_json), name, wish))
    show(_value(done), _text(done), as_json=as_json)


@command.command("remove-region")
@click.argument("name")
@click.argument("region")
@click.option("--cut-off", is_flag=True, help="Skip what REGION has not received: it is unreachable.")
@click.option("--wait", "wait_s", type=Duration(), default="10s", show_default=True, help="For its links.")
@reason_option
@fleet_options
@json_option
def remove_region_(name: str, region: str, state: Path | None, topology: Path | None, **rest: Any) -> None:
    """Take REGION off placement NAME, and wait until nothing addressed to it is still on its way.

    \b
    Run it again to finish one that was interrupted. Examples:
      intelgraph placement remove-region both us-east
      intelgraph placement remove-region both us-east --cut-off
    """
    as_json = rest["as_json"]
    operator = the_operator(state, topology, reason=rest["reason"], quiet=as_json)
    removed = run(remove_region(operator, name, region, wait_s=rest["wait_s"], cut_off=rest["cut_off"]))
    removal, now = removed.removal, removed.placement
    passed = f"delivered by {', '.join(removal.passed)}" if removal.passed else ""
    skipped = (
        f"cut off at {', '.join(removal.cut)}: what it misses of other placements is repaired" if removal.cut else ""
    )
    text = f"{region} is removed from {name} ({'; '.join(part for part in (passed, skipped) if part)})"
    if now.standby is None:
        text += f"; {name} has no standby: writes are acknowledged by {now.home} alone"
    show(asdict(removal), text, as_json=as_json)


@command.command("show")
@click.argument("name")
@fleet_options
@json_option
def show_(name: str, state: Path | None, topology: Path | None, as_json: bool) -> None:
    """Show placement NAME.

    \b
    Example:
      intelgraph placement show both --json
    """
    record = run(show_placement(the_operator(state, topology), name))
    show(value_of(record.placement), f"{name}: {describe(record.placement)}", as_json=as_json)


@command.command("list")
@fleet_options
@json_option
def list_(state: Path | None, topology: Path | None, as_json: bool) -> None:
    """List every placement.

    \b
    Example:
      intelgraph placement list
    """
    records = run(list_placements(the_operator(state, topology)))
    lines = [f"{record.placement.id}: {describe(record.placement)}" for record in records]
    show(
        {"placements": [value_of(record.placement) for record in records]},
        lines or "no placements",
        as_json=as_json,
    )


def _value(changed: Changed) -> dict[str, object]:
    opened = {"bookmark": changed.opened.bookmark, "repeated": changed.opened.repeated}
    return {**value_of(changed.record.placement), "opened": opened}


def _text(changed: Changed) -> str:
    place = changed.record.placement
    verb = "was open already" if changed.opened.repeated else "is open"
    return f"placement {place.id}: {describe(place)}; epoch {place.epoch} {verb} ({changed.opened.bookmark})"


def value_of(placement: Placement) -> dict[str, object]:
    """Return a placement as JSON shows it; its digest key stays in the control store."""
    return {
        "id": placement.id,
        "home": placement.home,
        "standby": placement.standby,
        "regions": list(placement.regions),
        "epoch": placement.epoch,
        "durability": placement.durability.value,
        "declared": {
            "home": placement.wanted.home,
            "durability": placement.wanted.durability.value,
            "on_standby_loss": placement.wanted.on_standby_loss.value,
            "rpo_s_max": placement.wanted.rpo_s_max,
        },
    }


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))

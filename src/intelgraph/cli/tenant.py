"""``intelgraph tenant``: which placement a tenant belongs to."""

from __future__ import annotations

from pathlib import Path

import click

from intelgraph.cli.options import fleet_options, json_option, reason_option, run, show, the_operator
from intelgraph.cli.placement import value_of
from intelgraph.control.directory.placements import describe
from intelgraph.model.placement import Tenant
from intelgraph.operations.tenants import create_tenant, list_tenants, show_tenant


@click.group()
def command() -> None:
    """Create and show tenants.

    \b
    Examples:
      intelgraph tenant create acme --placement both
      intelgraph tenant show acme
      intelgraph tenant list --json
    """


@command.command("create")
@click.argument("name")
@click.option("--placement", required=True, help="The placement it belongs to, which must exist.")
@reason_option
@fleet_options
@json_option
def create(name: str, placement: str, reason: str, state: Path | None, topology: Path | None, as_json: bool) -> None:
    """Create tenant NAME; the same again changes nothing.

    \b
    Example:
      intelgraph tenant create acme --placement both
    """
    operator = the_operator(state, topology, reason=reason)
    tenant = run(create_tenant(operator, Tenant(id=name, placement=placement)))
    show(_value(tenant), f"tenant {tenant.id}: placement {tenant.placement}", as_json=as_json)


@command.command("show")
@click.argument("name")
@fleet_options
@json_option
def show_(name: str, state: Path | None, topology: Path | None, as_json: bool) -> None:
    """Show tenant NAME and where it lives.

    \b
    Examples:
      intelgraph tenant show acme
      intelgraph tenant show acme --json | jq .placement.home
    """
    found = run(show_tenant(the_operator(state, topology), name))
    tenant, placement = found.tenant, found.placement
    value = {"id": tenant.id, "placement": value_of(placement)}
    show(value, f"tenant {tenant.id}: placement {placement.id}: {describe(placement)}", as_json=as_json)


@command.command("list")
@fleet_options
@json_option
def list_(state: Path | None, topology: Path | None, as_json: bool) -> None:
    """List every tenant.

    \b
    Examples:
      intelgraph tenant list
      intelgraph tenant list --json | jq -r '.tenants[].id'
    """
    tenants = run(list_tenants(the_operator(state, topology)))
    lines = [f"{tenant.id}: placement {tenant.placement}" for tenant in tenants]
    show({"tenants": [_value(tenant) for tenant in tenants]}, lines or "no tenants", as_json=as_json)


def _value(tenant: Tenant) -> dict[str, str]:
    return {"id": tenant.id, "placement": tenant.placement}

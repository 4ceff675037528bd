"""``intelgraph token``: a bearer token signed by the local issuer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.options import fleet_options, json_option, reason_option, run, show, the_operator
from intelgraph.cli.output import say
from intelgraph.operations.tokens import ROLES, TTL_S_MAX, issue


@click.command()
@click.option("--tenant", required=True, help="Whose data the bearer reaches.")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default="analyst",
    show_default=True,
    help="What it may do: analyst reads, writer also writes, admin also erases.",
)
@click.option(
    "--ttl",
    "ttl_s",
    type=Duration(least_s=1, most_s=TTL_S_MAX),
    default="1h",
    show_default=True,
    help="How long it lives: 90s, 30m, 1h, 7d.",
)
@reason_option
@fleet_options
@json_option
def command(tenant: str, role: str, ttl_s: float, state: Path | None, topology: Path | None, **rest: Any) -> None:
    """Sign a bearer token; whoever has it is that tenant until it expires. The tenant must exist.

    \b
    Examples:
      intelgraph token --tenant acme --role writer
      curl -H "Authorization: Bearer $(intelgraph token --tenant acme)" http://localhost:8080/v1/entities
    """
    issued = run(issue(the_operator(state, topology, reason=rest["reason"]), tenant, role, ttl_s))
    if issued.unchecked is not None:
        say(f"intelgraph: it is not known whether the tenant {tenant} exists: {issued.unchecked}", err=True)
    value = {"token": issued.token, "tenant": tenant, "role": role, "expires_at": issued.expires_at}
    show(value, issued.token, as_json=rest["as_json"])

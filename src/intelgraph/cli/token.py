"""``intelgraph token``: a bearer token signed by the local issuer."""

from __future__ import annotations

import time
from pathlib import Path

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.site import fleet_options, json_option, show, the_site
from intelgraph.control import issuer


@click.command()
@click.option("--tenant", required=True, help="Whose data the bearer reaches.")
@click.option(
    "--role",
    type=click.Choice(issuer.ROLES),
    default="analyst",
    show_default=True,
    help="What it may do: analyst reads, writer also writes, admin also erases.",
)
@click.option(
    "--ttl",
    "ttl_s",
    type=Duration(least_s=1, most_s=issuer.TTL_S_MAX),
    default="1h",
    show_default=True,
    help="How long it lives: 90s, 30m, 1h, 7d.",
)
@fleet_options
@json_option
def command(tenant: str, role: str, ttl_s: float, state: Path | None, topology: Path | None, as_json: bool) -> None:
    """Sign a bearer token; whoever has it is that tenant until it expires.

    \b
    Examples:
      intelgraph token --tenant acme --role writer
      curl -H "Authorization: Bearer $(intelgraph token --tenant acme)" http://localhost:8080/v1/entities
    """
    token = issuer.sign(the_site(state, topology).state, tenant, role, ttl_s)
    value = {"token": token, "tenant": tenant, "role": role, "expires_at": int(time.time()) + int(ttl_s)}
    show(value, token, as_json=as_json)

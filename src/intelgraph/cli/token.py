"""``intelgraph token``: a bearer token signed by the local issuer."""

from __future__ import annotations

import time
from pathlib import Path

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.output import say
from intelgraph.cli.site import Site, fleet_options, json_option, run, show, the_site
from intelgraph.control import issuer
from intelgraph.model.errors import TransientError


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
    """Sign a bearer token; whoever has it is that tenant until it expires. The tenant must exist.

    \b
    Examples:
      intelgraph token --tenant acme --role writer
      curl -H "Authorization: Bearer $(intelgraph token --tenant acme)" http://localhost:8080/v1/entities
    """
    site = the_site(state, topology)
    token = issuer.sign(site.state, tenant, role, ttl_s)
    run(_check_exists(site, tenant))
    value = {"token": token, "tenant": tenant, "role": role, "expires_at": int(time.time()) + int(ttl_s)}
    show(value, token, as_json=as_json)


async def _check_exists(site: Site, tenant: str) -> None:
    """Refuse a tenant that is not there. While the control store is away, that is said and the token signed."""
    try:
        async with site.directory() as directory:
            await directory.tenant(tenant)
    except TransientError as error:
        say(f"intelgraph: it is not known whether the tenant {tenant} exists: {error.denied.reason}", err=True)

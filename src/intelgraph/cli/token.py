"""``intelgraph token``: a bearer token signed by the local issuer."""

from __future__ import annotations

import re
import time
from pathlib import Path

import click

from intelgraph.cli.site import fleet_options, json_option, show, the_site
from intelgraph.control import issuer
from intelgraph.model.errors import refuse

_TTL = re.compile(r"([1-9][0-9]{0,8})([smhd]?)")
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


@click.command()
@click.option("--tenant", required=True, help="Whose data the bearer reaches.")
@click.option("--role", type=click.Choice(issuer.ROLES), default="analyst", show_default=True, help="What it may do.")
@click.option("--ttl", default="1h", show_default=True, help="How long it lives: 90s, 30m, 1h, 7d.")
@fleet_options
@json_option
def command(tenant: str, role: str, ttl: str, state: Path | None, topology: Path | None, as_json: bool) -> None:
    """Sign a bearer token; whoever has it is that tenant until it expires.

    \b
    Examples:
      intelgraph token --tenant acme --role writer
      curl -H "Authorization: Bearer $(intelgraph token --tenant acme)" http://localhost:8080/v1/entities
    """
    ttl_s = ttl_seconds(ttl)
    token = issuer.sign(the_site(state, topology).state, tenant, role, ttl_s)
    value = {"token": token, "tenant": tenant, "role": role, "expires_at": int(time.time()) + ttl_s}
    show(value, token, as_json=as_json)


def ttl_seconds(text: str) -> int:
    """Read ``90s``, ``30m``, ``1h``, ``7d`` or seconds; refuses the rest with ``bad_ttl``."""
    found = _TTL.fullmatch(text)
    if found is None:
        raise refuse(
            "bad_ttl", f"the token is refused: its time to live {text[:20]!r} must read like 90s, 30m, 1h or 7d"
        )
    return int(found.group(1)) * _UNIT_S[found.group(2)]

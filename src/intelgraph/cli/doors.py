"""Where a command finds the door and who it says it is: URL, the regions' edges, a bearer token.

Every verb that speaks HTTP to the door takes ``--region`` or ``--url`` and ``--token`` and starts here. Without a token
the local issuer signs one, again whenever it is about to expire.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from intelgraph.cli.options import fleet_options, the_actor
from intelgraph.client.api_client import ApiClient
from intelgraph.model.errors import IntelGraphError, refuse
from intelgraph.model.names import check_name
from intelgraph.operations.edges import find_edges
from intelgraph.operations.operator import Operator
from intelgraph.operations.site import the_site
from intelgraph.operations.tokens import renewed_token

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class DoorOptions:
    """What ``door_options`` adds to a verb."""

    tenant: str
    region: str | None
    url: str | None
    token: str | None
    state: Path | None
    topology: Path | None

    @property
    def needs_fleet(self) -> bool:
        """Whether a fleet on this machine has to be found: for its doors or for its issuer."""
        return self.url is None or self.token is None


def door_options(command: F) -> F:
    """Add ``--tenant``, ``--region``, ``--url``, ``--token`` and which fleet is meant."""
    command = click.option("--token", envvar="INTELGRAPH_TOKEN", help="Bearer token [default: signed here].")(command)
    command = click.option("--url", help="The door's URL [default: the global edge].")(command)
    command = click.option("--region", help="Go in by this region's edge, and by no other.")(command)
    command = click.option("--tenant", required=True, help="Whose graph it is.")(command)
    return fleet_options(command)


def open_door(options: DoorOptions, *, role: str) -> ApiClient:
    """The client that the options mean; refuses what does not fit together before anything is sent."""
    check_name("tenant", options.tenant)
    if options.region is not None and options.url is not None:
        raise click.UsageError("the command is refused: --region and --url both say where to go; give one of them")
    places = find_edges(options.state, options.topology) if options.needs_fleet else None
    if options.token is not None:
        token = _given(options.token)
    else:
        assert places is not None
        token = renewed_token(Operator(site=places.site, actor=the_actor()), options.tenant, role)
    if options.url is not None:
        return ApiClient(url=options.url, token=token)
    assert places is not None
    if options.region is not None:  # and no other: what that region refuses is what was asked
        return ApiClient(url=places.edge(options.region), token=token)
    return ApiClient(url=places.url, token=token, edges=places.edges)


def fleet_state(options: DoorOptions) -> Path | None:
    """Where the state of the fleet is that the options mean; none if no fleet was started there.

    It is looked for also where the options name an address and a token, and no fleet is needed: it may lie there.
    What keeps it from being found (a topology that is refused) is raised: nothing is written where it may be.
    """
    try:
        return the_site(options.state, options.topology).state
    except IntelGraphError as error:
        if error.denied.code != "no_fleet":
            raise
        return None


def _given(token: str) -> Callable[[], str]:
    if not token or not all("!" <= character <= "~" for character in token):
        raise refuse(
            "bad_token", "the token is refused: it is not one line of visible ASCII characters, as each token is"
        )
    return lambda: token

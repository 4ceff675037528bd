"""How a command is told the way to the API: ``--region`` or ``--url``, ``--token``, and whose graph it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from intelgraph.cli.options import fleet_options, the_actor
from intelgraph.operations.transfer.access import Access, AccessOptions, open_access

F = TypeVar("F", bound=Callable[..., Any])


def access_options(command: F) -> F:
    """Add ``--tenant``, ``--region``, ``--url``, ``--token`` and which fleet is meant."""
    command = click.option("--token", envvar="INTELGRAPH_TOKEN", help="Bearer token [default: signed here].")(command)
    command = click.option("--url", help="The API's URL [default: the global edge].")(command)
    command = click.option("--region", help="Go in by this region's edge, and by no other.")(command)
    command = click.option("--tenant", required=True, help="Whose graph it is.")(command)
    return fleet_options(command)


def the_access(options: AccessOptions, *, role: str, reason: str = "") -> Access:
    """Whoever runs this process, on the way in that the options mean."""
    if options.region is not None and options.url is not None:
        raise click.UsageError("the command is refused: --region and --url both say where to go; give one of them")
    return open_access(options, the_actor(reason), role=role)

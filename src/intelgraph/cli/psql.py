"""``intelgraph psql``: a session in one region's database, with the client that came with its PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import click

from intelgraph.cli.options import fleet_options, run
from intelgraph.fleet.layout.binaries import postgres_programs
from intelgraph.model.errors import refuse
from intelgraph.operations.database import check_answers
from intelgraph.operations.site import the_site

_CONNECT_TIMEOUT_S = "10"


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("region")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@fleet_options
def command(region: str, arguments: tuple[str, ...], state: Path | None, topology: Path | None) -> None:
    """Open a session in REGION's database as its owner; ARGUMENTS are psql's.

    The owner may do anything there, behind the back of every promise: what a finding of `status`, or the pages on
    residency and operation, tell you to do is what this is for. The exit code is psql's.

    \b
    Examples:
      intelgraph psql us-east
      intelgraph psql us-east -c 'select subname, subenabled from pg_subscription'
    """
    database = the_site(state, topology).region(region).admin_database
    program = shutil.which("psql", path=str(postgres_programs())) or shutil.which("psql")
    if program is None:
        raise refuse("no_psql", f"there is no psql in {postgres_programs()}, and none in PATH")
    reach = ["-h", database.host, "-p", str(database.port), "-U", database.user, "-d", database.database]
    run(check_answers(database))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and psql would go on writing to nobody
    surroundings = {"PGCONNECT_TIMEOUT": _CONNECT_TIMEOUT_S, **os.environ, "PGPASSWORD": database.password}
    os.execve(program, [program, *reach, *arguments], surroundings)  # noqa: S606

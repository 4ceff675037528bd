"""``intelgraph``: the table of verbs, and how every verb fails.

A verb is a module with a click command named ``command``; adding one is a new file and one line in ``VERBS``.
Exit codes: 0 done, 1 refused or failed (the reason on standard error, or as JSON with ``--json``), 2 wrong usage,
130 interrupted.
"""

from __future__ import annotations

import importlib
import json
import sys

import click

from intelgraph import __version__
from intelgraph.model.errors import IntelGraphError

VERBS: dict[str, str] = {
    "compact": "intelgraph.cli.compact",
    "down": "intelgraph.cli.down",
    "drill": "intelgraph.cli.drill",
    "export": "intelgraph.cli.export_",
    "failback": "intelgraph.cli.switchover:failback",
    "failover": "intelgraph.cli.failover",
    "hold": "intelgraph.cli.hold",
    "import": "intelgraph.cli.import_",
    "logs": "intelgraph.cli.logs",
    "placement": "intelgraph.cli.placement",
    "psql": "intelgraph.cli.psql",
    "region": "intelgraph.cli.region",
    "release": "intelgraph.cli.hold:release",
    "restart": "intelgraph.cli.restart",
    "salvage": "intelgraph.cli.salvage",
    "simulate": "intelgraph.cli.simulate",
    "status": "intelgraph.cli.status",
    "switchover": "intelgraph.cli.switchover",
    "tenant": "intelgraph.cli.tenant",
    "token": "intelgraph.cli.token",
    "up": "intelgraph.cli.up",
    "verify": "intelgraph.cli.verify",
    "wan": "intelgraph.cli.wan",
}


class _Verbs(click.Group):
    """A group that imports a verb's module when the verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        where = VERBS.get(cmd_name)
        if where is None:
            return None
        module, _, name = where.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name or "command")
        return command


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="intelgraph")
def cli() -> None:
    """Run IntelGraph's regions, tenants and their graphs.

    \b
    Examples:
      intelgraph up
      intelgraph status
      intelgraph tenant create acme --placement both
    """


def main() -> None:
    """Run a verb; print a refusal as one sentence (or one JSON object) and leave with its exit code."""
    try:
        code = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except IntelGraphError as error:
        denied = error.denied
        if "--json" in sys.argv:
            facts = {"code": denied.code, "reason": denied.reason, "facts": dict(denied.facts)}
            click.echo(json.dumps({"error": facts}))
        click.echo(f"intelgraph: {denied.reason}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

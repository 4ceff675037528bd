"""``intelgraph``: the table of verbs, and how every verb fails.

A verb is a module with a click command named ``command``; adding one is a new file and one line in ``VERBS``.
Exit codes: 0 done, 1 refused or failed (the reason on standard error, or as JSON with ``--json``), 2 wrong usage,
130 interrupted, 141 nobody reads the output any more. Output that cannot be written is a failure like any other.
"""

from __future__ import annotations

import importlib
import io
import os
import sys

import click

from intelgraph import __version__
from intelgraph.cli.interruption import EXIT_INTERRUPTED, SENTENCE, leaving_when_interrupted
from intelgraph.cli.output import OutputFailed, after_failure, flush, reader_is_gone, say_if_possible, say_json
from intelgraph.model.errors import Denied, IntelGraphError, what_failed

VERBS: dict[str, str] = {
    "compact": "intelgraph.cli.compact",
    "demo": "intelgraph.cli.demo",
    "down": "intelgraph.cli.down",
    "drill": "intelgraph.cli.drill",
    "export": "intelgraph.cli.export_",
    "failback": "intelgraph.cli.switchover:failback",
    "failover": "intelgraph.cli.failover",
    "fault": "intelgraph.cli.fault",
    "import": "intelgraph.cli.import_",
    "logs": "intelgraph.cli.logs",
    "placement": "intelgraph.cli.placement",
    "psql": "intelgraph.cli.psql",
    "region": "intelgraph.cli.region",
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
        with leaving_when_interrupted():
            command: click.Command = getattr(importlib.import_module(module), name or "command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-"):
            raise click.exceptions.NoSuchCommand(args[0], possibilities=VERBS, ctx=ctx)
        return super().resolve_command(ctx, args)


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


def run() -> int:
    """Run a verb; print a refusal as one sentence (or one JSON object) and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 shows what it can
    try:
        code = _run()
        flush()
    except OutputFailed as failed:
        code = after_failure(failed)
    return code


def _run() -> int:
    try:
        code = cli.main(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say_if_possible(SENTENCE)
        return EXIT_INTERRUPTED
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0 if left.code is None else 1
    except IntelGraphError as error:
        return _refused(error.denied)
    except OSError as error:  # click writes help and versions itself
        if error.filename is not None:
            name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
            why = f"the command stops: {name}: {what_failed(error)}"
            return _refused(Denied(code="file_failed", reason=why, facts={"file": name}))
        if isinstance(error, TimeoutError) or (isinstance(error, ConnectionError) and not reader_is_gone()):
            raise
        raise OutputFailed(error) from error


def _refused(denied: Denied) -> int:
    if "--json" in sys.argv:
        say_json({"error": {"code": denied.code, "reason": denied.reason, "facts": dict(denied.facts)}})
    say_if_possible(f"intelgraph: {denied.reason}")
    return 1


def _show(error: click.ClickException) -> None:
    """What click has to say, as click says it, with what was typed made visible."""
    message = error.format_message()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        lines = message.split("\n")
    else:
        lines = message.split("\n") if isinstance(error, click.MissingParameter) else [message]
        lines[0] = f"Error: {lines[0]}"
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None and not isinstance(error, click.exceptions.NoArgsIsHelpError):
        usage = context.get_usage().split("\n")
        lines = [*usage, f"Try '{context.command_path} --help' for help.", "", *lines]
    for line in lines:
        say_if_possible(line)

"""``intelgraph compact``: fold the old part of a placement's log into a snapshot, in every region."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from intelgraph.changelog.compaction import Compacted
from intelgraph.cli.options import fleet_options, json_option, reason_option, run, show, the_operator
from intelgraph.operations.compaction import KEEP_ROWS, compact


@click.command()
@click.option("--placement", required=True, help="Whose log.")
@click.option(
    "--keep-rows", type=click.IntRange(min=0), default=KEEP_ROWS, show_default=True, help="Positions to keep."
)
@click.option("--dry-run", is_flag=True, help="Say how far it would go, and change nothing.")
@reason_option
@fleet_options
@json_option
def command(state: Path | None, topology: Path | None, **rest: Any) -> None:
    """Fold the log of a placement into a snapshot up to where every region has settled; state does not change.

    Idempotency keys, bookmarks' history and the feed reach back only as far as the log does.

    \b
    Examples:
      intelgraph compact --placement both --dry-run
      intelgraph compact --placement both --keep-rows 50000
    """
    operator = the_operator(state, topology, reason=rest["reason"])
    done = run(compact(operator, rest["placement"], keep_rows=rest["keep_rows"], dry_run=rest["dry_run"]))
    lines = [_line(each) for each in done] or [
        "nothing to compact: no whole bucket of 4,096 positions is settled everywhere"
    ]
    show({"compacted": [_value(each) for each in done]}, lines, as_json=bool(rest["as_json"]))


def _value(done: Compacted) -> dict[str, Any]:
    stream = f"{done.stream.origin}/{done.stream.life}"
    return {"region": done.region, "stream": stream, "rows": done.rows, "floor": done.floor, "refused": done.refused}


def _line(done: Compacted) -> str:
    stream = f"{done.stream.origin}/{done.stream.life}"
    outcome = done.refused or f"{done.rows} rows folded"
    return f"{done.region}: {stream} up to {done.floor}: {outcome}"

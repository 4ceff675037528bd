"""``intelgraph demo``: bring two regions up, load MITRE ATT&CK, and show what IntelGraph promises."""

from __future__ import annotations

from pathlib import Path

import click

from intelgraph.cli.fleet_place import topology_option
from intelgraph.cli.options import the_actor
from intelgraph.cli.output import say, style
from intelgraph.demo.show import show
from intelgraph.demo.stage import Stage


@click.command()
@click.option("--exit", "leave", is_flag=True, help="Stop the fleet after the show instead of staying up.")
@topology_option
def command(leave: bool, topology: Path | None) -> int:
    """Bring two regions up, load MITRE ATT&CK, and show what IntelGraph promises: everything is done for real.

    It stays up until Ctrl-C, which stops the fleet. A fleet that runs already, or that has not these two regions, is
    left alone: call it in a directory of its own then. ATT&CK comes with the extra `attack` of the package. Exit code
    1: something that was promised did not hold.

    \b
    Examples:
      intelgraph demo
      intelgraph demo --exit
    """
    return show(Stage(audience=_Terminal(), topology=topology, actor=the_actor("the demo")), leave=leave)


class _Terminal:
    """The audience of a terminal, or of a file."""

    def title(self, text: str) -> None:
        say()
        say(style(text, "bold"))

    def say(self, text: str) -> None:
        say(f"   {text}")

    def typed(self, command: str) -> None:
        say(style(f"   $ {command}", "cyan"))

    def printed(self, line: str) -> None:
        say(f"     {line}")

    def failed(self, text: str) -> None:
        say(f"intelgraph: {text}", err=True)

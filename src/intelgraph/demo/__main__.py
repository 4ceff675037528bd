"""``python -m intelgraph.demo``: where the process begins. Ctrl-C before anything was begun is one sentence."""

from __future__ import annotations

from intelgraph.cli.interruption import leaving_when_interrupted

if __name__ == "__main__":
    with leaving_when_interrupted():
        from intelgraph.demo.show import show
    show()

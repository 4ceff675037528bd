"""Installs the stock GraphQL clients that ``tests/clients`` runs, from the npm packages in its lock file.

Idempotent, and quick when done already.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from scripts.npm_packages import fetch, is_made

CLIENTS = Path(__file__).parents[1] / "tests" / "clients"


STAMP = CLIENTS / "node_modules" / ".made-from"


def wanted() -> str:
    """Return the digest of what the lock file names."""
    return hashlib.sha256((CLIENTS / "package-lock.json").read_bytes()).hexdigest()


def are_there() -> bool:
    """Whether the packages are those of the lock file."""
    return is_made(STAMP, wanted())


def main() -> int:
    """Return 0 if the packages are there."""
    if are_there():
        return 0
    print("clients: fetching the GraphQL clients of the tests (about ten seconds the first time)", file=sys.stderr)
    why = fetch(CLIENTS)
    if why is not None:
        print(f"clients: {why}", file=sys.stderr)
        return 1
    STAMP.write_text(wanted(), encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Makes ``console/dist``: the browser's files of the GraphiQL page, from the npm packages in the lock file.

Idempotent, and quick when done already. Only the files that are served are kept.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from scripts.npm_packages import fetch, is_made

CONSOLE = Path(__file__).parents[1] / "console"
FILES = {
    "react.js": "react/umd/react.production.min.js",
    "react-dom.js": "react-dom/umd/react-dom.production.min.js",
    "graphiql.js": "graphiql/graphiql.min.js",
    "graphiql.css": "graphiql/graphiql.min.css",
}


def main() -> int:
    """Return 0 if the files are there."""
    lock = (CONSOLE / "package-lock.json").read_bytes()
    wanted = hashlib.sha256(lock + repr(FILES).encode()).hexdigest()
    dist, stamp = CONSOLE / "dist", CONSOLE / "dist" / ".made-from"
    if is_made(stamp, wanted):
        return 0
    print("console: fetching GraphiQL (about ten seconds the first time)", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="ig-console-") as directory:
        there = Path(directory)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(CONSOLE / name, there)
        why = fetch(there)
        if why is not None:
            print(f"console: {why}; there will be no GraphiQL page", file=sys.stderr)
            return 1
        shutil.rmtree(dist, ignore_errors=True)
        dist.mkdir()
        for name, source in FILES.items():
            shutil.copy(there / "node_modules" / source, dist / name)
        stamp.write_text(wanted, encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())

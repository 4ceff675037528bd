"""Fixtures of the fleet's tests: directories that PostgreSQL's account can reach, and small topology files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A short directory that an unprivileged account may pass through; removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="igt-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def two_regions(place: Path) -> Path:
    """A topology file of two regions on free ports with its state beside it."""
    file = place / "intelgraph.toml"
    file.write_text(
        'ports = "free"\nzones = ["us", "eu"]\n'
        '[[region]]\nname = "us-east"\nzone = "us"\n[[region]]\nname = "eu-west"\nzone = "eu"\n'
        '[postgres.settings]\nshared_buffers = "32MB"\n',
        encoding="utf-8",
    )
    return file

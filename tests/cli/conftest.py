"""One set of replicating regions for all stories of a module; each story uses a placement of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.replicating import Fleet, three_regions


@pytest.fixture(scope="module")
def replicating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """us-east, eu-west and eu-central."""
    with three_regions(tmp_path_factory.mktemp("replicating")) as fleet:
        yield fleet

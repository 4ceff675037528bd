"""One pair of regions for all tests of the API that do not break them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .site import Site, two_regions


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with two_regions(tmp_path_factory.mktemp("site")) as found:
        yield found

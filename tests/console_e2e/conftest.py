"""The regions that serve the pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.site import Site, two_regions
from tests.needs import need_page


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need_page()
    with two_regions(tmp_path_factory.mktemp("site")) as found:
        yield found

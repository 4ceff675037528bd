"""A part that a fleet does not have is refused with those that may be meant."""

from __future__ import annotations

import pytest

from intelgraph.fleet.supervisor.supervisor import unknown_part

PARTS = ["us-east/postgres", "us-east/api", "eu-west/postgres", "eu-west/api", "global-edge"]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("api", "there is no part or region 'api': one of them is meant: us-east/api, eu-west/api"),
        ("pi", f"there is no part or region 'pi': known are {', '.join(PARTS)}"),
    ],
)
def test_a_bare_kind_names_its_part_of_every_region(wanted: str, told: str) -> None:
    assert unknown_part(wanted, PARTS) == told

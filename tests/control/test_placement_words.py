"""A placement in a few words says what was declared where it is something else now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from intelgraph.control.directory.placements import describe
from intelgraph.model.placement import Declared, Durability, Placement, StandbyLoss

WANTED = Declared(home="a", durability=Durability.REMOTE, on_standby_loss=StandbyLoss.DEGRADE, rpo_s_max=60.0)
AS_DECLARED = Placement(
    id="p", home="a", standby="b", regions=("a", "b"), epoch=2, durability=Durability.REMOTE, declared=WANTED
)


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        (AS_DECLARED, "home a, standby b, regions a, b, durability remote, epoch 2"),
        (replace(AS_DECLARED, declared=None), "home a, standby b, regions a, b, durability remote, epoch 2"),
        (
            replace(AS_DECLARED, home="b", standby="a"),
            "home b (declared a), standby a, regions a, b, durability remote, epoch 2",
        ),
        (
            replace(AS_DECLARED, standby=None, durability=Durability.HOME),
            "home a, no standby, regions a, b, durability home (declared remote: degraded), epoch 2",
        ),
    ],
)
def test_what_was_declared_is_said_where_it_is_something_else(placement: Placement, said: str) -> None:
    assert describe(placement) == said

"""What effects may ask of databases: refused where it would stop them altogether."""

from __future__ import annotations

import pytest

from intelgraph.control.agent.controller.effect_policy import EffectPolicy

SESSIONS_OF_A_SERVER = 100


def test_openings_leave_sessions_for_everybody_else() -> None:
    assert EffectPolicy().openings_at_once <= SESSIONS_OF_A_SERVER // 10


def test_the_least_that_does_not_stop_everything_is_allowed() -> None:
    little = EffectPolicy(openings_at_once=1, open_s_max=0.1, survivor_s_max=0.1)
    assert little.openings_at_once == 1


@pytest.mark.parametrize("wrong", [{"openings_at_once": 0}, {"open_s_max": 0.0}, {"survivor_s_max": -1.0}])
def test_what_would_stop_every_effect_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="every effect has some time"):
        EffectPolicy(**wrong)  # type: ignore[arg-type]

"""A fault is healed again until that is proven, and not for ever."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from intelgraph.drill import healing
from intelgraph.drill.healing import heal_until_proven
from intelgraph.model.errors import PermanentError, refuse


@dataclass
class Slow:
    """A fault that is seen to be healed at the third look only."""

    looks_needed: int = 3
    region: str = "us-east"
    name: str = "partition"
    loses_region: bool = True
    looks: int = 0
    reported: list[str] = field(default_factory=list)

    def missing(self) -> str | None:
        return None

    def inject(self, dead_man_s: float) -> str:
        return "cut"

    def heal(self) -> str:
        self.looks += 1
        if self.looks < self.looks_needed:
            raise refuse("fault_not_healed", "nothing comes over the link")
        return "every probe is answered"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healing, "_AGAIN_S", 0.0)


def test_what_is_not_seen_to_be_healed_is_healed_again_and_said() -> None:
    fault = Slow()
    assert heal_until_proven(fault, within_s=60.0, report=fault.reported.append) == "every probe is answered"
    assert fault.reported == ["partition of us-east is not healed yet: nothing comes over the link"] * 2


def test_what_is_wrong_in_the_end_is_raised() -> None:
    fault = Slow(looks_needed=10**9)
    with pytest.raises(PermanentError, match="nothing comes over the link"):
        heal_until_proven(fault, within_s=0.0, report=fault.reported.append)

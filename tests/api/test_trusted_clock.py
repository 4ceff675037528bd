"""The time of day by which tokens are judged: a step of the machine's clock moves it only when most clocks say so."""

from __future__ import annotations

from dataclasses import dataclass, field

from intelgraph.api.auth.trusted_clock import BELIEVED_AFTER_S, TrustedClock

_BOOT_S = 1_000_000.0
_HOUR_S = 3_600.0


@dataclass(kw_only=True)
class Machine:
    """A machine with a clock that can be set; ``error_s``: how far it is off."""

    since_boot_s: float = 50.0
    error_s: float = 0.0
    wall: TrustedClock = field(init=False)

    def __post_init__(self) -> None:
        self.wall = TrustedClock(wall=self.shown_s, monotonic=lambda: self.since_boot_s, compared=True)

    def shown_s(self) -> float:
        return _BOOT_S + self.since_boot_s + self.error_s

    def off_s(self) -> float:
        return self.wall.now_s() - _BOOT_S - self.since_boot_s

    def compare(self, ahead_s: float | None, times: int = 1) -> None:
        """The agent says the same each second."""
        for _ in range(times):
            self.wall.compare(ahead_s)
            self.since_boot_s += 1.0


def test_a_clock_that_was_set_wrong_is_not_believed() -> None:
    machine = Machine()
    machine.compare(0.0, times=10)
    machine.error_s = _HOUR_S
    machine.compare(0.0, times=2)  # what the agent saw before the step
    machine.compare(_HOUR_S, times=100)
    assert machine.off_s() == 0.0


def test_a_clock_that_was_wrong_from_the_start_and_is_set_right_is_believed_soon() -> None:
    machine = Machine(error_s=-_HOUR_S)
    assert machine.off_s() == -_HOUR_S
    machine.error_s = 0.0
    machine.compare(0.0, times=3)
    assert machine.off_s() == -_HOUR_S
    machine.compare(0.0, times=int(BELIEVED_AFTER_S))
    assert machine.off_s() == 0.0


def test_a_worker_that_starts_while_the_clock_is_wrong_is_told() -> None:
    machine = Machine(error_s=_HOUR_S)
    machine.compare(_HOUR_S, times=int(BELIEVED_AFTER_S) + 1)
    assert machine.off_s() == 0.0


def test_without_a_majority_nothing_changes() -> None:
    machine = Machine()
    machine.compare(0.0)
    machine.error_s = _HOUR_S
    machine.compare(None, times=100)
    assert machine.off_s() == 0.0


def test_a_small_drift_is_followed() -> None:
    machine = Machine()
    machine.error_s = 0.8
    machine.compare(0.0)
    assert abs(machine.off_s() - 0.8) < 0.001


def test_without_an_agent_the_machines_clock_is_all_there_is() -> None:
    shown = [100.0]
    wall = TrustedClock(wall=lambda: shown[0], monotonic=lambda: 1.0, compared=False)
    shown[0] = 5_000.0
    assert wall.now_s() == 5_000.0

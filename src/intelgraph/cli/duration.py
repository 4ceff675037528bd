"""Durations as people type them: ``30s``, ``5m``, ``500ms``, ``7d``; a bare number is seconds."""

from __future__ import annotations

import re

import click

from intelgraph.model.duration import duration_text

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ms|s|m|h|d)?")
_UNIT_S = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_MOST_S = 1e9  # what every clock and every program behind the option can still count


class Duration(click.ParamType[float]):
    """An option's seconds, within what it may be."""

    name = "duration"

    def __init__(self, *, least_s: float = 0.0, most_s: float = _MOST_S, above_zero: bool = False) -> None:
        self._least_s = least_s
        self._most_s = most_s
        self._above_zero = above_zero

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Turn what was typed into seconds."""
        match = _DURATION.fullmatch(str(value))
        if match is None:
            self.fail(f"{str(value)[:40]!r} is not a duration such as 30s, 5m or 500ms", param, ctx)
        seconds = float(match[1]) * _UNIT_S[match[2]]
        if not self._least_s <= seconds <= self._most_s or (self._above_zero and not seconds):
            most = duration_text(self._most_s)
            limits = (
                f"more than 0 s, {most} at most" if self._above_zero else f"{duration_text(self._least_s)} to {most}"
            )
            self.fail(f"{str(value)[:40]!r} is {duration_text(seconds)}; it may be {limits}", param, ctx)
        return seconds

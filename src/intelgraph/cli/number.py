"""Numbers as people type them: finite, and within what they may be. ``nan`` and ``inf`` pass every comparison else."""

from __future__ import annotations

import math
from typing import Any

import click


class Number(click.FloatRange):
    """An option's number."""

    name = "float"

    def _describe_range(self) -> str:
        """What ``--help`` says of the limits; nothing where there are none."""
        return "" if self.min is None and self.max is None else super()._describe_range()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Turn what was typed into a number; refuses ``nan`` and ``inf``."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{str(value)[:40]!r} is not a finite number", param, ctx)
        return number

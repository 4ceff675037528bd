"""What a fleet says of itself, everywhere it says it: `status` and its exit code, `/readyz`, agents' metrics."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from tests.fleet_e2e.running import RunningFleet

_ANSWER_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Said:
    """One look. ``limits``: of the region's own API, where it answers; ``findings``: by code, what they are about."""

    exit_code: int
    ready: bool
    placements: dict[str, dict[str, Any]]
    findings: dict[str, list[str]]
    unready: dict[str, str]
    """By part that is not ready: why."""
    limits: dict[str, str] | None
    metrics: dict[str, float]

    def read_only(self, placement: str) -> str | None:
        """Why a placement takes no writes, as ``status`` has it."""
        why: str | None = self.placements[placement]["read_only"]
        return why

    def home(self, placement: str) -> str:
        """Where it is written."""
        return str(self.placements[placement]["home"])


def said(fleet: RunningFleet, region: str) -> Said:
    """Ask everybody once; ``limits`` and ``metrics`` are the region's."""
    exit_code, status = fleet.cli_with_code("status")
    standing = status["standing"]
    findings: dict[str, list[str]] = {}
    for each in standing["findings"]:
        findings.setdefault(each["code"], []).append(each["about"])
    return Said(
        exit_code=exit_code,
        ready=status["ready"],
        placements={each["placement"]: each for each in standing["placements"]},
        findings=findings,
        unready={
            each["part"]["name"]: each["part"]["reason"] or ""
            for each in status["parts"]
            if each["part"]["phase"] != "ready"
        },
        limits=_limits(fleet, region),
        metrics=metrics(fleet, region),
    )


def _limits(fleet: RunningFleet, region: str) -> dict[str, str] | None:
    text = _text(f"http://127.0.0.1:{fleet.fleet.ports[f'{region}/api']}/readyz")
    return None if text is None else dict(json.loads(text)["limits"])


def metrics(fleet: RunningFleet, region: str) -> dict[str, float]:
    """The numbers of a region's agent, by their name with its labels."""
    text = _text(f"http://127.0.0.1:{fleet.fleet.ports[f'{region}/agent']}/metrics") or ""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def _text(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_S) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()
    except OSError:
        return None

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
class Status:
    """One look by ``status``. ``findings``: by code, what they are about; ``reasons``: what they say, in their order.

    ``unready``: by part, why it is not ready.
    """

    exit_code: int
    ready: bool
    placements: dict[str, dict[str, Any]]
    findings: dict[str, list[str]]
    reasons: dict[str, list[str]]
    unready: dict[str, str]

    def read_only(self, placement: str) -> str | None:
        """Why a placement takes no writes."""
        why: str | None = self.placements[placement]["read_only"]
        return why

    def home(self, placement: str) -> str:
        """Where it is written."""
        return str(self.placements[placement]["home"])


@dataclass(frozen=True, kw_only=True)
class Said(Status):
    """One look everywhere. ``limits``: of the region's own API, where it answers."""

    limits: dict[str, str] | None
    metrics: dict[str, float]


def said(fleet: RunningFleet, region: str) -> Said:
    """Ask everybody once; ``limits`` and ``metrics`` are the region's."""
    return Said(**vars(status(fleet)), limits=limits(fleet, region), metrics=metrics(fleet, region))


def status(fleet: RunningFleet) -> Status:
    """Ask ``status`` once."""
    exit_code, told = fleet.cli_with_code("status")
    standing = told["standing"]
    findings: dict[str, list[str]] = {}
    reasons: dict[str, list[str]] = {}
    for each in standing["findings"]:
        findings.setdefault(each["code"], []).append(each["about"])
        reasons.setdefault(each["code"], []).append(each["reason"])
    return Status(
        exit_code=exit_code,
        ready=told["ready"],
        placements={each["placement"]: each for each in standing["placements"]},
        findings=findings,
        reasons=reasons,
        unready={
            each["part"]["name"]: each["part"]["reason"] or ""
            for each in told["parts"]
            if each["part"]["phase"] != "ready"
        },
    )


def limits(fleet: RunningFleet, region: str) -> dict[str, str] | None:
    """What ``/readyz`` of a region's API says that it lacks; none where nobody answers."""
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

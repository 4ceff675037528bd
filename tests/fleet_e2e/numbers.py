"""What a part of a running fleet tells Prometheus, read as Prometheus reads it."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from tests.fleet_e2e.running import RunningFleet
from tests.machine import WAIT_S, is_over


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Every sample of one scrape, by its name and labels."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]

    def sum(self, name: str, **labels: str) -> float:
        """The sum of the samples of a name that have these labels, among others perhaps; 0 if there is none."""
        wanted = labels.items()
        return sum(value for (each, found), value in self.samples.items() if each == name and wanted <= found)


def _asked(url: str) -> str:
    began_s = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError:
            raise  # it answers, and has no numbers
        except OSError as error:
            assert not is_over(WAIT_S, began_s), f"nothing answers at {url}: {error}"
            time.sleep(0.05)


def scrape(fleet: RunningFleet, part: str) -> Numbers:
    """Ask a part for its numbers: ``REGION/agent`` or ``REGION/api``.

    The process that answers starts beside its part and yields to others: it may come later than its part.
    """
    text = _asked(f"http://127.0.0.1:{fleet.fleet.ports[part.replace('/api', '/metrics')]}/metrics")
    return Numbers(
        samples={
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )

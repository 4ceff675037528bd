"""Tests interrupt what they start, and fleets come last: one that stays up for the next test idles meanwhile.

Generated examples have no deadline, here and in CI: a busy machine is no finding. What fails prints how to repeat it.
"""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

from tests import cases

settings.register_profile("intelgraph", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("intelgraph")

# SIGINT is ignored in what a shell starts behind `&`, and would be in all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take ``--all-cases``."""
    parser.addoption(cases.OPTION, action="store_true", help="try all generated cases, not a quarter of them")


def pytest_configure(config: pytest.Config) -> None:
    """Obey it before tests are imported: they say how many cases they try when they are."""
    if config.getoption(cases.OPTION):
        cases.try_all()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put whole fleets last: each that is up takes a tenth of a core from what keeps all of them busy."""
    items.sort(key=lambda item: item.get_closest_marker("fleet") is not None)

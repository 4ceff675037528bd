"""Tests interrupt what they start, and fleets come last: one that stays up for the next test idles meanwhile."""

from __future__ import annotations

import signal

import pytest

# SIGINT is ignored in what a shell starts behind `&`, and would be in all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put whole fleets last: each that is up takes a tenth of a core from what keeps all of them busy."""
    items.sort(key=lambda item: item.get_closest_marker("fleet") is not None)

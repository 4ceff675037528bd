"""Tests interrupt what they start, and what is ``alone`` comes before what leaves fleets running for the next test."""

from __future__ import annotations

import signal

import pytest

# SIGINT is ignored in what a shell starts behind `&`, and would be in all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what must have the machine for itself: a fleet that idles takes a tenth of a core."""
    items.sort(key=lambda item: item.get_closest_marker("alone") is None)

"""Ctrl-C in a run by several workers: each is given the time to stop what it has started.

pytest-xdist ends its workers ten seconds after an interruption, and execnet interrupts a worker that is still busy
after five once more, in the middle of stopping PostgreSQL. So nobody asks them to end before they have.
"""

from __future__ import annotations

import contextlib
import time

import pytest

from tests.machine import WAIT_S


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Wait until every worker's own session is over; after an ordinary end all of them are."""
    distributing = session.config.pluginmanager.getplugin("dsession")
    until_s = time.monotonic() + WAIT_S
    for node in list(getattr(distributing, "_active_nodes", ())):
        with contextlib.suppress(Exception):  # what it says of its end is xdist's to read
            node.channel.waitclose(max(0.0, until_s - time.monotonic()))

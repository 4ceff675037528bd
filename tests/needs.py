"""What a test needs and a command installs: without it the test is skipped and says which; in CI it fails."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from intelgraph.fleet.layout.binaries import etcd_program
from scripts import clients

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_PAGE = Path(__file__).parents[1] / "console" / "dist" / "graphiql.js"


def skip_for_want_of(what: str) -> None:
    """Skip, loudly; where nothing may be skipped that a command can install, fail."""
    assert not os.environ.get("CI"), what
    pytest.skip(what)


def need_etcd() -> Path:
    """The program of etcd."""
    program = etcd_program()
    if program is None:
        skip_for_want_of("there is no etcd: `make etcd` gets it")
        raise AssertionError
    return program


def need_browser() -> str:
    """The program of Chromium."""
    program = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        skip_for_want_of("there is no Chromium: `make browser` installs it")
        raise AssertionError
    return program


def need_page() -> None:
    """The files of the GraphiQL page."""
    if not _PAGE.exists():
        skip_for_want_of("there is no GraphiQL: `make console` fetches it")


def need_clients() -> None:
    """The packages of the stock GraphQL clients."""
    if not clients.are_there():
        skip_for_want_of("the stock GraphQL clients are not here, or are others: `make clients` fetches them")

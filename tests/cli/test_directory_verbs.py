"""``tenant``, ``placement`` and ``token`` against a fleet's real databases: idempotent, typed, resumable."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import command
from tests.api.site import EU, US, Site, entity, two_regions

pytestmark = pytest.mark.postgres


@dataclass(frozen=True, kw_only=True)
class Ran:
    code: int
    out: str
    err: str

    def value(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with two_regions(tmp_path_factory.mktemp("verbs")) as site:
        yield site


def intelgraph(site: Site, *arguments: str) -> Ran:
    told = [*arguments, "--state", str(site.directory)]
    done = command.run_text(told, directory=Path.cwd(), timeout_s=60)
    return Ran(code=done.returncode, out=done.stdout, err=done.stderr)


def test_a_placement_and_a_tenant_made_by_command_take_writes_at_once(fleet: Site) -> None:
    made = intelgraph(
        fleet, "placement", "create", "new", "--regions", "us-east,eu-west", "--standby", "eu-west", "--json"
    )
    assert made.code == 0, made.err
    assert made.value()["opened"]["repeated"] is False
    assert intelgraph(fleet, "tenant", "create", "dunder", "--placement", "new").code == 0
    signed = intelgraph(fleet, "token", "--tenant", "dunder", "--role", "writer", "--json")
    client = fleet.client(US, tenant="dunder")
    client.http.headers["authorization"] = f"Bearer {signed.value()['token']}"
    assert client.write(entity()).status_code == 200


def test_creating_the_same_again_gives_the_same_answer_and_other_values_are_refused(fleet: Site) -> None:
    arguments = ("placement", "create", "twice", "--regions", "us-east,eu-west", "--json")
    first, again = intelgraph(fleet, *arguments).value(), intelgraph(fleet, *arguments).value()
    assert again == {**first, "opened": {**first["opened"], "repeated": True}}
    other = intelgraph(fleet, "placement", "create", "twice", "--regions", "us-east", "--json")
    assert (other.code, other.value()["error"]["code"]) == (1, "placement_exists")
    assert "it exists, and regions is eu-west, us-east (asked for us-east)" in other.err
    missing = intelgraph(fleet, "tenant", "create", "nobody", "--placement", "nowhere")
    assert (missing.code, "there is no placement nowhere" in missing.err) == (1, True)


def test_a_region_that_the_fleet_does_not_have_is_refused(fleet: Site) -> None:
    refused = intelgraph(fleet, "placement", "create", "far", "--regions", "us-east,ap-south", "--json")
    assert (refused.code, refused.value()["error"]["code"]) == (1, "unknown_region")


def test_opening_at_the_standby_moves_the_writes_and_running_it_again_changes_nothing(fleet: Site) -> None:
    intelgraph(fleet, "placement", "create", "move", "--regions", "us-east,eu-west", "--standby", "eu-west")
    intelgraph(fleet, "tenant", "create", "sabre", "--placement", "move")
    us, eu = fleet.client(US, tenant="sabre"), fleet.client(EU, tenant="sabre")
    before = us.write(entity("kept")).json()["bookmark"]
    assert eu.entity("kept", before).status_code == 200
    opened = intelgraph(fleet, "placement", "open", "move", "--home", EU, "--json")
    assert opened.code == 0, opened.err
    assert (opened.value()["epoch"], opened.value()["home"], opened.value()["standby"]) == (2, EU, US)
    again = intelgraph(fleet, "placement", "open", "move", "--home", EU, "--json").value()
    assert (again["epoch"], again["opened"]["repeated"]) == (2, True)
    after = us.write(entity("moved"))
    assert (after.status_code, after.headers["IG-Region"]) == (200, EU), after.text
    assert after.json()["bookmark"].startswith("eu-west/1/2/")
    assert us.entity("kept", after.json()["bookmark"]).status_code == 200


def test_opening_does_not_take_a_region_off_in_passing(fleet: Site) -> None:
    intelgraph(fleet, "placement", "create", "whole", "--regions", "us-east,eu-west")
    refused = intelgraph(fleet, "placement", "open", "whole", "--home", US, "--regions", US, "--json")
    error = refused.value()["error"]
    assert (refused.code, error["code"], error["facts"]["left_out"]) == (1, "use_remove_region", [EU])
    assert "`intelgraph placement remove-region whole eu-west`" in error["reason"]
    assert intelgraph(fleet, "placement", "show", "whole", "--json").value()["epoch"] == 1
    intelgraph(fleet, "placement", "create", "small", "--regions", US)
    wider = intelgraph(fleet, "placement", "open", "small", "--home", US, "--regions", f"{US},{EU}", "--json").value()
    assert (wider["epoch"], wider["regions"]) == (2, [US, EU])


def test_an_epoch_change_that_was_interrupted_is_finished_by_running_it_again(fleet: Site) -> None:
    intelgraph(fleet, "placement", "create", "halfway", "--regions", "us-east,eu-west", "--standby", "eu-west")
    with sqlite3.connect(fleet.control) as store:
        (value,) = store.execute("select value from entry where key = 'placements/halfway'").fetchone()
        decided = {**json.loads(value), "home": EU, "standby": US, "epoch": 2}
        store.execute("update store set revision = revision + 1")
        store.execute(
            "update entry set value = ?, revision = (select revision from store) where key = 'placements/halfway'",
            (json.dumps(decided).encode(),),
        )
    finished = intelgraph(fleet, "placement", "open", "halfway", "--home", EU, "--json")
    assert finished.code == 0, finished.err
    assert (finished.value()["epoch"], finished.value()["opened"]["repeated"]) == (2, False)


def test_list_and_show_say_where_everything_lives_and_hide_the_digest_key(fleet: Site) -> None:
    listed = intelgraph(fleet, "placement", "list", "--json").value()["placements"]
    assert {"both", "sure", "europe"} <= {placement["id"] for placement in listed}
    assert "digest_key" not in json.dumps(listed)
    assert intelgraph(fleet, "tenant", "show", "acme", "--json").value()["placement"]["home"] == US
    assert intelgraph(fleet, "placement", "show", "nowhere").code == 1


@pytest.mark.parametrize("ttl", ["0", "-1h", "1y", "9999999999d", "1 h"])
def test_a_token_s_time_to_live_must_make_sense(fleet: Site, ttl: str) -> None:
    ran = intelgraph(fleet, "token", "--tenant", "acme", f"--ttl={ttl}", "--json")
    assert (ran.code, ran.out) == (2, "")
    assert "Invalid value for '--ttl'" in ran.err


def test_a_session_in_a_regions_database_is_the_owners(fleet: Site) -> None:
    asked = intelgraph(fleet, "psql", "us-east", "-Atc", "select current_user")
    assert (asked.code, asked.out) == (0, "ig_admin\n"), asked.err
    assert intelgraph(fleet, "psql", "us-east", "-Atc", "select nonsense").code == 1
    unknown = intelgraph(fleet, "psql", "ap-south")
    assert (unknown.code, "ap-south is refused" in unknown.err) == (1, True)


@pytest.mark.parametrize("place", ["control.db", "regions/us-east/mine.json", "new.json"])
def test_nothing_is_written_into_a_fleet_s_state(fleet: Site, tmp_path: Path, place: str) -> None:
    """Its control store is there: a list of rejects in its place would be the end of every tenant."""
    bundle, target = tmp_path / "in.json", fleet.directory / place
    bundle.write_text('{"type": "bundle", "id": "bundle--1", "objects": []}')
    (tmp_path / "link").symlink_to(fleet.directory)
    before = target.read_bytes() if target.exists() else None
    door = ("--tenant", "acme", "--url", "http://127.0.0.1:9", "--token", "t")
    for path in (target, tmp_path / "link" / place):
        for arguments in (
            ("export", str(path), *door),
            ("import", str(bundle), "--rejects", str(path), *door),
            ("import", str(bundle), "--journal", str(path), *door),
        ):
            ran = intelgraph(fleet, *arguments)
            assert (ran.code, "is refused" in ran.err) == (1, True), ran
    assert (target.read_bytes() if target.exists() else None) == before

"""``import`` and ``export`` as a person runs them: processes, files, exit codes; the door is a fake one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from intelgraph.client.import_sender import is_in_force
from tests import command
from tests.fakes.door import FakeDoor
from tests.machine import WAIT_S

TIME = "2020-01-01T00:00:00.000Z"
TIMES = {"created": TIME, "modified": TIME, "spec_version": "2.1"}


@dataclass(frozen=True, kw_only=True)
class Ran:
    code: int
    out: str
    err: str


@contextmanager
def serving(door: FakeDoor) -> Iterator[FakeDoor]:
    """The fake door in a thread of its own."""
    loop = asyncio.new_event_loop()
    ready, ended = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with door.serve():
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(WAIT_S)
        yield door
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(WAIT_S)
        loop.close()


@pytest.fixture
def door() -> Iterator[FakeDoor]:
    with serving(FakeDoor()) as served:
        yield served


def who(door: FakeDoor, tenant: str) -> list[str]:
    return ["--tenant", tenant, "--url", door.url, "--token", f"{tenant}:writer"]


def start(place: Path, door: FakeDoor, *arguments: str, tenant: str = "acme") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "intelgraph.cli.main", *arguments, *who(door, tenant)],
        cwd=place,
        env={**os.environ, "TMPDIR": str(place)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ig(place: Path, door: FakeDoor, *arguments: str, tenant: str = "acme", stdin: str = "") -> Ran:
    done = command.run(
        [*arguments, *who(door, tenant)],
        directory=place,
        timeout_s=60,
        stdin=stdin.encode(),
        more_environment={"TMPDIR": str(place)},
    )
    return Ran(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


def uuid_of(number: int) -> str:
    return f"31b940d4-6f7f-459a-80ea-{number:012x}"


def malware(number: int, **more: Any) -> dict[str, Any]:
    return {"type": "malware", "id": f"malware--{uuid_of(number)}", "name": f"Ivy {number}", **TIMES, **more}


def uses(number: int, source: int, target: int) -> dict[str, Any]:
    ends = {"source_ref": malware(source)["id"], "target_ref": malware(target)["id"], "relationship_type": "uses"}
    return {"type": "relationship", "id": f"relationship--{uuid_of(number)}", **TIMES, **ends}


def bundle(*objects: object) -> str:
    return json.dumps({"type": "bundle", "id": f"bundle--{uuid_of(0)}", "objects": objects})


def test_what_is_exported_imports_back_to_the_same_digest(tmp_path: Path, door: FakeDoor) -> None:
    odd = malware(3, name="Übel 🕸", confidence=85.0, x_big=2**60, x_float=1e22, x_nested={"": [None, True, {}]})
    (tmp_path / "in.json").write_text(bundle(uses(1, 1, 3), malware(1), odd, malware(2, revoked=True)))
    door.store.of("acme", "entity")["host/1"] = {
        "id": "host/1",
        "type": "Host",
        "name": "not STIX",
        "created": "2020-01-01T00:00:00.000001Z",
        "updated": "2020-01-01T00:00:00.000001Z",
        "revision": 3,
        "properties": {"type": "x"},
    }
    assert ig(tmp_path, door, "import", "in.json").code == 0
    first = ig(tmp_path, door, "export", "out.json", "--json")
    assert first.code == 0, first.err
    assert ig(tmp_path, door, "import", "out.json", tenant="globex").code == 0
    again = ig(tmp_path, door, "export", "again.json", tenant="globex")
    digest = json.loads(first.out)["digest"]
    assert again.out == f"content digest {digest}\n"
    assert ig(tmp_path, door, "export", "--digest-only").out == f"{digest}\n"
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "out.json").read_bytes()
    exported = json.loads((tmp_path / "out.json").read_text())
    assert {one["id"]: one for one in exported["objects"]}[odd["id"]] == odd


def test_the_summary_counts_and_the_rejects_file_lists(tmp_path: Path, door: FakeDoor) -> None:
    text = bundle(malware(1), malware(1), uses(1, 1, 9), {"type": "malware", "id": "malware--9"}, 7)
    ran = ig(tmp_path, door, "import", "-", "--rejects", "no.jsonl", "--json", stdin=text)
    assert ran.code == 0, ran.err
    summary = json.loads(ran.out)
    assert (summary["entities"], summary["relationships"]) == (1, 0)
    assert summary["rejected"] == {"bad_id": 1, "dangling": 1, "duplicate": 1, "not_an_object": 1}
    listed = [json.loads(line) for line in (tmp_path / "no.jsonl").read_text().splitlines()]
    assert sorted((one["position"], one["code"]) for one in listed) == [
        (1, "duplicate"),
        (2, "dangling"),
        (3, "bad_id"),
        (4, "not_an_object"),
    ]
    told = ig(tmp_path, door, "import", "-", stdin=text)
    assert "not taken: 4" in told.out and "elements are counted from 0" in told.out
    assert (
        "1 entity and 0 relationships" in ig(tmp_path, door, "import", "-", "--replace", stdin=bundle(malware(3))).out
    )
    assert "element 3 malware--9" in told.out


def test_an_import_that_takes_nothing_of_what_is_there_does_not_succeed(tmp_path: Path, door: FakeDoor) -> None:
    nothing = ig(tmp_path, door, "import", "-", "--json", stdin=bundle(7, {"type": "malware"}, uses(1, 1, 2)))
    assert nothing.code == 1
    assert json.loads(nothing.out)["rejected"] == {"dangling": 1, "missing_id": 1, "not_an_object": 1}
    assert "nothing was taken: each of the 3 elements was rejected" in nothing.err
    at_the_door = ig(tmp_path, door, "import", "-", stdin=bundle(malware(1, type="x-forbidden", id="x-forbidden--9")))
    assert at_the_door.code == 1
    assert ig(tmp_path, door, "import", "-", stdin=bundle(7, malware(1))).code == 0
    for empty in ('{"type":"bundle","objects":[]}', '{"type":"bundle"}'):
        told = ig(tmp_path, door, "import", "-", stdin=empty)
        assert (told.code, "the bundle holds no objects" in told.out) == (0, True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_an_import_that_is_done_says_so_when_its_list_cannot_be_written(tmp_path: Path, door: FakeDoor) -> None:
    ran = ig(tmp_path, door, "import", "-", "--rejects", "/dev/full", stdin=bundle(malware(1), 7))
    assert ran.code == 1
    assert "imported into acme: 1 entity" in ran.out
    assert "the import is done, but what was not taken is not listed: /dev/full: No space left on device" in ran.err
    broken = ig(tmp_path, door, "import", "-", "--rejects", "/dev/full", stdin=bundle(malware(2), 7)[:-2])
    assert "the import is done" not in broken.err + broken.out


def test_a_file_that_breaks_off_changes_nothing_and_leaves_nothing(tmp_path: Path, door: FakeDoor) -> None:
    text = bundle(*(malware(number) for number in range(3_000)))
    ran = ig(tmp_path, door, "import", "-", "--json", stdin=text[:-5])
    assert ran.code == 1
    assert json.loads(ran.out)["error"]["code"] == "not_json"
    assert "Traceback" not in ran.err
    assert {method for method, _ in door.requests} == {"GET"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stop", [pytest.param(signal.SIGINT, marks=pytest.mark.prove), signal.SIGKILL])
def test_stopped_anywhere_the_same_command_goes_on(tmp_path: Path, door: FakeDoor, stop: signal.Signals) -> None:
    objects = [*(malware(n) for n in range(9_000)), *(uses(n, n, n + 1) for n in range(8_999))]
    (tmp_path / "in.json").write_text(bundle(*objects))
    door.trouble.extend([""] * 4 + ["slow"] * 14)  # however late this test sees the fourth, the last is not yet written
    process = start(tmp_path, door, "import", "in.json")
    try:
        until = time.monotonic() + 120
        while len(door.store.outcomes) < 4 and time.monotonic() < until:
            time.sleep(0.001)
        process.send_signal(stop)
        process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
    assert process.returncode == (130 if stop is signal.SIGINT else -stop)
    assert 4 <= len(door.store.outcomes) < 18
    door.trouble.clear()
    left = {path.name for path in tmp_path.iterdir()}
    assert len(left) == 2 and all("malware" not in (tmp_path / name).read_text() for name in left - {"in.json"})
    ran = ig(tmp_path, door, "import", "in.json", "--json")
    assert ran.code == 0, ran.err
    summary = json.loads(ran.out)
    assert (summary["entities"], summary["relationships"], summary["batches"]) == (9_000, 8_999, 18)
    assert summary["batches_resumed"] >= 1
    for kind in ("entity", "relationship"):
        assert {thing["revision"] for thing in door.store.of("acme", kind).values()} == {1}
    assert not list(tmp_path.glob(".intelgraph-import-*"))


@pytest.mark.parametrize(
    ("word", "classes", "counts"),
    [
        ("remote", ["accepted"], True),
        ("home-only", ["accepted"], True),
        ("adopted", ["adopted"], True),
        ("remote", ["rejected", "accepted"], True),
        ("home-only", ["adoptable"], False),
        ("rejected", ["rejected"], False),
        ("conflict", ["duplicate"], False),
        ("unknown", ["held"], False),
        ("unknown", [], False),
    ],
)
def test_a_write_is_in_force_when_one_of_its_rows_counts(word: str, classes: list[str], counts: bool) -> None:
    assert is_in_force({"outcome": word, "outcomes": [{"outcome": word, "class": each} for each in classes]}) is counts


def test_a_write_that_the_standby_did_not_confirm_is_not_called_done(tmp_path: Path, door: FakeDoor) -> None:
    door.trouble.extend(["unknown"] * 4)
    (tmp_path / "in.json").write_text(bundle(malware(1)))
    ran = ig(tmp_path, door, "import", "in.json")
    assert ran.code == 1
    assert "not confirmed" in ran.err
    assert ig(tmp_path, door, "import", "in.json").code == 0
    assert door.store.of("acme", "entity")[malware(1)["id"]]["revision"] == 1


def test_batches_travel_together_but_not_without_bound(tmp_path: Path, door: FakeDoor) -> None:
    (tmp_path / "in.json").write_text(bundle(*(malware(number) for number in range(12_000))))
    assert ig(tmp_path, door, "import", "in.json").code == 0
    assert 2 <= door.most_at_once <= 4


def test_an_export_tells_whether_writes_went_on(tmp_path: Path, door: FakeDoor) -> None:
    (tmp_path / "in.json").write_text(bundle(malware(1)))
    bookmark = json.loads(ig(tmp_path, door, "import", "in.json", "--json").out)["bookmark"]
    quiet = ig(tmp_path, door, "export", "--digest-only", "--json", "--bookmark", bookmark)
    assert json.loads(quiet.out)["written_since"] is False
    ig(tmp_path, door, "import", "-", stdin=bundle(malware(2)))
    busy = ig(tmp_path, door, "export", "--digest-only", "--json", "--bookmark", bookmark)
    assert json.loads(busy.out)["written_since"] is True


def test_an_export_that_fails_leaves_the_file_that_was_there(tmp_path: Path, door: FakeDoor) -> None:
    (tmp_path / "out.json").write_text("before")
    door.allowed = ("eu-west",)
    ran = ig(tmp_path, door, "export", "out.json")
    assert (ran.code, (tmp_path / "out.json").read_text()) == (1, "before")
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["import"],
        ["import", "x.json", "--sample", "attack"],
        ["export"],
        ["export", "x.json", "--digest-only"],
        ["import", "absent.json"],
        ["import", "x.json", "--region", "us-east"],
        ["export", "--digest-only", "--bookmark", "yesterday"],
    ],
)
def test_wrong_usage_is_refused_in_words(tmp_path: Path, door: FakeDoor, arguments: list[str]) -> None:
    ran = ig(tmp_path, door, *arguments)
    assert ran.code in (1, 2)
    assert ran.err
    assert "Traceback" not in ran.err
    assert door.requests == []


def test_an_older_bundle_is_listed_and_replaces_only_when_it_is_told_to(tmp_path: Path, door: FakeDoor) -> None:
    day_2 = "2026-01-02T00:00:00.000Z"
    assert ig(tmp_path, door, "import", "-", stdin=bundle(malware(1, modified=day_2, revoked=True))).code == 0
    older = bundle(malware(1), malware(2))
    ran = ig(tmp_path, door, "import", "-", "--json", "--rejects", "no.jsonl", stdin=older)
    told = json.loads(ran.out)
    assert (ran.code, told["entities"], told["unchanged"], told["rejected"]) == (0, 1, 0, {"older_version": 1})
    assert json.loads((tmp_path / "no.jsonl").read_text())["code"] == "older_version"
    assert door.store.of("acme", "entity")[malware(1)["id"]]["properties"] == {"revoked": True}
    again = ig(tmp_path, door, "import", "-", "--replace", stdin=older)
    assert "unchanged: 1" in again.out
    assert "properties" not in door.store.of("acme", "entity")[malware(1)["id"]]


def test_a_refused_file_leaves_nothing_in_the_list(tmp_path: Path, door: FakeDoor) -> None:
    text = bundle(*(malware(number) for number in range(3_000)), 7)
    ran = ig(tmp_path, door, "import", "-", "--rejects", "no.jsonl", stdin=text[:-2])
    assert ran.code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_goes_through_standard_output_under_any_name(tmp_path: Path, door: FakeDoor) -> None:
    ig(tmp_path, door, "import", "-", stdin=bundle(malware(1)))
    for name in ("-", "/dev/stdout", "/dev/fd/1"):
        ran = ig(tmp_path, door, "export", name)
        assert json.loads(ran.out)["objects"][0]["id"] == malware(1)["id"]
        assert "content digest" in ran.err
    full = ig(tmp_path, door, "export", "/dev/full")
    assert (full.code, "No space left on device" in full.err, "Traceback" in full.err) == (1, True, False)


def test_an_unknown_tenant_is_said_before_the_file_is_read(tmp_path: Path, door: FakeDoor) -> None:
    process = start(tmp_path, door, "import", "-", tenant="nobody")
    try:
        assert process.wait(60) == 1  # with standard input still open: it was not read
        assert process.stderr is not None
        assert "unknown_tenant" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    ran = ig(tmp_path, door, "export", "out.json", tenant="nobody")
    assert (ran.code, list(tmp_path.iterdir())) == (1, [])

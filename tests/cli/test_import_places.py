"""What an import may write over: nothing that it reads, no bystander, no file that is not its own."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest

from intelgraph.operations.transfer.file_places import check_outside, check_places
from tests.cli.test_import_export import Ran, bundle, door, ig, malware
from tests.fakes.door import FakeDoor

__all__ = ["door"]


def refused(ran: Ran) -> str:
    assert ran.code == 1, ran.out + ran.err
    return str(json.loads(ran.out)["error"]["code"])


@pytest.mark.parametrize("option", ["--rejects", "--journal"])
def test_the_bundle_itself_is_not_written_over_whatever_it_is_called(
    tmp_path: Path, door: FakeDoor, option: str
) -> None:
    text = bundle(malware(1))
    (tmp_path / "in.json").write_text(text)
    (tmp_path / "linked.json").symlink_to("in.json")
    (tmp_path / "hard.json").hardlink_to(tmp_path / "in.json")
    (tmp_path / "sub").mkdir()
    for name in ("in.json", "linked.json", "hard.json", "sub/../in.json"):
        assert refused(ig(tmp_path, door, "import", "in.json", option, name, "--json")) == "bad_place"
    assert (tmp_path / "in.json").read_text() == text
    assert door.requests == []


def test_rejects_and_journal_are_two_files(tmp_path: Path, door: FakeDoor) -> None:
    (tmp_path / "in.json").write_text(bundle(malware(1)))
    ran = ig(tmp_path, door, "import", "in.json", "--rejects", "x", "--journal", "./x", "--json")
    assert refused(ran) == "bad_place"


def test_a_file_that_is_no_journal_is_not_taken_for_one(tmp_path: Path, door: FakeDoor) -> None:
    (tmp_path / "in.json").write_text(bundle(malware(1)))
    (tmp_path / "notes.txt").write_text("dear diary\n")
    (tmp_path / "rejects.jsonl").write_text("earlier")
    arguments = ("import", "in.json", "--journal", "notes.txt", "--rejects", "rejects.jsonl", "--json")
    assert refused(ig(tmp_path, door, *arguments)) == "bad_place"
    assert (tmp_path / "notes.txt").read_text() == "dear diary\n"
    assert (tmp_path / "rejects.jsonl").read_text() == "earlier"


def test_a_bystander_beside_the_journal_stays(tmp_path: Path, door: FakeDoor) -> None:
    (tmp_path / "in.json").write_text(bundle(malware(1)))
    (tmp_path / "notes.new").write_text("a bystander")
    (tmp_path / "notes.txt").touch()  # empty, as mktemp makes it
    assert ig(tmp_path, door, "import", "in.json", "--journal", "notes.txt").code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"in.json", "notes.new"}
    assert (tmp_path / "notes.new").read_text() == "a bystander"


def test_what_is_no_file_is_no_journal_but_may_take_the_rejects(tmp_path: Path, door: FakeDoor) -> None:
    (tmp_path / "in.json").write_text(bundle(malware(1), 7))
    assert ig(tmp_path, door, "import", "in.json", "--rejects", "/dev/null").code == 0
    assert refused(ig(tmp_path, door, "import", "in.json", "--journal", "/dev/null", "--json")) == "bad_place"
    check_places(Path("/dev/stdin"), rejects=Path("/dev/null"), journal=None)


LONG = "n" * 300


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        ((LONG,), "no_file", "File name too long"),
        (("looped",), "no_file", "Too many levels of symbolic links"),
        (("in.json", "--journal", LONG), "bad_place", "File name too long"),
        (("in.json", "--journal", "looped"), "bad_place", "Too many levels of symbolic links"),
        (("in.json", "--journal", "in.json/x"), "bad_place", "Not a directory"),
        (("in.json", "--rejects", LONG), "file_not_writable", "File name too long"),
        (("in.json", "--rejects", "looped"), "file_not_writable", "Too many levels of symbolic links"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(
    tmp_path: Path, door: FakeDoor, arguments: tuple[str, ...], code: str, why: str
) -> None:
    (tmp_path / "in.json").write_text(bundle(malware(1)))
    (tmp_path / "looped").symlink_to("back")
    (tmp_path / "back").symlink_to("looped")
    ran = ig(tmp_path, door, "import", *arguments, "--json")
    assert refused(ran) == code
    assert "refused: " in ran.err and ran.err.endswith(f"{why}\n")
    check_outside(tmp_path / "regions", *(Path(tmp_path, each) for each in arguments))


def test_the_file_on_standard_input_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text("{}")
    with (tmp_path / "in.json").open("rb") as stdin:
        with pytest.raises(Exception, match="is what is imported"):
            check_places(None, stdin, rejects=tmp_path / "in.json", journal=None)
        check_places(None, stdin, rejects=tmp_path / "other", journal=None)
    check_places(None, BytesIO(), rejects=tmp_path / "in.json", journal=None)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["import", ""], "no_file", "'' is no name: it is empty"),
        (["export", ""], "file_not_writable", "'' is no name: it is empty"),
        (["export", "new/"], "file_not_writable", "'new/' is the name of a directory"),
    ],
)
def test_what_names_no_file_is_refused(
    tmp_path: Path, door: FakeDoor, arguments: list[str], code: str, told: str
) -> None:
    ran = ig(tmp_path, door, *arguments, "--json")
    assert refused(ran) == code
    assert told in ran.err + ran.out
    assert list(tmp_path.iterdir()) == []
    assert door.requests == []

"""A report says the same in all its forms, reads back equal, needs nothing from elsewhere, and is kept whole or not."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from intelgraph.cli.drill import _line, _value
from intelgraph.drill.checker import check
from intelgraph.drill.kept import HISTORY, PAGE, REPORT, keep, listed, load, make_id, reserve
from intelgraph.drill.report import Report, as_html, as_json, as_text, from_json, make_report
from intelgraph.drill.score import FaultTimes, score
from intelgraph.drill.timeline import draw
from intelgraph.model.errors import PermanentError
from intelgraph.model.printable import in_markup
from tests.drill.model import HOME, World, simulate

ID = make_id("2026-01-31T08:00:00.000Z", "crash")


def _report(*, listed_keys: bool = True, world: World | None = None, title: str = "Region loss: us-east") -> Report:
    world = world or World(seed=2, operations=400, fault_s=2.0, durability="home", lag_s=0.3)
    history, fates = simulate(world)
    fates = fates if listed_keys else {}
    verdicts = check(history, fates)
    fault = FaultTimes(name="crash", injected_s=world.fault_s, region=HOME) if world.fault_s is not None else None
    scored = score(history, verdicts, fault=fault, fates=fates)
    return make_report(history, verdicts, scored, id=ID, title=title, about={"fault": "crash"})


def test_it_reads_back_equal() -> None:
    report = _report()
    assert from_json(as_json(report)) == report


def test_all_forms_give_the_same_figures_and_verdict() -> None:
    report = _report()
    page, text = as_html(report), as_text(report)
    assert report.score.rto_s is not None
    for shown in (f"{report.score.rto_s:.2f} s", f"{report.score.rpo_s:.2f} s", str(report.score.rpo_writes)):
        assert shown in page
        assert shown in text
    assert "every promise held" in page
    assert "BROKEN" not in text


def test_a_broken_promise_is_said_first_and_with_its_operations() -> None:
    report = _report(listed_keys=False)
    page, text = as_html(report), as_text(report)
    assert "promises were broken" in page
    assert "BROKEN" in text
    lost = next(anomaly for verdict in report.verdicts for anomaly in verdict.unexplained)
    assert all(str(number) in report.evidence for number in lost.operations)
    assert report.evidence[str(lost.operations[0])].client in page


def test_a_takeover_that_never_came_is_said_in_words() -> None:
    report = _report()
    report = msgspec.structs.replace(report, score=msgspec.structs.replace(report.score, rto_s=None))
    assert not report.holds
    for shown in (as_html(report), as_text(report)):
        assert re.search(r"nobody took over: no write was acknowledged elsewhere within [0-9.]+ s after us-east", shown)


def test_what_was_written_elsewhere_shows_nothing_raw_in_text_and_page() -> None:
    hostile = "x\x1b]0;t\x07\nforged line\u202e\x9b31m<b>"
    report = _report(listed_keys=False, title=hostile)
    marks = tuple(msgspec.structs.replace(mark, what=hostile, detail=hostile) for mark in report.marks)
    verdicts = tuple(
        msgspec.structs.replace(
            verdict, anomalies=tuple(msgspec.structs.replace(each, reason=hostile) for each in verdict.anomalies)
        )
        for verdict in report.verdicts
    )
    report = msgspec.structs.replace(report, marks=marks, verdicts=verdicts, about={hostile: hostile})
    page = as_html(report)
    assert in_markup(hostile) in page
    for line in (*as_text(report).split("\n"), *page.split("\n")):
        assert line.isprintable()


def test_a_page_needs_nothing_from_elsewhere_and_lets_nothing_in() -> None:
    page = as_html(_report(title="<script>alert(1)</script> & 'more'"))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"(src|href)=|url\(|@import", page)
    assert not re.search(r"\$[a-z{]", page), "a placeholder is left"


@pytest.mark.parametrize(
    "world", [World(seed=1, operations=0), World(seed=1, operations=30), World(seed=1, operations=400, fault_s=2.0)]
)
def test_the_time_line_is_well_formed_and_inside_its_frame(world: World) -> None:
    report = _report(world=world)
    root = ElementTree.fromstring(draw(report.score, report.marks))
    _, _, width, height = (float(number) for number in root.attrib["viewBox"].split())
    for bar in root.iter("{http://www.w3.org/2000/svg}rect"):
        x, y, wide, tall = (float(bar.attrib[name]) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + wide <= width
        assert 0 <= y <= y + tall <= height


def test_reports_are_listed_newest_first_and_an_interrupted_drill_among_them(tmp_path: Path) -> None:
    report = _report()
    interrupted = reserve(tmp_path, make_id("2026-02-01T08:00:00.000Z", "pause"))
    (interrupted / HISTORY).write_bytes(b"")
    (tmp_path / "something-else").mkdir()
    directory = keep(tmp_path, report)
    assert {path.name for path in directory.iterdir()} == {REPORT, PAGE}
    assert [(each.id, each.report) for each in listed(tmp_path)] == [(interrupted.name, None), (ID, report)]
    assert load(tmp_path, ID).report == report


def test_a_report_that_cannot_be_read_is_listed_as_such_and_hides_no_other(tmp_path: Path) -> None:
    report = _report()
    keep(tmp_path, report)
    broken = reserve(tmp_path, make_id("2026-02-01T08:00:00.000Z", "pause"))
    (broken / REPORT).write_bytes(b'{"id": "2026')
    first, second = listed(tmp_path)
    assert (first.id, first.report, second.report) == (broken.name, None, report)
    assert first.unreadable is not None and str(broken) in first.unreadable
    assert second.unreadable is None
    assert "unreadable" in _line(first) and "interrupted" not in _line(first)
    assert _value(first)["unreadable"] == first.unreadable
    with pytest.raises(PermanentError, match="cannot be read"):
        load(tmp_path, broken.name)


def test_nothing_that_is_kept_is_overwritten(tmp_path: Path) -> None:
    keep(tmp_path, _report())
    with pytest.raises(PermanentError, match="kept already"):
        keep(tmp_path, _report())
    with pytest.raises(PermanentError, match="is kept already"):
        reserve(tmp_path, ID)


@pytest.mark.parametrize("wanted", ["20260131-080000-none", "../etc", "", "x"])
def test_a_drill_that_is_not_kept_is_refused(wanted: str, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="has none of that id"):
        load(tmp_path, wanted)

"""A history is read back as it was written, whatever is in it, and is written with bounded memory."""

from __future__ import annotations

import tempfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intelgraph.drill.history import (
    FAULT,
    WRITES,
    Header,
    History,
    HistoryWriter,
    Kind,
    Mark,
    Operation,
    Outcome,
    Setback,
    Step,
    read_history,
)
from intelgraph.model.errors import PermanentError
from tests.cases import cases
from tests.drill.model import World, simulate

seconds = st.floats(0, 1e6, allow_nan=False)
words = st.text(max_size=20)
maybe_words = st.none() | words
steps = st.builds(
    Step,
    object=words,
    value=st.none() | st.integers(-(2**60), 2**60),
    elements=st.none() | st.lists(st.integers(0, 9), max_size=4).map(tuple),
    revision=st.none() | st.integers(0, 99),
)


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    kind = draw(st.sampled_from(Kind))
    outcomes = list(Outcome) if kind in WRITES else [Outcome.OK, Outcome.FAIL]
    invoked_s = draw(seconds)
    return Operation(
        id=draw(st.integers(1, 2**40)),
        client=draw(words),
        door=draw(words),
        kind=kind,
        placement=draw(words),
        tenant=draw(words),
        invoked_s=invoked_s,
        completed_s=invoked_s + draw(seconds),
        outcome=draw(st.sampled_from(outcomes)),
        steps=tuple(draw(st.lists(steps, max_size=3))),
        members=tuple(draw(st.lists(words, max_size=3))),
        key=draw(maybe_words),
        patient=draw(st.booleans()),
        carried=draw(maybe_words),
        bookmark=draw(st.sampled_from((None, "us-east/1/2/3"))),
        durability=draw(st.sampled_from((None, "home", "remote"))),
        region=draw(maybe_words),
        staleness_ms=draw(st.none() | seconds),
        repeated=draw(st.booleans()),
        retry_after_s=draw(st.none() | seconds),
        code=draw(maybe_words),
        setbacks=tuple(draw(st.lists(st.builds(Setback, at_s=seconds, code=words, region=maybe_words), max_size=3))),
    )


histories = st.builds(
    History,
    header=st.builds(
        Header,
        began=words,
        regions=st.dictionaries(words, st.lists(words, max_size=3).map(tuple), max_size=3),
        seed=st.integers(0, 2**40),
    ),
    operations=st.lists(operations(), max_size=8).map(tuple),
    marks=st.lists(st.builds(Mark, at_s=seconds, what=words, detail=words), max_size=3).map(tuple),
)


def write_history(path: Path, history: History) -> None:
    """Write a whole history."""
    with HistoryWriter(path, history.header) as writer:
        for mark in history.marks:
            writer.mark(mark)
        for operation in history.operations:
            writer.operation(operation)


@settings(max_examples=cases(75), deadline=None)
@given(histories)
def test_what_was_written_is_read_back_equal(history: History) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "history.jsonl"
        write_history(path, history)
        assert read_history(path) == history


def test_a_line_that_was_cut_short_by_a_crash_is_left_out(tmp_path: Path) -> None:
    history, _ = simulate(World(seed=1, operations=50))
    path = tmp_path / "history.jsonl"
    write_history(path, history)
    path.write_bytes(path.read_bytes()[:-10])
    assert read_history(path).operations == history.operations[:-1]


def test_marks_may_come_from_another_thread_while_operations_end(tmp_path: Path) -> None:
    """Who injects a fault need not be who asks."""
    path, (history, _) = tmp_path / "history.jsonl", simulate(World(seed=1, operations=50))
    mark, each = Mark(at_s=1.0, what=FAULT), 2_000

    def marks() -> None:
        for _ in range(each):
            writer.mark(mark)

    with HistoryWriter(path, history.header) as writer, ThreadPoolExecutor(1) as pool:
        marking = pool.submit(marks)
        for number in range(each):
            writer.operation(history.operations[number % 50])
        marking.result()
    told = read_history(path)
    assert (len(told.operations), len(told.marks)) == (each, each)


def test_a_mark_is_on_disk_before_the_writer_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with HistoryWriter(path, Header(began="now", regions={})) as writer:
        writer.mark(Mark(at_s=1.0, what=FAULT))
        assert read_history(path).marks == (Mark(at_s=1.0, what=FAULT),)


@pytest.mark.parametrize("content", [b"", b"{}\n", b'{"is":"history","began":"","regions":{},"format":99}\n', b"x\n"])
def test_a_file_that_is_no_history_is_refused_with_the_reason(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(content)
    with pytest.raises(PermanentError, match="is refused"):
        read_history(path)


def test_a_read_is_never_unknown_and_nothing_ends_before_it_begins() -> None:
    about = {"id": 1, "client": "c", "door": "d", "placement": "p", "tenant": "t"}
    with pytest.raises(ValueError, match="is a read"):
        Operation(kind=Kind.GET, invoked_s=0, completed_s=1, outcome=Outcome.UNKNOWN, **about)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="before it begins"):
        Operation(kind=Kind.GET, invoked_s=2, completed_s=1, outcome=Outcome.OK, **about)  # type: ignore[arg-type]


def test_writing_keeps_little_in_memory(tmp_path: Path) -> None:
    history, _ = simulate(World(seed=1, operations=500))
    with HistoryWriter(tmp_path / "history.jsonl", history.header) as writer:
        tracemalloc.start()
        for _ in range(30):
            for operation in history.operations:
                writer.operation(operation)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (tmp_path / "history.jsonl").stat().st_size > 3_000_000
    assert peak < 1_000_000

"""Histories as a person writes them down: one operation a line.

::

    # what is wrong with it, in words
    expect: fence epoch_went_back          (none: nothing is found; a line for each; "explained" behind it if it is)
    regions: us-east eu-west
    fates: k1=home-only
    left: k1=us-east                       (a row of k1 was left there, although another one counts)
    end: 0.6                               (the clients stopped then)
    #client door     time      what                  outcome
    a      us-east  0.0-0.1   put x 5               ok us-east/1/1/1 home key=k1
    b      eu-west  0.2-0.3   get x 5               ok stale=20 carries=us-east/1/1/1
    b      eu-west  0.2-0.3   append x 2 [1 2], y 7 [7]    unknown

What: ``insert e1, e2``; ``members e1 e2``; ``put x 5``; ``get x 5`` or ``get x -``; ``append x 2 [1 2], y 7 [7]``;
``lists x [1 2], y []``; ``deposit a 100, b 100``; ``transfer a 90, b 110``; ``accounts a 90, b 110``;
``relate a, e1>a>b`` (a node; an edge from a to b); ``delete a``; ``graph a@1, b@0, e1>a>b``; ``pages e1 e2`` (or
``-``); ``follow`` and bookmarks. ``@3`` behind an object is its revision. The outcome, then in any order: a bookmark,
``home`` or ``remote``, ``key=``, ``by=`` (which region answered; else the door), ``stale=`` milliseconds (reads at
their door: 0 unless given), ``carries=``, ``code=``, ``repeated``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intelgraph.drill.checker.verdict import Fate
from intelgraph.drill.history import END, WRITES, Header, History, Kind, Mark, Operation, Outcome, Step

_LINE = re.compile(r"(\S+)\s+(\S+)\s+([\d.]+)-([\d.]+)\s+(\w+)\s(.*?)\s+(ok|fail|unknown)\b\s*(.*)")
_EDGE = re.compile(r"([\w.-]+)>([\w.-]+)>([\w.-]+)")
_STEP = re.compile(
    r"(?P<object>[\w.-]+)(?:@(?P<revision>\d+))?(?:\s+(?P<value>\d+|-))?(?:\s+\[(?P<elements>[\d ]*)\])?"
)
_ABOUT = re.compile(r"[a-z]+-[a-z]+/\d+/\d+/\d+")


@dataclass(frozen=True, kw_only=True)
class Written:
    """A history and what must be found in it: (check, kind, explained)."""

    history: History
    fates: dict[str, Fate]
    left_behind: dict[str, frozenset[str]]
    expected: set[tuple[str, str, bool]]
    words: str


def read(path: Path) -> Written:
    """Read a file of histories' notation."""
    return parse(path.read_text(encoding="utf-8"))


def parse(text: str) -> Written:
    """Read a history from its notation."""
    words, expected, operations = [], set(), []
    regions: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    fates: dict[str, Fate] = {}
    left_behind: dict[str, frozenset[str]] = {}
    for line in (each.strip() for each in text.splitlines()):
        head, _, rest = line.partition(":")
        if not line or line.startswith("#"):
            words += [line.lstrip("# ")] if not operations else []
        elif head == "expect":
            said = rest.split()
            expected |= {(said[0], said[1], "explained" in said)} if said != ["nothing"] else set()
        elif head == "regions":
            regions = tuple(rest.split())
        elif head == "fates":
            fates = {key: Fate(fate) for key, fate in (each.split("=") for each in rest.split())}
        elif head == "left":
            left_behind = {key: frozenset({region}) for key, region in (each.split("=") for each in rest.split())}
        elif head == "end":
            marks = (Mark(at_s=float(rest), what=END),)
        else:
            operations.append(_operation(len(operations) + 1, line))
    header = Header(began="2026-01-01T00:00:00Z", regions={"p": regions})
    return Written(
        history=History(header=header, operations=tuple(operations), marks=marks),
        fates=fates,
        left_behind=left_behind,
        expected=expected,
        words=words[0],
    )


def _operation(number: int, line: str) -> Operation:
    match = _LINE.fullmatch(line)
    assert match is not None, f"this is no operation: {line}"
    client, door, begin, end, kind_name, what, outcome, about = match.groups()
    kind = Kind(kind_name)
    fields: dict[str, Any] = {"region": door if outcome == "ok" else None}
    if kind not in WRITES:
        fields["staleness_ms"] = 0.0
    for word in about.split():
        fields |= _attribute(word)
    if kind in (Kind.MEMBERS, Kind.PAGES, Kind.FOLLOW):
        fields["members"] = tuple(each for each in what.split() if each != "-")
    else:
        fields["steps"] = tuple(_step(part) for part in re.split(r"\s*,\s*", what.strip()))
    return Operation(
        id=number,
        client=client,
        door=door,
        kind=kind,
        placement="p",
        tenant="t",
        invoked_s=float(begin),
        completed_s=float(end),
        outcome=Outcome(outcome),
        **fields,
    )


def _attribute(word: str) -> dict[str, Any]:
    name, _, value = word.partition("=")
    if _ABOUT.fullmatch(word):
        return {"bookmark": word}
    if word in ("home", "remote"):
        return {"durability": word}
    if word == "repeated":
        return {"repeated": True}
    if name == "stale":
        return {"staleness_ms": None if value == "unknown" else float(value)}
    named = {"key": "key", "by": "region", "carries": "carried", "code": "code"}
    assert name in named, f"nobody knows {word}"
    return {named[name]: value}


def _step(text: str) -> Step:
    edge = _EDGE.fullmatch(text)
    if edge is not None:
        return Step(object=edge[1], ends=(edge[2], edge[3]))
    match = _STEP.fullmatch(text)
    assert match is not None, f"this is no step: {text}"
    value, elements, revision = match["value"], match["elements"], match["revision"]
    return Step(
        object=match["object"],
        value=int(value) if value not in (None, "-") else None,
        elements=tuple(int(each) for each in elements.split()) if elements is not None else None,
        revision=int(revision) if revision is not None else None,
    )

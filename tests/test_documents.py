"""What documents name exists: files, sections, `make` targets, verbs with their options, metrics, headers.

Every file of the tree's own prose is read: the pages at the top and in ``docs/``. ``CHANGELOG.md`` tells the past, and
``docs/proof`` and ``docs/demo.md`` hold what was printed once: of these only the links are followed. The glossary's
list of retired words names what does not exist any more.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from intelgraph.cli.verbs import VERBS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROSE = [page for page in PAGES if page.name not in ("CHANGELOG.md", "demo.md") and page.parent.name != "proof"]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"(?<![\w./*-])(?:src|tests|docs|scripts|bench|requirements|\.ci)/[\w./*{},-]*[\w*}/]")
_CODE_ROOTS = ("src/intelgraph", "tests", "bench", "scripts")
_INNER = re.compile(r"`((?:[a-z_]+/)*[\w*-]+\.(?:py|sql|graphql|html))`")
_TEST = re.compile(r"(tests/[\w/]+\.py)((?:(?:, )?::test_\w+)+)")
_MAKE = re.compile(r"(?:`|^)make ([a-z-]+)", re.MULTILINE)
_VERB = re.compile(r"(?:`|^|\$ |\$\()intelgraph ([a-z][^`\n#]*)", re.MULTILINE)
_METRIC = re.compile(r"\big_[a-z_]+[a-z]\b")
_HEADER = re.compile(r"\bIG-[A-Z][A-Za-z-]*[a-z]\b")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def _prose(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n## Retired words")[0]


def _slug(heading: str) -> str:
    text = re.sub(r"[`*]|\[|\]\([^)]*\)", "", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@cache
def _sections(page: Path) -> frozenset[str]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return frozenset(_slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE))


def _spread(path: str) -> Iterator[str]:
    braces = re.search(r"\{([^{}]*)\}", path)
    if braces is None:
        yield path
        return
    for part in braces.group(1).split(","):
        yield from _spread(path.replace(braces.group(), part, 1))


def _is_there(path: str, *bases: str) -> bool:
    return all(any(any((ROOT / base).glob(each)) for base in bases) for each in _spread(path.rstrip("/")))


@cache
def _file_names() -> frozenset[str]:
    return frozenset(path.name for root in _CODE_ROOTS for path in (ROOT / root).rglob("*"))


@cache
def _source() -> str:
    kept = [path for path in (ROOT / "src/intelgraph").rglob("*") if path.suffix in (".py", ".sql", ".js")]
    return "\n".join(path.read_text(encoding="utf-8") for path in kept)


@cache
def _verb(name: str) -> click.Command:
    module, _, attribute = VERBS[name].partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute or "command")
    return command


def _wrong_with(typed: str) -> Iterator[str]:
    """Say what a command line names that does not exist; ``a|b`` and ``a, b`` are alternatives."""
    first, *rest = typed.split()
    verbs = [first.strip("|,"), *[word.strip("|,") for word in rest if first.endswith(",")]]
    commands: list[click.Command] = []
    for verb in verbs:
        if verb in VERBS:
            commands.append(_verb(verb))
        else:
            yield f"intelgraph {verb}"
    if len(commands) == 1 and isinstance(commands[0], click.Group) and rest:
        group = commands[0]
        for name in rest[0].split("|"):
            if name in group.commands:
                commands.append(group.commands[name])
            elif re.fullmatch(r"[a-z-]+", name):
                yield f"intelgraph {verbs[0]} {name}"
    known = {option for command in commands for each in command.params for option in (*each.opts, *each.secondary_opts)}
    for option in _OPTION.findall(typed):
        if option not in known | {"--help", "--version"}:
            yield f"intelgraph {verbs[0]} {option}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_to_files_and_sections_that_exist(page: Path) -> None:
    wrong = []
    for link in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, section = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (section and section not in _sections(target)):
            wrong.append(link)
    assert wrong == []


@pytest.mark.parametrize("page", PROSE, ids=_name)
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = [path for path in _PATH.findall(_prose(page)) if not _is_there(path, ".")]
    for path in _INNER.findall(_prose(page)):
        there = _is_there(path, ".", *_CODE_ROOTS, "src") if "/" in path else path in _file_names()
        named += [] if there else [path]
    assert named == []


@pytest.mark.parametrize("page", PROSE, ids=_name)
def test_tests_that_a_page_names_exist(page: Path) -> None:
    missing = []
    for path, names in _TEST.findall(_prose(page)):
        written = (ROOT / path).read_text(encoding="utf-8")
        missing += [f"{path}::{name}" for name in re.findall(r"test_\w+", names) if f"def {name}" not in written]
    assert missing == []


@pytest.mark.parametrize("page", PROSE, ids=_name)
def test_targets_that_a_page_names_can_be_made(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(_MAKE.findall(_prose(page))) <= targets


@pytest.mark.parametrize("page", PROSE, ids=_name)
def test_verbs_and_options_that_a_page_names_exist(page: Path) -> None:
    assert [wrong for each in _VERB.findall(_prose(page)) for wrong in _wrong_with(each)] == []


@pytest.mark.parametrize("page", PROSE, ids=_name)
def test_metrics_and_headers_that_a_page_names_are_in_the_source(page: Path) -> None:
    text, source = _prose(page), _source()
    metrics = {name for name in _METRIC.findall(text) if f'"{name.removesuffix("_total")}"' not in source}
    headers = {name for name in _HEADER.findall(text) if name.lower() not in source.lower()}
    assert metrics | headers == set()


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ("status --json", []),
        ("placement create both --regions a,b", []),
        ("placement create|shown", ["intelgraph placement shown"]),
        ("up, down, fly", ["intelgraph fly"]),
        ("wan a b --mend", ["intelgraph wan --mend"]),
    ],
)
def test_what_a_command_line_names_is_looked_up(typed: str, wrong: list[str]) -> None:
    assert list(_wrong_with(typed)) == wrong

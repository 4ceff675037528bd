"""What a search finds: a table of names and searches, and the laws behind it, asked of the real SQL functions."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.scratch import Scratch
from tests.cases import cases

from .lone import lone

pytestmark = pytest.mark.postgres
Ask = Callable[[str, str | None, str], bool | None]
Sql = Callable[..., Any]

FOUND = [
    ("CVE-2021-44228", "44228"),
    ("CVE-2021-44228", "cve-2021-44228"),
    ("CVE-2021-44228", "CVE 2021"),
    ("CVE-2021-44228", "2021-44"),
    ("CVE_2021_44228", "CVE-2021-44228"),
    ("APT-28", "APT 28"),
    ("APT-28", "apt28"),
    ("APT28", "APT 28"),
    ("APT28", "apt-28"),
    ("APT 28", "APT-28"),
    ("APT28", "28"),
    ("UNC2452/SolarWinds", "solarwinds"),
    ("UNC2452/SolarWinds", "2452"),
    ("UNC2452/SolarWinds", "unc2452/solar"),
    ("mail.evil.com", "evil.com"),
    ("mail.evil.com", "evil[.]com"),
    ("mail.evil.com", "com"),
    ("evil-domain.com", "evil-domain"),
    ("evil-domain.com", "evil-dom"),
    ("evil-domain.com", "evil-"),
    ("evil-domain.com", "domain.com"),
    ("hxxps://evil.example.com/a/b.php?id=1", "example.com/a"),
    ("https://evil.example.com/a/b.php?id=1", "evil.example.com"),
    ("10.20.30.40", "10.20"),
    ("10.20.30.40", "20.30.40"),
    ("2001:db8::1", "2001:db8"),
    ("d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e"),
    ("d41d8cd98f00b204e9800998ecf8427e", "D41D8CD98F"),
    ("T1059.001", "t1059"),
    ("T1059.001", "1059.001"),
    ("analyst@evil.org", "evil.org"),
    (r"HKLM\Software\Run", "software"),
    ("svchost.exe", "exe"),
    ("Zürich", "zurich"),
    ("Zurich", "Zürich"),
    ("Café", "Cafe\u0301"),
    ("ＡＰＴ２８", "apt28"),
    ("Ведмідь-29", "ведмідь"),
    ("هجوم ٢٠٢٤", "٢٠٢٤"),
    ("हमला२०२४", "२०२४"),
    ("Straße", "STRASSE"),
    ("STRASSE", "straß"),
    ("ΟΔΟΣ", "οδοσ"),
    ("οδός", "ΟΔΟΣ"),
    ("海莲花-32", "海莲花"),
    ("O'Brien", "brien"),
    ("Evil Corp", "evil-corp"),
    ("Evil Corp", "corp evil"),
    ("a.b.c.d.e.f.g.h.i.j", "a.b.c.d.e.f.g.h.i.j"),
    ("a.b.c.d.e.f.g.h.i.j", "c.d.e.f.g.h.i.j"),
]
NOT_FOUND = [
    ("CVE-2021-44228", "4228"),
    ("CVE-2021-44228", "cve-44228"),
    ("10.20.30.40", "1.2.3.4"),
    ("10.20.30.40", "10.30"),
    ("evil-domain.com", "evil-company"),
    ("evil company", "evil.com.org"),
    ("APT-28", "apt 29"),
    ("a.b.c.d.e.f.g.h.i.j", "a.b.c.d.e.f.h.g.i.j"),
    ("a.b.c.d.e.f.g.h.i.j", "a.b.c.d.e.f.g.h.i.j.k"),
]


@pytest.fixture(scope="module")
def sql(_lone_server: Scratch) -> Iterator[Sql]:
    """Asks a region's database for one value."""
    with asyncio.Runner() as runner:
        region = lone(_lone_server)
        main: asyncpg.Connection = runner.run(region.__aenter__()).main
        yield lambda statement, *values: runner.run(main.fetchval(statement, *values))
        runner.run(region.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def ask(sql: Sql) -> Ask:
    """Whether an entity of this name and description is found by a search; null of a text without a letter or digit."""

    def found(name: str, description: str | None, text: str) -> bool | None:
        properties = {} if description is None else {"description": description}
        answer: bool | None = sql("select ig.words('t', $1, $2) @@ ig.word_query('t', $3)", name, properties, text)
        return answer

    return found


@pytest.mark.parametrize(("name", "text"), FOUND)
def test_what_occurs_in_a_name_is_found(ask: Ask, name: str, text: str) -> None:
    assert ask(name, None, text) is True


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, text in FOUND if " " not in name])
def test_what_occurs_in_a_description_is_found(ask: Ask, name: str, text: str) -> None:
    assert ask("n", f"It was seen at ({name}), later elsewhere.", text) is True


@pytest.mark.parametrize(("name", "text"), NOT_FOUND)
def test_what_does_not_occur_is_not_found(ask: Ask, name: str, text: str) -> None:
    assert ask(name, None, text) is False


def test_every_beginning_of_what_is_typed_is_found(ask: Ask) -> None:
    for name in ("evil-domain.com", "CVE-2021-44228", "UNC2452/SolarWinds", "T1059.001"):
        for end in range(1, len(name) + 1):
            assert ask(name, None, name[:end]) is True, name[:end]


@pytest.mark.parametrize(("text", "read"), [("apt28", 1), ("cve-2021", 1), ("28", 1), ("apt28-x", 20)])
def test_one_run_or_two_joined_ones_are_one_entry_of_the_index(sql: Sql, text: str, read: int) -> None:
    """However the names go on: an index of lexemes is read once for each that begins as the search does."""
    found = sql(
        """
        select count(distinct lexeme) from generate_series(1, 20) n,
        lateral unnest(ig.words('t', 'APT28-x' || chr(96 + n) || ' CVE-2021-' || n, '{}')) w
        where array_to_tsvector(array[lexeme]) @@ ig.word_query('t', $1)
        """,
        text,
    )
    assert found == read


@pytest.mark.parametrize("characters", [240, 249, 250, 499, 500, 501, 600, 2_000])
@pytest.mark.parametrize("form", ["{}", "{}-b", "b-{}", "{}-{}", "b-{}-c", "{}.{}.{}", "a-b-c-d-e-f-g-h-{}-j"])
def test_runs_of_any_length_are_found_by_their_beginning(ask: Ask, characters: int, form: str) -> None:
    name = form.format(*["x" * characters] * 3)
    for text in (name, name[: len(name) * 2 // 3], "x" * characters):
        assert ask(name, None, text) is True
        assert ask("n", f"({name})", text) is True
    if characters < 500:
        assert ask(name, None, "x" * (characters + 1)) is False


def test_every_eight_runs_of_a_long_name_are_found_and_no_others(ask: Ask) -> None:
    runs = [f"r{chr(97 + number // 26 % 26)}{chr(97 + number % 26)}{chr(97 + number // 676)}" for number in range(600)]
    name = "-".join(runs)
    for first in (0, 247, 248, 249, 250, 255, 256, 257, 262, 263, 264, 504, 511, 512, 513, 591, 592):
        for many in (2, 3, 8):
            assert ask(name, None, "-".join(runs[first : first + many])) is True, (first, many)
        assert ask(name, None, "-".join([*runs[first : first + 2], "zz"])) is False, first
    assert ask(name, None, "-".join(runs[598:])) is True


def test_a_text_of_signs_alone_asks_for_nothing(ask: Ask) -> None:
    assert ask("-- !! --", None, "-- !! --") is None


def test_words_joined_by_white_space_in_a_description_are_apart(ask: Ask) -> None:
    assert ask("n", "an evil corporation", "evil-corporation") is False
    assert ask("n", "an evil corporation", "corp evil") is True


# Characters that this Python does not know yet may be letters to PostgreSQL, whose Unicode is another edition.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cn", "Cs")), max_size=60)


@settings(max_examples=cases(200), deadline=None)
@given(texts, st.integers(0, 59), st.integers(1, 60), st.booleans())
def test_what_begins_at_a_run_is_found_however_far_it_goes(
    ask: Ask, name: str, first: int, size: int, within: bool
) -> None:
    name = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", name))
    piece = name[first : first + size]
    # Marks, numerals and some symbols are letters to Unicode; what is surely none is white space, punctuation, control.
    starts = first == 0 or unicodedata.category(name[:first][-1:] or " ")[0] in "ZPC"
    found = ask("n", name, piece) if within and not any(c.isspace() for c in name) else ask(name, None, piece)
    if not starts or found is None:
        return
    assert found is True


@settings(max_examples=cases(200), deadline=None)
@given(st.none() | texts, st.none() | texts, st.integers(0, 59), st.integers(1, 60))
def test_a_piece_of_a_text_that_is_joined_is_found_in_either(
    sql: Sql, ask: Ask, name: str | None, description: str | None, first: int, size: int
) -> None:
    """Name and description are cut at once, and stay apart: what begins in one ends there."""
    for text in (name, description):
        runs = sql("select nullif(split_part(ig.runs($1), ' ', 1), '')", text)
        if runs is not None:
            assert sql(
                "select ig.words('t', $1, jsonb_build_object('description', $2::text)) @@ ig.word_query('t', $3)",
                name,
                description,
                runs,
            )
    across = sql("select nullif(ig.runs($1), '')", name), sql("select nullif(ig.runs($1), '')", description)
    if all(across):
        last, next_ = re.split("[ -]", across[0])[-1], re.split("[ -]", across[1])[0]
        own = ask(name or "", None, f"{last}-{next_}") or ask("", description, f"{last}-{next_}")
        assert own or not ask(name or "", description, f"{last}-{next_}")


@settings(max_examples=20, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=3), st.integers(1, 40_000))
def test_no_text_is_too_much(ask: Ask, piece: str, times: int) -> None:
    long = (piece * times)[:45_000]
    assert ask(long, long, piece[:1]) in (True, None, False)


@pytest.mark.parametrize(
    "piece", ["\U00010400\U00010401-", "\U00010400" * 6 + "-", "\U00010400" * 60 + ".", "\ufdfa", "a-", "7"]
)
def test_the_largest_texts_are_cut_not_refused(ask: Ask, piece: str) -> None:
    long = (piece * 45_000)[:45_000]
    assert ask(long, long, piece * 2) is True


ONE, OTHER = {"description": "made of gold"}, {"description": "made of lead"}
STEPS = {
    "a property alone": ({"name": "ring", "properties": ONE}, {"name": "ring", "properties": {**ONE, "size": 7}}),
    "the name": ({"name": "ring", "properties": ONE}, {"name": "crown", "properties": ONE}),
    "the description": ({"name": "ring", "properties": ONE}, {"name": "ring", "properties": OTHER}),
    "no description any more": ({"name": "ring", "properties": ONE}, {"name": "ring", "properties": {}}),
    "a description at last": ({"name": "ring"}, {"name": "ring", "properties": OTHER}),
    "a description that is a list": (
        {"name": "ring", "properties": {"description": "a"}},
        {"name": "ring", "properties": {"description": ["a", "b"]}},
    ),
}


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_what_is_searched_is_what_was_written_last(_lone_server: Scratch, step: str, deleted: bool) -> None:
    async def story() -> None:
        async with lone(_lone_server) as region:
            await region.open(1)
            for number, fields in enumerate(STEPS[step]):
                operation = {"op": "upsert_entity", "entity": {"id": "x", "type": "thing", **fields}}
                if deleted and number == 1:
                    assert (await region.append(1, {"op": "delete_entity", "id": "x"}))["status"] == "ok"
                assert (await region.append(1, operation))["status"] == "ok"
                words = "words = ig.words(tenant, name, properties)"
                assert await region.ask(f"select {words} from ig.entity where id = 'x'")

    asyncio.run(story())

"""The check of retired words: what it finds, what it lets stand, and that its list can only shrink."""

from __future__ import annotations

import re

import pytest

from scripts.words import LIST, Allowed, Vocabulary, Word, complaints_of, hits_in, read_vocabulary

GATE = Word(name="gate", find=re.compile(r"\bgates?\b"), use="API")
WAIT = Word(name="linger", find=re.compile(r"(?i)\blinger\b"), use="wait")


def _vocabulary(*, not_yet: frozenset[str] = frozenset(), exceptions: tuple[Allowed, ...] = ()) -> Vocabulary:
    return Vocabulary(words=(GATE, WAIT), not_yet=not_yet, exceptions=exceptions)


def _complaints(text: str, vocabulary: Vocabulary, file: str = "src/a.py") -> list[str]:
    return complaints_of(hits_in(file, text, vocabulary), vocabulary)


def test_a_retired_word_is_told_with_its_place_and_what_to_say_instead() -> None:
    assert _complaints("a = 1\nask the gates\n", _vocabulary()) == ["src/a.py:2:gates:use API"]


def test_every_word_of_a_line_is_told() -> None:
    found = _complaints("the gate, the gates: linger\n", _vocabulary())
    assert found == ["src/a.py:1:gate:use API", "src/a.py:1:gates:use API", "src/a.py:1:linger:use wait"]


def test_the_name_of_a_file_is_read_as_line_0() -> None:
    assert _complaints("", _vocabulary(), file="src/gate.py") == ["src/gate.py:0:gate:use API"]


def test_a_file_is_excepted_for_the_words_that_are_named() -> None:
    vocabulary = _vocabulary(exceptions=(Allowed(word="gate", file="docs/*.md", reason="a name of somebody else's"),))
    assert _complaints("gate, linger", vocabulary, file="docs/a.md") == ["docs/a.md:1:linger:use wait"]
    assert _complaints("gate", vocabulary) == ["src/a.py:1:gate:use API"]


def test_a_phrase_is_excepted_and_nothing_beside_it() -> None:
    vocabulary = _vocabulary(exceptions=(Allowed(word="gate", phrase="the make gate", reason="a standing term"),))
    assert _complaints("the make gate\nthe gate", vocabulary) == ["src/a.py:2:gate:use API"]


def test_a_word_that_is_not_yet_gone_is_no_complaint_until_it_is_nowhere() -> None:
    vocabulary = _vocabulary(not_yet=frozenset({"gate"}))
    assert _complaints("gate", vocabulary) == []
    assert _complaints("", vocabulary) == ["words.toml:0:gate:take it off not_yet, it is nowhere any more"]


@pytest.mark.parametrize(
    "exception",
    [
        Allowed(word="unheard-of", file="src/*", reason="why"),
        Allowed(word="gate", file="src/*", reason=""),
        Allowed(word="gate", reason="it would be let stand everywhere"),
    ],
)
def test_an_exception_names_a_word_a_place_and_a_reason(exception: Allowed) -> None:
    with pytest.raises(ValueError, match=r"retired word|needs a reason"):
        _vocabulary(exceptions=(exception,))


def test_the_glossary_and_the_list_retire_the_same_words() -> None:
    glossary = (
        (LIST.parents[1] / "docs/glossary.md").read_text(encoding="utf-8").partition("## Retired words")[2].lower()
    )
    for word in read_vocabulary().words:
        for part in re.split(r", | of the log", word.name.lower()):
            assert part.removeprefix("intelgraph ").split(" ")[0] in glossary, word.name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("the door asks", "door"),
        ("class FakeDoor:", "door"),
        ("IG-Hop: 1", "IG-Hop"),
        ("the seam is a RegionHook", "hook"),
        ("kind = 'restand'", "restand"),
    ],
)
def test_a_pattern_meets_its_word(text: str, name: str) -> None:
    assert name in {hit.word.name for hit in hits_in("a.py", text, read_vocabulary())}


@pytest.mark.parametrize("text", ["an indoor fountain", "await asyncio.gather(*tasks)", "hops: 2", "all her life long"])
def test_a_pattern_lets_the_ordinary_word_stand(text: str) -> None:
    assert list(hits_in("a.py", text, read_vocabulary())) == []

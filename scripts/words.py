"""Keeps the words that docs/glossary.md retires out of code, SQL, documents and messages.

``words.toml`` holds the words, the exceptions with their reasons, and ``not_yet``: the words that are still in the
tree. Any other retired word is a complaint, and so is a word of ``not_yet`` that is nowhere any more: the list only
shrinks. An exception is a phrase that may stand anywhere, or a file in which one word or phrase may stand. What is read
is what git keeps, names of files included (line 0 is a file's name). ``--count`` counts every word, those of
``not_yet`` too.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

LIST = Path(__file__).with_name("words.toml")
SUFFIXES = {".py", ".sql", ".md", ".toml", ".json", ".graphql", ".html", ".js", ".mjs", ".css", ".sh", ".txt", ""}
"""Kinds of files that are read."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """A retired word: its name, where it is met, and what to say instead."""

    name: str
    find: re.Pattern[str]
    use: str


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """Where a retired word may stand, and why: a file (a pattern of paths), a phrase, or a phrase in a file."""

    word: str
    reason: str
    file: str = "*"
    phrase: str = ""


@dataclass(frozen=True, kw_only=True)
class Unread:
    """Files that are not read (a pattern of paths), and why."""

    file: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The retired words, those that are still in the tree, and the exceptions."""

    words: tuple[Word, ...]
    not_yet: frozenset[str] = frozenset()
    exceptions: tuple[Allowed, ...] = ()
    unread: tuple[Unread, ...] = ()

    def __post_init__(self) -> None:
        known = {word.name for word in self.words}
        for name in (*self.not_yet, *(each.word for each in self.exceptions)):
            if name not in known:
                raise ValueError(f"there is no retired word {name!r}")
        for each in self.exceptions:
            if not each.reason or (each.file == "*" and not each.phrase):
                raise ValueError(f"an exception for {each.word!r} needs a reason, and a file or a phrase")


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A retired word at a place in the tree."""

    file: str
    line: int
    found: str
    word: Word

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.found}:use {self.word.use}"


def read_vocabulary(path: Path = LIST) -> Vocabulary:
    """Read ``words.toml``; ``ValueError`` or ``KeyError`` when it is not right."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return Vocabulary(
        words=tuple(Word(name=w["name"], find=re.compile(w["find"]), use=w["use"]) for w in table["word"]),
        not_yet=frozenset(table.get("not_yet", ())),
        exceptions=tuple(Allowed(**each) for each in table.get("exception", ())),
        unread=tuple(Unread(**each) for each in table.get("unread", ())),
    )


def hits_in(file: str, text: str, vocabulary: Vocabulary) -> Iterator[Hit]:
    """Yield every retired word of one file and its name; what an exception allows is left out."""
    whole = f"{file}\n{text}"
    ends = [match.start() for match in re.finditer("\n", whole)]
    excused = [each for each in vocabulary.exceptions if fnmatch(file, each.file)]
    for word in vocabulary.words:
        mine = [each.phrase for each in excused if each.word == word.name]
        if "" in mine:
            continue
        read = whole
        for phrase in mine:
            read = read.replace(phrase, " " * len(phrase))
        for match in word.find.finditer(read):
            yield Hit(file=file, line=bisect_left(ends, match.start()), found=match.group().strip(), word=word)


def complaints_of(hits: Iterable[Hit], vocabulary: Vocabulary) -> list[str]:
    """Say what breaks the rule: retired words, and names of ``not_yet`` that no file needs any more."""
    hits = list(hits)
    left = {hit.word.name for hit in hits}
    retired = [str(hit) for hit in hits if hit.word.name not in vocabulary.not_yet]
    done = [
        f"{LIST.name}:0:{name}:take it off not_yet, it is nowhere any more"
        for name in sorted(vocabulary.not_yet - left)
    ]
    return retired + done


def hits_in_tree(vocabulary: Vocabulary) -> Iterator[Hit]:
    """Yield the hits of every file that git keeps."""
    listed = subprocess.run(("git", "ls-files", "-z"), check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        path = Path(name)
        is_unread = any(fnmatch(name, each.file) for each in vocabulary.unread)
        if path.suffix in SUFFIXES and path.is_file() and not is_unread:
            yield from hits_in(name, path.read_text(encoding="utf-8", errors="replace"), vocabulary)


def main(arguments: list[str] | None = None) -> int:
    """Check the tree, or count its retired words; returns the exit code."""
    parser = argparse.ArgumentParser(description="Keep retired words out of the tree (docs/glossary.md).")
    parser.add_argument("--count", action="store_true", help="count every retired word, those not yet gone too")
    counting = parser.parse_args(arguments).count
    if not Path(".git").exists():
        print("words: nothing is checked outside a clone")
        return 0
    vocabulary = read_vocabulary()
    hits = list(hits_in_tree(vocabulary))
    if counting:
        counted = Counter(hit.word.name for hit in hits)
        for word in sorted(vocabulary.words, key=lambda each: -counted[each.name]):
            state = "not yet" if word.name in vocabulary.not_yet else "retired"
            print(f"{counted[word.name]:6}  {state}  {word.name} (use {word.use})")
        return 0
    found = complaints_of(hits, vocabulary)
    for complaint in found:
        print(complaint)
    print(f"words: {len(found)} complaints")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

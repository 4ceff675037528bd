"""What ``--help`` says: every verb shows how it is typed, and its examples name options that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from intelgraph.cli.verbs import VERBS, cli


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


EVERY = {" ".join(path): command for path, command in commands(cli)}


def examples(command: click.Command) -> list[str]:
    _, found, after = re.sub("Examples?:", "Examples:", command.help or "").partition("Examples:")
    return [line.strip() for line in after.splitlines() if line.strip()] if found else []


def test_every_verb_is_there() -> None:
    assert set(VERBS) <= EVERY.keys()


@pytest.mark.parametrize("name", EVERY)
def test_every_verb_has_examples_of_itself(name: str) -> None:
    lines = examples(EVERY[name])
    assert lines, f"{name} --help has no examples"
    assert all(f"intelgraph {name}" in line for line in lines), lines


@pytest.mark.parametrize("name", EVERY)
def test_the_options_of_an_example_are_options_of_its_verb(name: str) -> None:
    command = EVERY[name]
    if isinstance(command, click.Group):
        return  # its examples are its verbs', which are looked at themselves
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for line in examples(command):
        own = re.split(r"[|()]", line.partition(f"intelgraph {name}")[2])[0]
        assert set(re.findall(r"(?<!\S)--[a-z-]+", own)) <= known, line

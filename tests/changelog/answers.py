"""What a region answers to writes, held against the model: one write, or several in one transaction.

What does not belong here: which rows exist and where they are (`world`), what the model says of one (`model_append`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from intelgraph.changelog.model.append import Answer, Appended, Refused, Repeated, Request
from intelgraph.changelog.model.holding import arrive
from intelgraph.changelog.model.log import Identity, Row

from .regions import APPEND_MANY, Json
from .wire import FENCES, bookmark, same_objects

if TYPE_CHECKING:
    from .world import World


def compare_answer(world: World, expected: Answer, answer: Json, written: Sequence[Row]) -> None:
    if isinstance(expected, Appended):
        assert answer["status"] == "ok", (answer, expected)
        assert len(written) == 1
        assert same_objects(expected.objects.values(), written[0].objects), (expected, written[0].objects)
        assert answer["bookmark"] == bookmark(written[0])
        if written[0].version > 1:
            others = written[0].replicate_to - {written[0].identity.origin}
            assert world.misled or all(world.holdings[name].reads > 1 for name in others), "a reader was not asked"
    elif isinstance(expected, Repeated):
        assert answer["status"] == "repeated", (answer, expected)
        assert answer["bookmark"] == bookmark(world.truth[Identity(*expected.row)])
        assert not written
    else:
        assert (answer["status"], answer.get("code")) == ("refused", expected.code), (answer, expected)
        assert not written


def append_together(world: World, region: str, requests: Sequence[Request]) -> None:
    """A group is what its requests are one after another, whatever their positions; an erasure is left alone."""
    before = world.holdings[region]
    arguments = [world.call(request)[2:] for request in requests]
    answers = world.cluster.ask(
        region,
        APPEND_MANY,
        world.placement,
        requests[0].epoch,
        *(list(column) for column in zip(*arguments, strict=True)),
    )
    written = {bookmark(row): row for row in world.take(region)}
    now = world.holdings[region]
    for request, answer in zip(requests, answers, strict=True):
        world.holdings[region] = before
        expected = world.expect(region, request)
        world.holdings[region] = now
        alone = any(operation.get("op") == "erase" for operation in request.operations)
        if alone and not (isinstance(expected, Refused) and expected.code in {*FENCES, "gap", "held"}):
            assert answer == {"status": "busy"}, (answer, expected)
            continue
        rows = [written.pop(answer["bookmark"])] if answer["status"] == "ok" else []
        compare_answer(world, expected, answer, rows)
        for row in rows:
            before = arrive(before, row)
    assert not written

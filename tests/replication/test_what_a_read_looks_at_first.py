"""What a compiled read looks at first is kept beside what it was made of, and never says more than that."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from intelgraph.graph.engines.postgres.nodes import NULL, Cast, Select, Text
from intelgraph.graph.engines.postgres.render import render
from intelgraph.graph.engines.postgres.statement import readable
from tests.replication.lone import HERE, Lone, upsert

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]

CHANGES = [
    "update ig.placement set hold = 'why'",
    "update ig.placement set gap = 'why'",
    "update ig.placement set hold = null",
    "update ig.placement set gap = null",
    "update ig.placement set home = 'us-east'",
    "update ig.peer set token_ns = 17 where name = 'us-east'",
    "update ig.placement set regions = '{us-east}'",
    f"update ig.placement set regions = '{{us-east,{HERE}}}'",
    "update ig.region set name = 'us-east'",
    f"update ig.region set name = '{HERE}'",
    f"update ig.placement set home = '{HERE}'",
]


@pytest.mark.parametrize("role", ["origin", "replica"])
def test_what_is_told_of_a_placement_is_what_the_function_says(alone: Tell, role: str) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        writer = await region.connect(session_replication_role=role, search_path="")
        told = 0
        for change in CHANGES:
            await writer.execute(change)
            said = await region.ask("select ig.readable('p', null)")
            first = await region.ask(render(Select((readable(Text("p"), Cast(NULL, "text")),))))
            assert first == said, change
            kept = await region.ask("select told from ig.placement")
            assert (kept is not None) == (said["status"] == "ok"), change
            told += kept is not None
        assert 3 < told < len(CHANGES)

    alone(story)


PIECES = ["Word", "x", "ÄÖ", "Ⱥ", "1.5", "a-b-c", "it's", "\\", "'", "&", "|", "!", ":*", "<b>", "(", ")", "<->",
          "http://a.b/c?d=e&f", "me@example.org", "/usr/lib/x", "\n", "\t", " ", "w" * 60, "数"]  # fmt: skip


def test_what_is_searched_for_is_found_in_its_own_tenant_alone(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        chance = random.Random(7)
        found = 0
        for _ in range(400):
            text = "".join(chance.choice(PIECES) + chance.choice(["", " "]) for _ in range(chance.randint(1, 8)))
            plain = await region.ask("select nullif(ig.runs($1), '')", text)
            # Whatever it is: who searches for a text finds what has it as its name, and no one else's.
            hit = "select ig.words($2, $1, '{}') @@ ig.word_query('acme', $1)"
            assert await region.ask(hit, text, "acme") is (True if plain else None), text
            assert await region.ask(hit, text, "globex") is (False if plain else None), text
            found += plain is not None
        assert found > 300

    alone(story)


def test_a_word_may_be_as_long_as_it_likes(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        for n, length in enumerate((499, 501, 2_000, 2_045, 2_046, 2_047, 9_000)):
            told = await region.append(1, upsert(f"e{n}", name="w" * length + f" short{n}"))
            assert told["status"] == "ok", (length, told)
            assert (
                await region.ask("select count(*) from ig.entity where words @@ ig.word_query('t', $1)", f"short{n}")
                == 1
            )

    alone(story)


def test_ids_and_types_fit_into_an_index(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        assert (await region.append(1, upsert("\U00010348" * 129)))["code"] == "bad_operation"
        assert (await region.append(1, {"op": "upsert_entity", "entity": {"id": "x", "type": "t" * 257, "name": "n"}}))[
            "code"
        ] == "bad_operation"
        chance = random.Random(3)
        # Nothing that can be compressed: 128 characters of four bytes.
        longest = ["".join(chr(chance.randint(0x20000, 0x2A6DF)) for _ in range(128)) for _ in range(3)]
        kind = "".join(chr(chance.randint(0x20000, 0x2A6DF)) for _ in range(64))
        a, b, edge = longest
        relation = {"op": "upsert_relationship", "relationship": {"id": edge, "type": kind, "source": a, "target": b}}
        told = await region.append(1, upsert(a), upsert(b), relation)
        assert told["status"] == "ok", told

    alone(story)

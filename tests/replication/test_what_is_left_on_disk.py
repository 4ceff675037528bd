"""What a removed region keeps on its pages once docs/residency.md has been followed: nothing of what it sent again."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.replication.lone import HERE, Lone, entity, opening, touched, upsert, write

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]
PAGE = Path(__file__).parents[2] / "docs" / "residency.md"
MARKER = "kept-by-nobody"
RELATIONS = """
    select c.oid::regclass::text from pg_class c
    where pg_relation_filepath(c.oid) is not null and c.relkind in ('r', 't')
      and (c.relnamespace = 'ig'::regnamespace
           or c.oid in (select reltoastrelid from pg_class o where o.relnamespace = 'ig'::regnamespace))
      and position($1::bytea in pg_read_binary_file(pg_relation_filepath(c.oid))) > 0
"""


def test_rows_that_a_removed_region_sent_again_are_on_no_page_of_it(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.settle("us-east", 2)
        await region.open(2)
        await region.append(2, upsert("a", name=MARKER))
        await region.apply(await touched(region, write(3, entity("b", name=MARKER))))
        rows = [{"origin": "us-east", "life": 1, "position": 3}]
        assert (await region.ask("select ig.adopt('p', $1, $2)", rows, f"because of {MARKER}"))["status"] == "ok"
        assert (await region.ask("select ig.reissue('p', 'us-east', $1, 1, 1)", HERE))["status"] == "ok"
        cut = [("us-east", 1, "{[1,4)}"), (HERE, 1, "{[1,9)}")]
        await region.apply(opening(9, 3, regions=["us-east"], cut=cut))
        admin = await region.connect(region.server.login().user)
        told = "VACUUM FULL pg_statistic"
        rewrites = re.findall(r"^(VACUUM FULL [^;]+);", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert told in rewrites
        for rewrite in rewrites:
            await admin.execute(rewrite)
        await admin.execute("checkpoint")
        assert [row[0] for row in await admin.fetch(RELATIONS, MARKER.encode())] == []

    alone(story)

"""No question about one placement reads the whole log: each reads what it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.replication.lone import REGIONS, Lone, opening

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]
ROWS, PLACEMENTS, STRIDE = 4000, 10, 3
LAST = ROWS * STRIDE
ENDLESS = (1 << 62) - 1

FILL = """
insert into ig.change (origin, life, position, placement, epoch, version, kind, tenant, replicate_to, touches, body,
                       digest, written_at)
select 'us-east', 1, n * 3, 'p' || n % 10, 1, 1, 'write', 't' || n % 10, array['us-east', 'eu-west', 'eu-central'],
       array[ig.touch('t' || n % 10, 'entity', 'e' || n)],
       jsonb_build_object('objects', jsonb_build_array(jsonb_build_object(
           'kind', 'entity', 'id', 'e' || n, 'type', 't', 'name', 'n', 'properties', '{}'::jsonb,
           'sources', '[]'::jsonb,
           'created', '2024-01-01T00:00:00Z', 'updated', '2024-01-01T00:00:00Z', 'revision', 1))),
       sha256(n::text::bytea), now()
from pg_catalog.generate_series(11, $1::int) n
"""
READ = """
select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::int
from pg_stat_xact_user_tables where schemaname = 'ig' and relname = 'change'
"""
CUTS = f'[{{"origin": "us-east", "life": 1, "position": {LAST - 30}}}]'
ASKED = {
    "digests": (f"select ig.digests('p7', '{CUTS}')", 1500),
    "buckets": (f"select ig.digest_buckets('p7', 'us-east', 1, {LAST - 30})", 1500),
    "buckets to the end": (f"select ig.digest_buckets('p7', 'us-east', 1, {ENDLESS})", 10),
    "stubs": ("select ig.has_stubs('p7')", 10),
    "tail": ("select ig.salvage('p7', null, 100)", 10),
    "whether the tail has changed": ("select ig.tail('p7', 2)", 10),
    "streams": ("select ig.streams('p7')", 10),
    "first page of changes": ("select ig.read_changes('p7', 't7', null, 20)", 50),
    "late page of changes": (f"select ig.read_changes('p7', 't7', 'us-east/1/1/{(ROWS - 203) * STRIDE}', 20)", 50),
    "what is held": ("select ig.held_positions('p7', 'us-east', 1)", 50),
    "state of one object": ("select ig.highest_form('p7', 't7', 'entity', 'e17')", 10),
    "rows beyond a cut": (
        "select ig.rows_beyond('p7', array[(select e from ig.epoch e where placement = 'p7' and epoch = 2)])", 60,
    ),
}  # fmt: skip


def test_every_question_reads_what_it_is_about(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        stream = await region.stream()
        for number in range(PLACEMENTS):
            await region.apply(opening(number + 1, placement=f"p{number}"), on=stream)
        await stream.execute(FILL, ROWS)
        await region.settle("us-east", LAST - 30)
        cut = [("us-east", 1, f"{{[1,{LAST - 100})}}")]
        await region.apply(opening(1, 2, placement="p7", origin="eu-central", cut=cut, regions=REGIONS), on=stream)
        await region.settle("eu-central", 1)
        while await region.ask("select ig.tally()"):
            pass
        await region.main.execute("vacuum analyze ig.change")
        read = {}
        for name, (question, _most) in ASKED.items():
            async with region.main.transaction():
                await region.main.execute("set local enable_seqscan = off")
                before = await region.main.fetchval(READ)
                await region.main.execute(question)
                read[name] = await region.main.fetchval(READ) - before
        assert {name: rows for name, rows in read.items() if rows > ASKED[name][1]} == {}

    alone(story)


def test_signals_that_were_sent_leave_nothing_to_be_read(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        holder = await region.connect()
        transaction = holder.transaction(isolation="repeatable_read")
        await transaction.start()
        await holder.execute("select 1 from ig.peer")
        for _ in range(300):
            await region.main.execute("select ig.echo('us-east', 1)")
        question = (
            "select seq_tup_read::int from pg_stat_xact_user_tables where schemaname = 'ig' and relname = 'signal'"
        )
        async with region.main.transaction():
            before = await region.main.fetchval(question) or 0
            await region.main.execute("select ig.echo('us-east', 1)")
            assert (await region.main.fetchval(question) or 0) - before == 0
        await transaction.rollback()

    alone(story)

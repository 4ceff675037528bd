"""Bugs to plant in the log's SQL, one for each law: what the state machine must find.

A bug is a name and its changes: the file, the text that is there, and what stands there instead. Planting asserts that
each text is there exactly once: when the SQL changes, its bugs must be planted anew.
"""

from __future__ import annotations

from dataclasses import dataclass

Change = tuple[str, str, str]
"""A file of the schema, the text in it, and what is to stand there."""


@dataclass(frozen=True, kw_only=True)
class Planted:
    """``law`` is the law of the log (shared design) or the section of docs/log.md that the bug breaks.

    ``steps`` are the steps of the state machine among which to look for it, to find it soon; by default all.
    """

    name: str
    law: str
    changes: tuple[Change, ...]
    steps: frozenset[str] | None = None

    def schema(self, file: str, text: str) -> str:
        """One file of the schema, with the bug in it."""
        for where, old, new in self.changes:
            if where == file:
                found = text.count(old)
                assert found == 1, f"{self.name}: the text to change is there {found} times"
                text = text.replace(old, new)
        return text


TAILS = frozenset({"fail_over", "write_a_tail", "write", "write_another", "carry", "carry_all_to"})
AT_ONCE = frozenset({"write_at_once", "write_at_once_again", "write_another", "carry"})

PLANTED = (
    Planted(
        name="the position is drawn before the locks are held",
        law="2, order",
        changes=(
            (
                "060_append.sql",
                "    if plain and jsonb_array_length(p_ops) = 1 then\n",
                (
                    "    perform set_config('ig.drawn', nextval('ig.position')::text, true);\n"
                    "    if plain and jsonb_array_length(p_ops) = 1 then\n"
                ),
            ),
            (
                "055_entities.sql",
                "nextval('ig.position') as position",
                "coalesce(nullif(current_setting('ig.drawn', true), '')::bigint, nextval('ig.position')) as position",
            ),
            (
                "060_append.sql",
                "    perform pg_current_xact_id();\n    at := nextval('ig.position');",
                (
                    "    perform pg_current_xact_id();\n"
                    "    at := coalesce(nullif(current_setting('ig.drawn', true), '')::bigint, nextval('ig.position'));"
                ),
            ),
            (
                "060_append.sql",
                "    xid := pg_current_xact_id();\n    at := nextval('ig.position');",
                (
                    "    xid := pg_current_xact_id();\n"
                    "    at := coalesce(nullif(current_setting('ig.drawn', true), '')::bigint, nextval('ig.position'));"
                ),
            ),
        ),
        steps=AT_ONCE,
    ),
    Planted(
        name="a row is classified by its first object alone",
        law="3, each row whole",
        changes=(
            (
                "080_salvage.sql",
                "select from jsonb_array_elements(r.body -> 'objects') o\n        where exists",
                "select from jsonb_path_query(r.body, '$.objects[0]') o\n        where exists",
            ),
        ),
        steps=TAILS,
    ),
    Planted(
        name="of a row that comes to count, or ceases to, only the first object is derived again",
        law="3, each row whole",
        changes=(
            (
                "040_arrival.sql",
                "jsonb_array_elements(case when f.kind = 'write' then f.body -> 'objects' end) o",
                "jsonb_path_query(case when f.kind = 'write' then f.body end, '$.objects[0]') o",
            ),
        ),
        steps=TAILS | {"decide"},
    ),
    Planted(
        name="the cut is ignored",
        law="3, epochs open with a cut",
        changes=(
            (
                "020_acceptance.sql",
                "and c.origin = p_origin and c.life = p_life and c.held @> p_position));",
                ("and c.origin = p_origin and c.life = p_life));"),
            ),
        ),
    ),
    Planted(
        name="the cut forgets the positions that are missing below the highest",
        law="3, epochs open with a cut",
        changes=(
            (
                "070_open.sql",
                "return coalesce((select range_agg(int8range(c.position, c.position, '[]'))",
                ("return coalesce((select int8multirange(int8range(1, max(c.position), '[]'))"),
            ),
        ),
    ),
    Planted(
        name="rows beyond the cut stay applied where they were",
        law="3, a region re-derives the touched objects",
        changes=(
            (
                "040_arrival.sql",
                "ig.rows_beyond(r.placement, coalesce(risen, '{}'))",
                "ig.rows_beyond(r.placement, '{}')",
            ),
        ),
    ),
    Planted(
        name="a repeat raises instead of being dropped",
        law="1, identity",
        changes=(
            (
                "040_arrival.sql",
                "            return null;\n        end if;\n        delete from ig.change c",
                ("            raise unique_violation;\n        end if;\n        delete from ig.change c"),
            ),
        ),
    ),
    Planted(
        name="a frozen address leaks: a removed region keeps the body of a late row",
        law="5, addressing",
        changes=(
            (
                "040_arrival.sql",
                "any (coalesce(p.allowed, r.replicate_to))",
                "any (r.replicate_to)",
            ),
        ),
        steps=TAILS,
    ),
    Planted(
        name="a row of an unknown version is skipped",
        law="4, apply is total",
        changes=(
            (
                "040_arrival.sql",
                "    if r.version > p.reads then\n",
                ("    if r.version > p.reads then\n        return null;\n"),
            ),
        ),
        steps=frozenset({"write_a_version_too_early", "write_another", "write", "carry", "upgrade"}),
    ),
    Planted(
        name="a row of an unknown version is applied as if it were known",
        law="4, apply is total",
        changes=(
            (
                "040_arrival.sql",
                "    if r.version > p.reads then\n",
                ("    if false then\n"),
            ),
        ),
        steps=frozenset({"write_a_version_too_early", "write_another", "write", "carry"}),
    ),
    Planted(
        name="erased content comes back with a row that arrives later",
        law="6, erasure",
        changes=(
            (
                "040_arrival.sql",
                "        r.body := ig.without_erased(r.tenant, r.body);\n",
                ("        null;\n"),
            ),
        ),
        steps=frozenset({"erase", "fail_over", "write_a_tail", "write_another", "carry_all_to"}),
    ),
    Planted(
        name="erased content stays in the log and is reissued",
        law="6, erasure",
        changes=(
            (
                "030_state.sql",
                "(c.tenant, c.body)\n    where c.touches",
                "(c.tenant, c.body)\n    where false and c.touches",
            ),
        ),
    ),
    Planted(
        name="the last to arrive wins, not the highest",
        law="2, order",
        changes=(
            (
                "030_state.sql",
                "    where (e.epoch, e.position) < (excluded.epoch, excluded.position);",
                ("    where e.epoch <= excluded.epoch;"),
            ),
        ),
        steps=frozenset({"lose_and_repair", "write_another", "carry", "write"}),
    ),
    Planted(
        name="an inert outcome answers a repeat",
        law="docs/log.md, outcomes",
        changes=(
            (
                "060_append.sql",
                "sha256(convert_to(p_key, 'UTF8')) and c.status = 'applied'\n    order by",
                ("sha256(convert_to(p_key, 'UTF8'))\n    order by"),
            ),
        ),
        steps=frozenset({"fail_over", "write_a_tail", "write", "carry"}),
    ),
    Planted(
        name="a home in a new life goes on writing in the epoch of the old one",
        law="1, identity",
        changes=(
            (
                "060_append.sql",
                "    elsif p.life <> p.here_life then\n",
                ("    elsif false then\n"),
            ),
        ),
    ),
    Planted(
        name="a deletion is adoptable whatever was related to the entity since",
        law="docs/log.md, salvage",
        changes=(("080_salvage.sql", "          or ig.leaves_loose(r) then\n", "          then\n"),),
        steps=frozenset({"delete_in_a_tail", "write_another", "carry"}),
    ),
    Planted(
        name="a relationship that a deletion takes along keeps it from being adopted",
        law="docs/log.md, salvage",
        changes=(("080_salvage.sql", "x(id), taken t\n", "x(id), (select '{}'::text[] as ids) t\n"),),
        steps=frozenset({"delete_in_a_tail", "write_another", "carry"}),
    ),
)

"""Links between regions: one filtered publication per destination at the origin, one subscription at the destination.

RESIDENCY is enforced here and nowhere later: the origin's WAL sender evaluates ``origin = me AND destination =
ANY(replicate_to)`` and withholds everything else. Only inserts are published, so nothing a region does to its own rows
(redaction, compaction, status) travels.

Subscriptions differ from Postgres's defaults on purpose: nothing is copied at the start (``reissue`` does that), and
a slot is created by whoever owns the origin. The apply worker commits asynchronously: it is one process against many
writers, and a flush for each row would cap it at the disk's rate. What it reports as flushed is flushed; the server's
``wal_writer_delay`` of 5 ms bounds how much later than the commit that is (measured on 2 cores with 32 writers: 490
remote writes/s instead of 224, and no stalls of seconds).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import asyncpg

from intelgraph.model.errors import refuse
from intelgraph.model.names import check_name

if TYPE_CHECKING:
    from asyncpg import Connection

#: The columns that travel; the others are each region's own.
REPLICATED_COLUMNS = (
    "origin, life, position, placement, epoch, version, kind, tenant, key_hash, request_hash, replicate_to, touches, "
    "body, digest, written_at"
)
PUBLISHED_TABLES = 2


def publication_name(destination: str) -> str:
    """Name the publication of rows addressed to ``destination``."""
    return "to_" + check_name("region", destination).replace("-", "_")


def subscription_name(origin: str) -> str:
    """Name the subscription to ``origin``."""
    return "from_" + check_name("region", origin).replace("-", "_")


@lru_cache(maxsize=1024)
def slot_name(origin: str, destination: str) -> str:
    """Name the slot that ``origin`` keeps for ``destination``; 63 bytes at most, the last of a longer one by its hash.

    ``ig.slot_name`` says the same.
    """
    name = f"{check_name('region', origin)}__{check_name('region', destination)}".replace("-", "_")
    return (
        name if len(name) <= 63 else f"{name[:54]}_{hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:8]}"
    )


async def publish(origin: Connection, *, here: str, destination: str) -> None:
    """Create the publication to ``destination`` and its slot at ``origin``, if absent.

    RESIDENCY: its filter is what withholds rows that ``destination`` may not hold.
    """
    name = publication_name(destination)
    where = f"where (origin = '{check_name('region', here)}' and '{destination}' = any (replicate_to))"
    if not await origin.fetchval("select exists (select from pg_publication where pubname = $1)", name):
        await origin.execute(
            f"create publication {name} for table ig.change ({REPLICATED_COLUMNS}) {where}, "
            f"table ig.signal where (origin = '{here}' and destination = '{destination}') with (publish = 'insert')"
        )
    await ensure_slot(origin, here=here, destination=destination)


async def ensure_slot(origin: Connection, *, here: str, destination: str) -> bool:
    """Create the slot for ``destination`` if absent; returns whether it did (then rows may be missing there)."""
    slot = slot_name(here, destination)
    if await origin.fetchval("select exists (select from pg_replication_slots where slot_name = $1)", slot):
        return False
    await origin.fetchval("select pg_create_logical_replication_slot($1, 'pgoutput')", slot)
    # What was written between two slots went by: a mark number is used up, and the next one tells at once of the hole.
    await origin.execute(
        "update ig.peer set sent = sent + 1, slots_made = slots_made + 1, slot_made_at = clock_timestamp(), "
        "slot_from = pg_current_wal_insert_lsn() where name = $1",
        destination,
    )
    await origin.execute("select ig.echo($1, null)", destination)
    return True


def conninfo(parameters: Mapping[str, str | int]) -> str:
    """Write libpq connection parameters, quoted; keepalives find a dead WAN link within seconds."""
    extra = {"connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
    merged = {**parameters, **extra}
    return " ".join(
        f"{key}='" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'" for key, value in merged.items()
    )


async def subscribe(destination: Connection, *, here: str, origin: str, parameters: Mapping[str, str | int]) -> None:
    """Create the subscription to ``origin`` at ``destination``, or point the existing one at ``parameters``.

    ``parameters`` are libpq's (host, port, user, password, dbname) of the origin as reached over the WAN link.
    """
    name = subscription_name(origin)
    text = conninfo({**parameters, "application_name": slot_name(origin, here)})
    quoted = _quoted(text)
    present = await destination.fetchval("select subconninfo from pg_subscription where subname = $1", name)
    if present is None:
        await destination.execute(_create(here=here, origin=origin, quoted=quoted, at_once=False))
    elif present != text:
        await destination.execute(f"alter subscription {name} connection {quoted}")
    await destination.execute(f"alter subscription {name} enable")
    tables = await destination.fetchval(
        "select count(*) from pg_subscription_rel r join pg_subscription s on s.oid = r.srsubid where s.subname = $1",
        name,
    )
    if tables < PUBLISHED_TABLES:
        # Ready at once: the tables start empty and are never copied. Needs the origin to be reachable.
        await destination.execute(f"alter subscription {name} refresh publication with (copy_data = false)")


async def resubscribe(destination: Connection, *, here: str, origin: str) -> None:
    """Make the subscription to ``origin`` anew, if there is one and it is enabled; all of it or nothing.

    It goes on where the slot stands, so rows may come twice. Needs the origin to be reachable: the tables are
    registered in the same transaction, for a worker confirms rows of tables that are not, and drops them.
    """
    name = subscription_name(origin)
    async with destination.transaction():
        text = await destination.fetchval(
            "select subconninfo from pg_subscription where subname = $1 and subenabled", name
        )
        if text is None:
            return
        await destination.execute(f"alter subscription {name} disable")
        await destination.execute(f"alter subscription {name} set (slot_name = none)")
        await destination.execute(f"drop subscription {name}")
        await destination.execute(_create(here=here, origin=origin, quoted=_quoted(text), at_once=True))


def _create(*, here: str, origin: str, quoted: str, at_once: bool) -> str:
    asked = "connect = true" if at_once else "connect = false, enabled = false"
    return (
        f"create subscription {subscription_name(origin)} connection {quoted} publication {publication_name(here)} "
        f"with ({asked}, slot_name = '{slot_name(origin, here)}', copy_data = false, create_slot = false, "
        f"origin = any, synchronous_commit = 'off', streaming = off)"
    )


def _quoted(text: str) -> str:
    quoted = "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
    return "E" + quoted if "\\" in text else quoted


@dataclass(frozen=True, kw_only=True)
class Link:
    """What the origin knows of one slot. ``lag_bytes`` is WAL kept for it; ``lost`` means reissue is needed."""

    destination: str
    active: bool
    lost: bool
    lag_bytes: int | None


async def outgoing_links(origin: Connection, *, here: str, destinations: list[str]) -> list[Link]:
    """Read the state of every slot of ``origin``; an absent slot is lost."""
    rows = await origin.fetch(
        "select slot_name, active, wal_status, "
        "pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint as lag "
        "from pg_replication_slots where slot_type = 'logical'"
    )
    by_slot = {row["slot_name"]: row for row in rows}
    links = []
    for destination in destinations:
        row = by_slot.get(slot_name(here, destination))
        lost = row is None or row["wal_status"] == "lost"
        links.append(
            Link(
                destination=destination,
                active=bool(row and row["active"]),
                lost=lost,
                lag_bytes=None if row is None else row["lag"],
            )
        )
    return links


async def recreate_slot(origin: Connection, *, here: str, destination: str) -> None:
    """Replace a lost slot. Rows between the two are missing at the destination until they are reissued."""
    slot = slot_name(here, destination)
    await origin.execute(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1 and not active", slot
    )
    await ensure_slot(origin, here=here, destination=destination)


async def cut_off(origin: Connection, *, here: str, destination: str) -> None:
    """Skip everything not yet delivered to ``destination``: a frozen address must not leak to a removed region.

    A sender that still hangs on to a silent link is ended first. What the destination may still hold of other
    placements is reissued afterwards. Refuses if the destination connects again meanwhile: it is reachable, and the
    ordinary stream delivers the removal itself.
    """
    slot = slot_name(here, destination)
    await origin.execute(
        "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = $1 and active", slot
    )
    try:
        await origin.execute("select pg_replication_slot_advance($1, pg_current_wal_flush_lsn())", slot)
    except asyncpg.ObjectInUseError as error:
        raise refuse(
            "link_active",
            f"cannot skip what {destination} has not received yet: it is connected to {here} and receiving",
            destination=destination,
        ) from error
    await origin.execute("update ig.peer set slot_from = pg_current_wal_insert_lsn() where name = $1", destination)


async def receiver_patience_s(origin: Connection) -> float:
    """How long a receiver stays at a silent link, where regions are configured alike."""
    patience: float = await origin.fetchval(
        "select extract(epoch from current_setting('wal_receiver_timeout')::interval)::float8"
    )
    return patience

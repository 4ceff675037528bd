"""What each member of etcd says of itself, for `status`; each is asked directly, whatever links are cut."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from intelgraph.control.store.etcd_members import FAILURES, Json, Members, Refused
from intelgraph.fleet.etcd.members import EtcdPolicy
from intelgraph.fleet.layout.places import Fleet

_TIMEOUT_S = 2.0
_QUOTA_SHARE_MAX = 0.5
"""Of the quota, from when on a file is large: with few placements it stands at a thirtieth. An hour's reports are kept
at the most, so that two regions of 1,000 placements, 47 KB a second each, come to a third."""
_NO_LEADER = "it has no leader: it does not reach a majority"


class MemberStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One member. ``refusal`` says why nothing is known of it, or that it is without a leader.

    ``db_bytes``: its file; ``db_used_bytes``: what of it is in use. The difference is used again.
    """

    site: str
    refusal: str | None = None
    leads: bool = False
    revision: int | None = None
    term: int | None = None
    version: str | None = None
    db_bytes: int | None = None
    db_used_bytes: int | None = None


class ControlStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The control store: its kind, the site whose member leads (with etcd), and the members."""

    kind: str
    leader: str | None = None
    members: list[MemberStatus] = []
    advice: str | None = None
    """What is wrong, what it costs and what to do; none while every member follows a leader."""


def read_control_status(fleet: Fleet) -> ControlStatus:
    """Ask every member at once; takes at most two seconds and raises nothing of theirs."""
    control = fleet.topology.control
    members = asyncio.run(_all(fleet)) if control.voters else []
    leader = next((member.site for member in members if member.leads), None)
    return ControlStatus(kind=control.kind.value, leader=leader, members=members, advice=advice_on(members))


def advice_on(members: Sequence[MemberStatus]) -> str | None:
    """Say what the loss of members means for writes, and what a file that grows will mean; what to do. Pure."""
    said = [each for each in (_missing(members), _growing(members)) if each is not None]
    return "; ".join(said) or None


def _growing(members: Sequence[MemberStatus]) -> str | None:
    quota = EtcdPolicy().quota_bytes
    large = [each for each in members if (each.db_bytes or 0) >= quota * _QUOTA_SHARE_MAX]
    if not large:
        return None
    named = ", ".join(
        f"{each.site}/etcd has {(each.db_bytes or 0) / 1e6:.0f} MB ({(each.db_used_bytes or 0) / 1e6:.0f} MB in use)"
        for each in large
    )
    return (
        f"{named} of a quota of {quota / 1e6:.0f} MB: at the quota etcd takes no writes, and every region loses its "
        "lease; it keeps an hour of reports, which grow with the placements: see what else writes there"
    )


def _missing(members: Sequence[MemberStatus]) -> str | None:
    missing = [member.site for member in members if member.refusal is not None]
    if not missing:
        return None
    named = " and ".join(f"{site}/etcd" for site in missing)
    todo = f"look at {named} and at the links between them (`intelgraph wan`); it recovers by itself when they are back"
    voting = len(members) - len(missing)
    if voting > len(members) // 2:
        return f"{len(missing)} of {len(members)} members are missing: nothing stops, but one more loss would; {todo}"
    return (
        f"the control store has no majority, {voting} of {len(members)} members work: no region renews its lease, so "
        "writes are refused with `lease_over` once the leases are over, nobody takes over from a lost home, and reads "
        f"go on from the last known directory; {todo}"
    )


async def _all(fleet: Fleet) -> list[MemberStatus]:
    urls = {site: f"http://127.0.0.1:{fleet.ports[f'{site}/etcd']}" for site in fleet.topology.control.voters}
    members = Members(list(urls.values()))
    try:
        return await asyncio.gather(*(_one(members, site, url) for site, url in urls.items()))
    finally:
        await members.close()


async def _one(members: Members, site: str, url: str) -> MemberStatus:
    try:
        told = await members.ask(url, "/v3/maintenance/status", {}, timeout_s=_TIMEOUT_S)
    except Refused as error:
        return MemberStatus(site=site, refusal=_NO_LEADER if "no leader" in str(error) else f"it refuses: {error}")
    except FAILURES as error:
        return MemberStatus(site=site, refusal=f"it does not answer: {type(error).__name__}")
    return _read(site, told)


def _read(site: str, told: Json) -> MemberStatus:
    leader = int(told.get("leader", 0))
    return MemberStatus(
        site=site,
        refusal=None if leader else _NO_LEADER,
        leads=leader != 0 and leader == int(told["header"]["member_id"]),
        revision=int(told["header"].get("revision", 0)),
        term=int(told.get("raftTerm", 0)),
        version=told.get("version"),
        db_bytes=int(told.get("dbSize", 0)),
        db_used_bytes=int(told.get("dbSizeInUse", 0)),
    )

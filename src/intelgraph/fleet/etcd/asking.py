"""Asks each member of etcd what it says of itself: directly, whatever links are cut."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from intelgraph.control.store.etcd_members import FAILURES, Json, Members, Refused
from intelgraph.fleet.etcd.status import MemberStatus
from intelgraph.model.errors import why_no_answer

_TIMEOUT_S = 2.0
_NO_LEADER = "it has no leader: it does not reach a majority"


async def ask_all(urls: Mapping[str, str]) -> list[MemberStatus]:
    """Ask every member (URLs by site) at once; takes at most two seconds and raises nothing of theirs."""
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
        return MemberStatus(site=site, refusal=f"it does not answer: {why_no_answer(error)}")
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

"""What is known of the control store and of each member of etcd, for `status`, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from intelgraph.fleet.etcd.members import EtcdPolicy

_QUOTA_SHARE_MAX = 0.5
"""Of the quota, from when on a file is large: with few placements it stands at a thirtieth. An hour's reports are kept
at the most, so that two regions of 1,000 placements, 47 KB a second each, come to a third."""


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

"""Subscription: a follower is told every write that counts once, in the order of the log.

A follower's connections each begin behind a bookmark (``carried``) and tell bookmarks (``members``). What it proves, of
each connection: every bookmark is of a higher (epoch, position) than the one before and than the one it began behind
(``doubled`` if it had been told already, else ``out_of_order``); every acknowledged write between where it began and
what it told last was told (``gap``); and, when the history has ended, the follower's last connection has told every
acknowledged write behind its beginning (``never_told``). A follower that no stream was opened for was told nothing.

What it cannot: judge events of writes without an acknowledgement, or what an event says besides its place. A write that
was left behind and adopted later is told by the decision; its key is listed, and explains that it was not told itself.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence

from intelgraph.drill.checker.verdict import Anomaly, Verdict, name_of
from intelgraph.drill.history import END, History, Kind, Operation
from intelgraph.model.bookmark import Bookmark

NAME = "subscription"
_Rank = tuple[int, int]
_Placed = tuple[_Rank, Operation]


def check(history: History) -> Verdict:
    """Judge every follower's connections."""
    writes: dict[str, list[_Placed]] = defaultdict(list)
    followers: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    last: dict[tuple[str, str], Operation] = {}
    for operation in history.operations:
        at = operation.at if operation.is_write and operation.acknowledged else None
        if at is not None:
            writes[operation.tenant].append((_rank(at), operation))
        elif operation.kind is Kind.FOLLOW:
            followers[operation.tenant, operation.client] += [operation] if operation.acknowledged else []
            last[operation.tenant, operation.client] = operation
    ended = any(mark.what == END for mark in history.marks)
    anomalies: list[Anomaly] = []
    counted = {"followers": len(followers), "connections": 0, "events": 0}
    for (tenant, client), connections in followers.items():
        theirs = sorted(writes[tenant], key=lambda placed: placed[0])
        if ended and not connections:
            anomalies += _unopened(last[tenant, client], theirs)
        connections.sort(key=lambda each: each.invoked_s)
        for connection in connections:
            anomalies += _order(connection)
            anomalies += _gaps(connection, theirs, to_the_end=ended and connection is connections[-1])
            counted["connections"] += 1
            counted["events"] += len(connection.members)
    return Verdict(check=NAME, anomalies=tuple(anomalies), counted=counted)


def _rank(bookmark: Bookmark) -> _Rank:
    return bookmark.epoch, bookmark.position


def _begin(connection: Operation) -> _Rank:
    return (0, 0) if connection.carried is None else _rank(Bookmark.parse(connection.carried))


def _order(connection: Operation) -> Iterator[Anomaly]:
    highest, last = _begin(connection), connection.carried
    told = {last}
    for bookmark in connection.members:
        rank = _rank(Bookmark.parse(bookmark))
        if rank <= highest:
            kind = "doubled" if bookmark in told else "out_of_order"
            yield Anomaly(
                check=NAME,
                kind=kind,
                reason=f"{name_of(connection)} in {connection.region or connection.door} was told {bookmark} behind "
                f"{last}",
                operations=(connection.id,),
                objects=(bookmark,),
            )
        else:
            highest, last = rank, bookmark
        told.add(bookmark)


def _unopened(last: Operation, writes: Sequence[_Placed]) -> list[Anomaly]:
    if not writes:
        return []
    reason = f"{name_of(last)} was told none of {len(writes)} writes: no stream was opened for it ({last.code})"
    return [Anomaly(check=NAME, kind="never_told", reason=reason, operations=(last.id,), objects=(last.client,))]


def _gaps(connection: Operation, writes: Sequence[_Placed], *, to_the_end: bool) -> Iterator[Anomaly]:
    told = set(connection.members)
    ranks = [rank for rank, _ in writes]
    first = bisect_right(ranks, _begin(connection))
    highest = max((_rank(Bookmark.parse(each)) for each in told), default=(0, 0))
    within = bisect_left(ranks, highest)
    for place in range(first, len(writes) if to_the_end else within):
        write = writes[place][1]
        if write.bookmark in told:
            continue
        kind = "gap" if place < within else "never_told"
        yield Anomaly(
            check=NAME,
            kind=kind,
            reason=f"{name_of(connection)} in {connection.region or connection.door} was not told {write.bookmark} of "
            f"{name_of(write)}, acknowledged ({write.durability or 'home'}) at {write.completed_s:.3f} s",
            operations=(write.id, connection.id),
            objects=(write.bookmark or "",),
            facts={"key": write.key},
        )

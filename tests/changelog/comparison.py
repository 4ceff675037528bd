"""One region compared with the model: everything it concludes must be the model's function of the rows it holds."""

from __future__ import annotations

from typing import Any

from intelgraph.changelog.model.holding import Holding, redacted, statuses
from intelgraph.changelog.model.log import (
    Class,
    Identity,
    Kind,
    Row,
    Status,
    accepted,
    classify,
    decisions,
    digests,
    in_force,
    opens,
    state,
    undecided,
)

from .regions import Json, hashed
from .wire import bookmark, same_objects
from .world import REPEATED_KEYS, World

OBSERVE = "select harness.observe($1, $2, $3)"


def compare(world: World, region: str) -> None:
    """Look at a region and hold it against the model; notes whether it knows of a gap."""
    tenants = [world.tenant(0), world.tenant(1)]
    seen = world.cluster.ask(region, OBSERVE, world.placement, tenants, sorted({*REPEATED_KEYS, *world.keys}))
    holding, compacted = world.holdings[region], world.compacted[region]
    world.gaps[region] = (seen["placement"] or {}).get("gap")
    assert seen["troubles"] == [], seen["troubles"]
    _compare_rows(holding, compacted, seen)
    _compare_placement(holding, seen["placement"])
    _compare_digests(holding, seen["digests"])
    _compare_objects(holding, seen["objects"])
    if not holding.held:
        _compare_classes(holding, compacted, seen["salvage"])
        _compare_outcomes(world, holding, compacted, seen["outcomes"])


def _compare_rows(holding: Holding, compacted: set[Identity], seen: Json) -> None:
    expected = {key: status for key, status in statuses(holding).items() if key not in compacted}
    found = {Identity(*row[:3]): Status(row[3]) for row in seen["rows"]}
    if not holding.serves:  # what it says of opens and decisions is settled when it is allowed again
        found = {key: one if holding.rows[key].kind is Kind.WRITE else expected[key] for key, one in found.items()}
    assert found == expected, _difference(expected, found)
    shown = redacted(holding)
    for origin, life, position, _status, objects in seen["rows"]:
        identity = Identity(origin, life, position)
        assert same_objects(shown[identity], objects), (identity, shown[identity], objects)


def _compare_placement(holding: Holding, seen: Json) -> None:
    if seen is None:  # of a placement it has not heard of yet, a region keeps rows without saying why
        assert not opens({key: row for key, row in holding.rows.items() if key not in holding.unread})
        return
    assert bool(seen["hold"]) == holding.held, (seen, holding.unread)
    standing = in_force({key: row for key, row in holding.rows.items() if key not in holding.unread})
    if not standing:  # only its name is known, from rows that are held
        assert seen["epoch"] == 0
        return
    assert (seen["epoch"], seen["home"]) == (standing[0].epoch, standing[0].identity.origin)


def _compare_objects(holding: Holding, seen: Json) -> None:
    def comparable(tenant: str, item: Any, epoch: int, position: int) -> tuple[Any, Any]:
        deleted = bool(item.get("deleted"))
        shown = {} if deleted else {name: value for name, value in item.items() if name != "revision"}
        return (tenant, item["kind"], item["id"]), (epoch, position, item["revision"], deleted, shown)

    expected = dict(
        comparable(key.tenant, form.object, form.epoch, form.row.position)
        for key, form in state(holding.read).items()
        if (key.tenant, key.id) not in holding.erased
    )
    found = dict(
        comparable(one["tenant"], {**one["object"], "deleted": True} if one["deleted"] else one["object"],
                   one["epoch"], one["position"])
        for one in seen
    )  # fmt: skip
    assert found == expected, _difference(expected, found)


def _compare_classes(holding: Holding, compacted: set[Identity], seen: Json) -> None:
    """A compacted row's key is forgotten, so what would be its duplicate may have any other class."""
    expected = classify(holding.read)
    found = {Identity(*row[:3]): Class(row[3]) for row in seen}
    if compacted:
        found = {key: expected[key] if expected.get(key) is Class.DUPLICATE else one for key, one in found.items()}
    assert found == expected, _difference(expected, found)


def _compare_outcomes(world: World, holding: Holding, compacted: set[Identity], seen: Json) -> None:
    rows = holding.read
    classes, decided, counted, waiting = classify(rows), decisions(rows), accepted(rows), undecided(rows)

    def outcome(row: Row) -> str:
        if row.identity in decided and decided[row.identity].kind is Kind.ADOPT:
            return "adopted"
        if row.identity in counted:
            return "accepted"
        return classes[row.identity].value if row.identity in waiting else "rejected"

    for tenant, key, told in seen:
        bearers = [row for row in rows.values() if (row.tenant, row.key) == (tenant, hashed(key).hex())]
        if not compacted & {row.identity for row in bearers}:
            expected = {bookmark(row): outcome(row) for row in bearers}
            assert {one["bookmark"]: one["outcome"] for one in told} == expected, (tenant, key)


def _compare_digests(holding: Holding, seen: Json) -> None:
    """One sum per writer; rows that were compacted away still count."""
    expected: dict[tuple[str, int], tuple[int, int]] = {}
    for bucket, digest in digests(holding.rows).items():
        count, total = expected.get((bucket.origin, bucket.life), (0, 0))
        expected[bucket.origin, bucket.life] = (count + digest.rows, (total + digest.sum) % 2**64)
    found = {(origin, life): (rows, int(total)) for origin, life, rows, total in seen if rows}
    assert found == expected, _difference(expected, found)


def _difference(expected: dict[Any, Any], found: dict[Any, Any]) -> str:
    names = expected.keys() | found.keys()
    lines = [
        f"{name}: the model says {expected.get(name)}, the database {found.get(name)}"
        for name in sorted(names, key=str)
        if expected.get(name) != found.get(name)
    ]
    return "\n".join(lines)

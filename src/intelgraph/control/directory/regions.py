"""``regions/R`` in the control store: whether an operator has drained a region, and why."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from intelgraph.control.store.protocol import ControlStore, Entry
from intelgraph.model.errors import retry

REGIONS = "regions/"


class RegionState(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator has said of a region."""

    drained: bool = False
    why: str = ""


def region_state(entry: Entry) -> RegionState:
    """Read a region's entry. What cannot be read counts as drained: such a region takes nothing over."""
    if entry.value is None:
        return RegionState()
    try:
        return msgspec.json.decode(entry.value, type=RegionState)
    except msgspec.DecodeError:
        return RegionState(drained=True, why="its entry in the control store cannot be read")


def drained(entries: Iterable[Entry]) -> frozenset[str]:
    """Return which regions are drained."""
    return frozenset(entry.key.removeprefix(REGIONS) for entry in entries if region_state(entry).drained)


def reasons(entries: Iterable[Entry]) -> dict[str, str]:
    """Return why each drained region was drained."""
    states = {entry.key.removeprefix(REGIONS): region_state(entry) for entry in entries}
    return {region: state.why for region, state in states.items() if state.drained}


async def drain(store: ControlStore, region: str, *, why: str, by: str) -> bool:
    """Record that a region is drained; without ``why`` an earlier reason stays. Returns whether it changes anything."""
    key = REGIONS + region
    before = region_state((await store.read([key])).entries[key])
    return await declare(store, region, RegionState(drained=True, why=why or before.why or f"drained by {by}"))


async def declare(store: ControlStore, region: str, state: RegionState) -> bool:
    """Record what an operator says of a region; returns whether that changes anything."""
    key = REGIONS + region
    entry = (await store.read([key])).entries[key]
    if region_state(entry) == state:
        return False
    if not await store.compare_and_set(expected={key: entry.version}, writes={key: msgspec.json.encode(state)}):
        raise retry("region_changed", f"{region} was changed by somebody else meanwhile; look again", retry_after_s=0.0)
    return True

"""The directory: which placement a tenant belongs to, and where each placement lives.

It stands on the control store: one key a tenant, one key a placement. Everything written here goes by
compare-and-set, so two operators (or an operator and an agent) never overwrite each other unseen. Creating the same
thing twice with the same values gives the same answer; with other values it is refused.

The cached read side of the API workers is ``directory_cache``; opening an epoch in a database is the caller's part.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import msgspec

from intelgraph.control.store.protocol import ABSENT, ControlStore, Entry
from intelgraph.model.errors import PermanentError, refuse, retry
from intelgraph.model.placement import RPO_S_MAX, Declared, Durability, Placement, StandbyLoss, Tenant

PLACEMENTS = "placements/"
TENANTS = "tenants/"
DIGEST_KEY_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class PlacementRecord:
    """A placement as the control store holds it: its key for row digests (hex) and the version it was read at."""

    placement: Placement
    digest_key: str
    version: int


class _DeclaredValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    home: str
    durability: Durability
    on_standby_loss: StandbyLoss = StandbyLoss.DEGRADE
    rpo_s_max: float = RPO_S_MAX


class _PlacementValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    home: str
    standby: str | None
    regions: tuple[str, ...]
    epoch: int
    durability: Durability
    digest_key: str
    declared: _DeclaredValue | None = None


class _TenantValue(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    placement: str


_TENANT = msgspec.json.Decoder(_TenantValue)


def placement_from(entry: Entry) -> PlacementRecord:
    """Read a placement's entry; refuses a value that is not a legal placement with ``bad_placement``."""
    try:
        value = msgspec.json.decode(entry.value or b"", type=_PlacementValue)
    except msgspec.DecodeError as error:
        raise refuse("bad_placement", f"the control store's entry {entry.key} is not a placement: {error}") from error
    placement = Placement(
        id=value.id,
        home=value.home,
        standby=value.standby,
        regions=value.regions,
        epoch=value.epoch,
        durability=value.durability,
        declared=_declared_from(value.declared),
    )
    return PlacementRecord(placement=placement, digest_key=value.digest_key, version=entry.version)


def tenant_from(entry: Entry) -> Tenant:
    """Read a tenant's entry; refuses a value that is not a legal tenant with ``bad_tenant``."""
    try:
        value = msgspec.json.decode(entry.value or b"", type=_TenantValue)
    except msgspec.DecodeError as error:
        raise refuse("bad_tenant", f"the control store's entry {entry.key} is not a tenant: {error}") from error
    return Tenant(id=value.id, placement=value.placement)


def placement_name(entry: Entry) -> str | None:
    """Read which placement a tenant's entry names, and nothing else; none if it is deleted or malformed.

    A tenth of the work of ``tenant_from``: for whoever reads a million. A name that no placement has leads nowhere.
    """
    try:
        return _TENANT.decode(entry.value or b"").placement
    except msgspec.DecodeError:
        return None


def encode_placement(placement: Placement, digest_key: str) -> bytes:
    """Encode a placement as the control store keeps it."""
    return msgspec.json.encode(
        _PlacementValue(
            id=placement.id,
            home=placement.home,
            standby=placement.standby,
            regions=placement.regions,
            epoch=placement.epoch,
            durability=placement.durability,
            digest_key=digest_key,
            declared=_declared_value(placement.declared),
        )
    )


def _declared_from(value: _DeclaredValue | None) -> Declared | None:
    if value is None:
        return None
    return Declared(
        home=value.home,
        durability=value.durability,
        on_standby_loss=value.on_standby_loss,
        rpo_s_max=value.rpo_s_max,
    )


def _declared_value(declared: Declared | None) -> _DeclaredValue | None:
    if declared is None:
        return None
    return _DeclaredValue(
        home=declared.home,
        durability=declared.durability,
        on_standby_loss=declared.on_standby_loss,
        rpo_s_max=declared.rpo_s_max,
    )


def unknown_placement(name: str) -> PermanentError:
    """Build the refusal of a placement that is not there; it names the command that makes one."""
    made = f"`intelgraph placement create {name} --regions …` makes it, `intelgraph placement list` lists them"
    return refuse("unknown_placement", f"there is no placement {name}: {made}", placement=name)


def unknown_tenant(name: str) -> PermanentError:
    """Build the refusal of a tenant that is not there; it names the command that makes one."""
    made = f"`intelgraph tenant create {name} --placement PLACEMENT` makes it, `intelgraph tenant list` lists them"
    return refuse("unknown_tenant", f"there is no tenant {name}: {made}", tenant=name)


class Directory:
    """Tenants and placements, on any ``ControlStore``."""

    def __init__(self, store: ControlStore) -> None:
        self._store = store

    async def create_placement(self, placement: Placement) -> PlacementRecord:
        """Create a placement of epoch 1; the same one again is returned, another one is ``placement_exists``.

        One that has moved since (a higher epoch) still counts as the same if its regions and all that was declared
        are: who writes and stands by at the moment is the agents' business.
        """
        key = PLACEMENTS + placement.id
        await self._store.compare_and_set(
            expected={key: ABSENT}, writes={key: encode_placement(placement, secrets.token_hex(DIGEST_KEY_BYTES))}
        )
        record = await self.placement(placement.id)
        differs = _differences(placement, record.placement)
        if differs:
            raise refuse(
                "placement_exists",
                f"placement {placement.id} is not created: it exists, and {'; '.join(differs)}; creating changes "
                f"nothing, `intelgraph placement declare {placement.id}` changes what was declared",
                placement=placement.id,
                differs=differs,
            )
        return record

    async def placement(self, placement_id: str) -> PlacementRecord:
        """Read one placement; ``unknown_placement`` if there is none."""
        key = PLACEMENTS + placement_id
        entry = (await self._store.read([key])).entries[key]
        if entry.value is None:
            raise unknown_placement(placement_id)
        return placement_from(entry)

    async def placements(self) -> list[PlacementRecord]:
        """Read all placements, by id."""
        snapshot = await self._store.read(prefix=PLACEMENTS)
        return [placement_from(snapshot.entries[key]) for key in sorted(snapshot.entries)]

    async def update_placement(self, old: PlacementRecord, new: Placement) -> PlacementRecord:
        """Replace a placement that is still as it was read; otherwise ``placement_changed``.

        Every change raises the epoch by one, since every change is opened by a row in the log.
        """
        if new.id != old.placement.id or new.epoch != old.placement.epoch + 1:
            raise refuse(
                "bad_epoch",
                f"placement {old.placement.id} is not changed: the next epoch is {old.placement.epoch + 1}, "
                f"not {new.epoch}",
            )
        key = PLACEMENTS + new.id
        written = await self._store.compare_and_set(
            expected={key: old.version}, writes={key: encode_placement(new, old.digest_key)}
        )
        if not written:
            raise retry(
                "placement_changed",
                f"placement {new.id} is not changed: somebody else changed it meanwhile; look again",
                retry_after_s=0.0,
                placement=new.id,
            )
        return await self.placement(new.id)

    async def create_tenant(self, tenant: Tenant) -> Tenant:
        """Create a tenant in an existing placement; the same one again is returned, another is ``tenant_exists``."""
        key, home = TENANTS + tenant.id, PLACEMENTS + tenant.placement
        written = False
        while not written:
            placement = await self.placement(tenant.placement)
            written = await self._store.compare_and_set(
                expected={key: ABSENT, home: placement.version},
                writes={key: msgspec.json.encode(_TenantValue(id=tenant.id, placement=tenant.placement))},
            )
            # not written although it is absent: its placement has moved meanwhile
            written = written or (await self._store.read([key])).entries[key].value is not None
        found = await self.tenant(tenant.id)
        if found != tenant:
            raise refuse(
                "tenant_exists",
                f"tenant {tenant.id} is not created: it exists in placement {found.placement}, not {tenant.placement}",
                tenant=tenant.id,
                placement=found.placement,
            )
        return found

    async def tenant(self, tenant_id: str) -> Tenant:
        """Read one tenant; ``unknown_tenant`` if there is none."""
        key = TENANTS + tenant_id
        entry = (await self._store.read([key])).entries[key]
        if entry.value is None:
            raise unknown_tenant(tenant_id)
        return tenant_from(entry)

    async def tenants(self) -> list[Tenant]:
        """Read all tenants, by id."""
        snapshot = await self._store.read(prefix=TENANTS)
        return [tenant_from(snapshot.entries[key]) for key in sorted(snapshot.entries)]


def describe(placement: Placement) -> str:
    """Say a placement's values in a few words, for people, and what was declared where that is something else."""
    wanted = placement.wanted
    standby = f"standby {placement.standby}" if placement.standby else "no standby"
    home = "" if placement.home == wanted.home else f" (declared {wanted.home})"
    degraded = f" (declared {wanted.durability.value}: degraded)" if placement.is_degraded else ""
    return (
        f"home {placement.home}{home}, {standby}, regions {', '.join(placement.regions)}, "
        f"durability {placement.durability.value}{degraded}, epoch {placement.epoch}"
    )


def _differences(asked: Placement, found: Placement) -> list[str]:
    """Say in which of its values a placement is not the one that is asked for."""
    wants, has = asked.wanted, found.wanted
    pairs = [
        ("regions", ", ".join(sorted(found.regions)), ", ".join(sorted(asked.regions))),
        ("home", has.home, wants.home),
        ("durability", has.durability.value, wants.durability.value),
        ("on_standby_loss", has.on_standby_loss.value, wants.on_standby_loss.value),
        ("rpo_s_max", f"{has.rpo_s_max:g}", f"{wants.rpo_s_max:g}"),
    ]
    if found.epoch == asked.epoch:
        pairs.append(("standby", found.standby or "none", asked.standby or "none"))
    return [f"{name} is {is_} (asked for {wish})" for name, is_, wish in pairs if is_ != wish]

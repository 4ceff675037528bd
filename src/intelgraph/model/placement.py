"""A placement says where a set of tenants may live and which region writes: ``{id, home, standby, regions, epoch}``.

It is the unit of fencing and failover. The control store owns it; a database learns it from ``open`` rows of the log.
Every change of it (home, standby, regions, durability) raises the epoch and is opened by a row in the log, so that
one rule orders them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from intelgraph.model.errors import refuse
from intelgraph.model.names import check_name


class Durability(Enum):
    """When a write is acknowledged: flushed at ``home``, or flushed by the ``remote`` standby as well."""

    HOME = "home"
    REMOTE = "remote"


class StandbyLoss(Enum):
    """What a ``remote`` placement does while it has no standby: refuse writes, or go on as ``home`` and say so."""

    STRICT = "strict"
    DEGRADE = "degrade"


RPO_S_MAX = 60.0


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What an operator asked for; what holds now may differ from it after a loss, until it can be restored."""

    home: str
    durability: Durability
    on_standby_loss: StandbyLoss = StandbyLoss.DEGRADE
    rpo_s_max: float = RPO_S_MAX
    """How old the oldest write that the standby lacks may become."""

    def __post_init__(self) -> None:
        check_name("region", self.home)
        if not 1.0 <= self.rpo_s_max <= 86_400.0:
            raise refuse("bad_rpo", f"an RPO of {self.rpo_s_max:g} s is refused: it must be from 1 to 86,400 s")


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where tenants may live (``regions``), who writes (``home``), who may take over unattended (``standby``)."""

    id: str
    home: str
    standby: str | None
    regions: tuple[str, ...]
    epoch: int
    durability: Durability
    declared: Declared | None = None
    """``None``: what holds was declared."""

    def __post_init__(self) -> None:
        check_name("placement", self.id)
        for region in self.regions:
            check_name("region", region)
        if not self.regions or len(set(self.regions)) != len(self.regions):
            raise refuse("bad_placement", f"placement {self.id} is refused: its regions must be a list without repeats")
        if self.home not in self.regions:
            raise refuse(
                "home_not_allowed",
                f"placement {self.id} is refused: its home {self.home} is not among its regions "
                f"{', '.join(self.regions)}",
                home=self.home,
                regions=list(self.regions),
            )
        if self.standby is not None and (self.standby not in self.regions or self.standby == self.home):
            raise refuse(
                "standby_not_allowed",
                f"placement {self.id} is refused: its standby {self.standby} must be another of its regions "
                f"{', '.join(self.regions)}",
                standby=self.standby,
                regions=list(self.regions),
            )
        if self.durability is Durability.REMOTE and self.standby is None:
            raise refuse(
                "remote_needs_standby",
                f"placement {self.id} is refused: remote durability needs a standby, and it has none",
            )
        if self.epoch < 1:
            raise refuse("bad_epoch", f"placement {self.id} is refused: its epoch is {self.epoch}; the first is 1")

    @property
    def wanted(self) -> Declared:
        """What was declared, by default what holds now."""
        return self.declared or Declared(home=self.home, durability=self.durability)

    @property
    def is_degraded(self) -> bool:
        """Whether writes are acknowledged with less durability than was declared."""
        declared = self.declared  # every request asks, so nothing is built here
        return declared is not None and declared.durability is Durability.REMOTE and self.durability is Durability.HOME


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """An opaque id that belongs to one placement. Its directory row holds no resident data and is in every region."""

    id: str
    placement: str

    def __post_init__(self) -> None:
        check_name("tenant", self.id)
        check_name("placement", self.placement)

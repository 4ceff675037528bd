"""What a region serves less well than it should, as its agent knows: told to its doors, and found for its report.

Everything is answered at once, from memory, and decided elsewhere (``placement.write_path``, ``standby``, ``governor``,
``steering``, ``handover``); here it is put together. RESIDENCY: what goes to the doors, who answer anybody, names
regions and codes; never a placement or a tenant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from intelgraph.control.agent.agent import Agent
from intelgraph.control.agent.leases.grants import Bound
from intelgraph.control.agent.observer.observing import Observing
from intelgraph.control.agent.observer.write_prober import WriteProber
from intelgraph.model.errors import Denied
from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.governor import AtRisk, admit
from intelgraph.placement.handover import gives_up
from intelgraph.placement.policy import GovernorPolicy, Policy
from intelgraph.placement.steering import home_unreached, passed_over, unreached_homes

STANDBY_SILENT_S = 3.0
"""From when on it is said that remote writes wait for their standby: before it is lost, and after any one round."""
_GOVERNOR = GovernorPolicy()


class Limits:
    """Of one region. ``stands``: by placement, why nothing is done about it."""

    def __init__(
        self,
        agent: Agent,
        observing: Observing,
        policy: Policy,
        stands: Mapping[str, Denied],
        prober: WriteProber,
        unreached_s: Callable[[], Mapping[str, float]],
    ) -> None:
        self._agent = agent
        self._observing = observing
        self._policy = policy
        self._stands = stands
        self._prober = prober
        self._unreached_s = unreached_s

    def bounds(self) -> Mapping[str, Bound]:
        """Of the placements that this region writes: how far their standby may be behind; which refuse, and why."""
        bounds: dict[str, Bound] = {}
        for placement in self._at_home():
            if placement.standby is None:
                continue
            lost = self._standby_lost(placement)
            bounds[placement.id] = Bound(
                rpo_s_max=placement.wanted.rpo_s_max,
                oldest_s=self._observing.unconfirmed_s(placement.standby),
                refused_code=lost.code if lost else "",
                refused_reason=f"the write is refused: {lost.reason}" if lost else "",
            )
        return bounds

    def refusals(self) -> dict[str, Denied]:
        """Of the placements that this region writes: which take no writes although the lease lasts, and why."""
        found = {placement.id: self._refusal(placement) for placement in self._at_home()}
        return {name: why for name, why in found.items() if why is not None}

    def findings(self) -> Sequence[Denied]:
        """What is wrong with writing here, of the region as a whole."""
        path, unreached_s = self._prober.path, self._unreached_s()
        found = [path.why] if path is not None and path.is_broken and path.why is not None else []
        here = self._agent.here
        found += [_lacking(here, name, why) for name, why in self._prober.limits.items()]
        return [*found, *(home_unreached(here, home, n, unreached_s[home]) for home, n in self._away().items())]

    def told(self, refusals: Iterable[Denied], codes: Iterable[str]) -> dict[str, str]:
        """What the region's doors say in ``/readyz``; ``codes``: of everything that was found."""
        told: dict[str, str] = {}
        path = self._prober.path
        if path is not None and path.is_broken and path.why is not None:
            told["writes"] = path.why.reason
        why = self.passed_over()
        if why is not None and "writes" not in told:
            told["homes"] = why
        if counted := Counter(each.code for each in refusals):
            told["placements"] = ", ".join(
                f"{count} placement{'' if count == 1 else 's'} of this region's: {code}"
                for code, count in counted.items()
            )
        if found := sorted(set(codes)):
            told["findings"] = f"{', '.join(found)}: `intelgraph status` says more"
        return told

    def passed_over(self) -> str | None:
        """Say why clients should go to another region, if they should."""
        grant = self._agent.grant
        is_granted = grant is not None and self._agent.clock() < grant.until_s
        written_here = len(grant.epochs) if grant is not None and is_granted else 0
        return passed_over(self._prober.path, written_here=written_here, away=self._away())

    def gives_up(self) -> Denied | None:
        """Say why the lease is not renewed although it could be."""
        path = self._prober.path
        if path is None or path.failing_s < self._policy.writes_given_up_s:
            return None
        views = (self._observing.view(placement.id) for placement in self._at_home())
        return gives_up(views, self._policy)

    def _at_home(self) -> list[Placement]:
        records = self._observing.known.placements.values()
        return [record.placement for record in records if record.placement.home == self._agent.here]

    def _away(self) -> dict[str, int]:
        placements = (record.placement for record in self._observing.known.placements.values())
        return unreached_homes(
            self._agent.here,
            placements,
            leases=self._agent.watching.leases,
            unreached_s=self._unreached_s(),
            policy=self._policy,
        )

    def _standby_lost(self, placement: Placement) -> Denied | None:
        stands = self._stands.get(placement.id)
        is_remote = placement.durability is Durability.REMOTE  # a home write is bounded by the governor instead
        return stands if is_remote and stands is not None and stands.code == "standby_lost" else None

    def _refusal(self, placement: Placement) -> Denied | None:
        if placement.standby is None:
            return None
        lost = self._standby_lost(placement)
        if lost is not None:
            return lost
        about = {"placement": placement.id, "standby": placement.standby}
        age_s = self._observing.unconfirmed_s(placement.standby)
        if placement.durability is Durability.REMOTE:
            stalled_s = self._observing.stalled_s(placement.home, placement.standby)
            if stalled_s is None or stalled_s < STANDBY_SILENT_S:
                return None
            silent = f"its standby {placement.standby} has confirmed nothing for {stalled_s:.0f} s"
            reason = f"writes of {placement.id} wait: {silent}"
            return Denied(code="standby_silent", reason=reason, facts=about)
        said = admit(age_s, measured_s_ago=0.0, rpo_s_max=placement.wanted.rpo_s_max, policy=_GOVERNOR)
        if not isinstance(said, AtRisk):
            return None
        lacks = "it is not known what" if age_s is None else f"writes that are {age_s:.0f} s old are what"
        reason = (
            f"writes of {placement.id} are refused: {lacks} its standby {placement.standby} lacks; losing the home may "
            f"lose {placement.wanted.rpo_s_max:g} s at most"
        )
        return Denied(code="rpo_at_risk", reason=reason, facts=about)


def _lacking(region: str, name: str, why: str) -> Denied:
    """The finding about what an API worker lacks: readable keys, or more of what is bounded."""
    code = "keys_limited" if name == "keys" else "used_up"
    return Denied(code=code, reason=f"in {region}: {why}", facts={"about": region, "what": name})

"""May this region serve this tenant? A pure decision over what the directory says.

Today's rule: a tenant is served only in a region that its placement lists. Policies, exemptions and break-glass will
be further rules with the same answer: ``None``, or a ``Denied`` with the reason. Anything that is not known is denied
before it comes here. Where a request should go instead does not belong here.
"""

from __future__ import annotations

from intelgraph.model.errors import Denied
from intelgraph.model.placement import Placement


def decide(*, region: str, placement: Placement) -> Denied | None:
    """Return ``None`` if ``region`` may serve tenants of ``placement``, else ``region_not_allowed`` and why."""
    if region in placement.regions:
        return None
    allowed = ", ".join(placement.regions)
    return Denied(
        code="region_not_allowed",
        reason=f"the request is refused in {region}: the tenant's data may be served in {allowed} only",
        facts={"region": region, "regions": list(placement.regions), "home": placement.home},
    )

"""Tenants: creating one in a placement, and reading them."""

from __future__ import annotations

from dataclasses import dataclass

from intelgraph.model.placement import Placement, Tenant
from intelgraph.operations.operator import Operator
from intelgraph.operations.record import record


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A tenant, and the placement that it belongs to."""

    tenant: Tenant
    placement: Placement


async def create_tenant(operator: Operator, tenant: Tenant) -> Tenant:
    """Create a tenant; the same again changes nothing, ``tenant_exists`` if it is in another placement."""
    record(operator, "tenant create", tenant=tenant.id, placement=tenant.placement)
    async with operator.site.directory() as directory:
        return await directory.create_tenant(tenant)


async def show_tenant(operator: Operator, name: str) -> Placed:
    """One tenant and where it lives; ``unknown_tenant`` if there is none."""
    async with operator.site.directory() as directory:
        tenant = await directory.tenant(name)
        return Placed(tenant=tenant, placement=(await directory.placement(tenant.placement)).placement)


async def list_tenants(operator: Operator) -> list[Tenant]:
    """Every tenant, by id."""
    async with operator.site.directory() as directory:
        return await directory.tenants()

"""Routing policies, for those who administer the tenant's models."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from auth.policies.models import can_read_models
from db.scopes import Row
from inference.policies import PolicyDraft
from loaders.pages import Cursors, Page, PageArguments, page_of
from resolvers import models
from resolvers.operations import Operation


async def by_ids(operation: Operation, ids: Sequence[UUID | None], needed: object = None) -> list[Row | None]:  # noqa: ARG001 - a link's
    """Find policies of the tenant."""
    if not can_read_models(operation.viewer):
        return [None] * len(ids)
    policies = (await models.offering(operation)).policies
    return [None if one is None or one not in policies else msgspec.structs.asdict(policies[one]) for one in ids]


async def page(operation: Operation, arguments: PageArguments) -> Page:
    """Page through the tenant's policies, the oldest first."""
    cursors = Cursors(await operation.works.keyring.cipher(operation.tenant_id), "routing policies")
    start = arguments.start(cursors)
    policies = (await models.offering(operation)).policies
    rows = [msgspec.structs.asdict(policies[one]) for one in sorted(policies) if start is None or one > start[0]]
    return page_of(rows[: arguments.limit], arguments, lambda row: cursors.write([row["id"]]), total=len(policies))


async def candidates(operation: Operation, rows: Sequence[Row], needed: object) -> list[list[Row]]:  # noqa: ARG001 - a batch's arguments
    """List the places that each policy names and that are still there."""
    places = (await models.offering(operation)).places
    return [[models.place_row(operation, places[one]) for one in row["candidates"] if one in places] for row in rows]


async def put(operation: Operation, draft: PolicyDraft) -> Row | None:
    """Define a policy."""
    return (await by_ids(operation, [await operation.works.policies.put(operation.viewer, draft)]))[0]

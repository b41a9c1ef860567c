"""What a tenant brings of its own, for those who administer its models."""

from uuid import UUID

from db.scopes import Row
from inference.custom_models import ModelDraft, PriceDraft, ProviderDraft
from resolvers import models
from resolvers.operations import Operation


async def put_provider(operation: Operation, draft: ProviderDraft) -> Row | None:
    """Define a provider."""
    provider_id = await operation.works.custom_models.put_provider(operation.viewer, draft)
    return (await models.providers_by_ids(operation, [provider_id]))[0]


async def put_model(operation: Operation, draft: ModelDraft) -> Row | None:
    """Define a model, and where it is asked."""
    model_id = await operation.works.custom_models.put_model(operation.viewer, draft)
    return (await models.by_ids(operation, [model_id]))[0]


async def set_price(operation: Operation, draft: PriceDraft) -> Row | None:
    """Date a price."""
    return await models.price_by_id(operation, await operation.works.custom_models.set_price(operation.viewer, draft))


async def drain(operation: Operation, id: UUID, *, draining: bool) -> Row | None:
    """Ask nothing more at a place, or ask there again."""
    return await models.deployment_by_id(operation, await operation.works.custom_models.drain(operation.viewer, id, draining=draining))

"""Models, their providers, prices and deployments, as far as the viewer may see them."""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from auth.policies.models import can_administer_models, can_read_models
from db.scopes import Row
from inference.deployments import Capability, CredentialOwner, Price
from inference.holdings import with_own
from inference.offerings import ModelProvider, OfferedModel, Offering, Place
from loaders.pages import Cursors, Page, PageArguments, page_of
from resolvers.operations import Operation

_OF_MODEL: Final = (
    "id", "key", "name", "provider_id", "context_tokens", "max_output_tokens", "deprecated_on", "replacement_id", "custom", "revision",
)  # fmt: skip
_OF_PLACE: Final = ("id", "standing_id", "model_id", "region", "weight", "order", "tpm", "rpm", "owner", "drained")


async def offering(operation: Operation) -> Offering:
    """All that the viewer can ask, read once for an operation."""
    found = await operation.questions.own_models.load(operation.viewer.user_id)
    assert found is not None, "every member has an answer"
    return with_own(operation.works.models.platform, found, operation.tenant_id)


async def by_ids(operation: Operation, ids: Sequence[UUID | None], needed: object = None) -> list[Row | None]:  # noqa: ARG001 - a link's
    """Find models, those of the catalogue and the tenant's own."""
    if not can_read_models(operation.viewer):
        return [None] * len(ids)
    models = (await offering(operation)).models
    return [None if one is None or (model := models.get(one)) is None else model_row(model) for one in ids]


async def answering(operation: Operation, rows: Sequence[Row], *, run: str) -> list[Row | None]:
    """Find the model that answers: the chosen one, or else the one whose deployment was asked last; `run` is the column of the run's id."""
    if not can_read_models(operation.viewer):
        return [None] * len(rows)
    found = await operation.questions.attempts_by_run.of(frozenset(["deployment_id"])).load_many(
        [row[run] if row["model_id"] is None else None for row in rows]
    )
    places = (await offering(operation)).places
    asked = [places.get(attempts[-1]["deployment_id"]) if attempts else None for attempts in found]
    ids = [row["model_id"] or (None if place is None else place.model_id) for row, place in zip(rows, asked, strict=True)]
    return await by_ids(operation, ids)


async def of_runs(operation: Operation, rows: Sequence[Row], needed: object) -> list[Row | None]:  # noqa: ARG001 - a batch's arguments
    """Find the model that answers each run."""
    return await answering(operation, rows, run="id")


async def of_messages(operation: Operation, rows: Sequence[Row], needed: object) -> list[Row | None]:  # noqa: ARG001 - a batch's arguments
    """Find the model that wrote each message, or writes it."""
    return await answering(operation, rows, run="run_id")


async def providers_by_ids(operation: Operation, ids: Sequence[UUID], needed: object = None) -> list[Row | None]:  # noqa: ARG001 - a link's
    """Find providers."""
    if not can_read_models(operation.viewer):
        return [None] * len(ids)
    providers = (await offering(operation)).providers
    return [None if (provider := providers.get(one)) is None else provider_row(operation, provider) for one in ids]


async def deployment_by_id(operation: Operation, id: UUID) -> Row | None:
    """Find a place where a model can be asked."""
    place = (await offering(operation)).places.get(id) if can_read_models(operation.viewer) else None
    return None if place is None else place_row(operation, place)


async def deployments_by_ids(operation: Operation, ids: Sequence[UUID | None], needed: object = None) -> list[Row | None]:  # noqa: ARG001 - a link's
    """Find places where models can be asked, those that are drained among them."""
    if not can_read_models(operation.viewer):
        return [None] * len(ids)
    places = (await offering(operation)).places
    return [None if one is None or (place := places.get(one)) is None else place_row(operation, place) for one in ids]


async def price_by_id(operation: Operation, id: UUID) -> Row | None:
    """Find a price, one that holds no more among them."""
    if not can_read_models(operation.viewer):
        return None
    models = (await offering(operation)).models.values()
    return next((price_row(price) for model in models for price in model.prices if price.id == id), None)


async def page(operation: Operation, arguments: PageArguments, *, capabilities: Collection[Capability], only_usable: bool) -> Page:
    """Page through models that can do all of this, by their keys."""
    offers = await offering(operation)
    can = [model for model in offers.models.values() if model.capabilities.issuperset(capabilities)]
    rows = [model_row(model) for model in can if not only_usable or offers.usable(model.id)]
    return await _page(operation, rows, arguments, "models")


async def providers(operation: Operation, arguments: PageArguments) -> Page:
    """Page through providers, by their keys."""
    rows = [provider_row(operation, provider) for provider in (await offering(operation)).providers.values()]
    return await _page(operation, rows, arguments, "providers")


async def prices(operation: Operation, rows: Sequence[Row], needed: object) -> list[Row | None]:  # noqa: ARG001 - a batch's arguments
    """Find what each model costs the viewer now."""
    offers, now = await offering(operation), datetime.now(UTC)
    found = [offers.price_of(offers.models[row["id"]], now) for row in rows]
    return [None if price is None else price_row(price) for price in found]


async def deployments(operation: Operation, rows: Sequence[Row], needed: object) -> list[list[Row]]:  # noqa: ARG001 - a batch's arguments
    """List where each model can be asked, what is chosen first at the front."""
    offers = await offering(operation)
    return [[place_row(operation, place) for place in offers.places_of(row["id"])] for row in rows]


async def access(operation: Operation, rows: Sequence[Row], needed: object) -> list[bool]:  # noqa: ARG001 - a batch's arguments
    """Say of each model whether the viewer can ask it."""
    offers = await offering(operation)
    return [bool(offers.usable(row["id"])) for row in rows]


async def _page(operation: Operation, rows: Iterable[Row], arguments: PageArguments, kind: str) -> Page:
    cursors = Cursors(await operation.works.keyring.cipher(operation.tenant_id), kind)
    start, ordered = arguments.start(cursors), sorted(rows, key=lambda row: row["key"])
    beyond = [row for row in ordered if start is None or row["key"] > start[0]]
    return page_of(beyond[: arguments.limit], arguments, lambda row: cursors.write([row["key"]]), total=len(ordered))


def model_row(model: OfferedModel) -> Row:
    """Spell a model as the schema reads it."""
    return {name: getattr(model, name) for name in _OF_MODEL} | {"capabilities": sorted(model.capabilities)}


def provider_row(operation: Operation, provider: ModelProvider) -> Row:
    """Spell a provider as the schema reads it."""
    names = ("id", "key", "name", "custom", "needs_key", "revision")
    endpoint = provider.base_url if can_administer_models(operation.viewer) else None
    return {name: getattr(provider, name) for name in names} | {"endpoint": endpoint}


def price_row(price: Price) -> Row:
    """Spell a price as the schema reads it."""
    row: dict[str, Any] = {name: getattr(price, name) for name in price.__struct_fields__}
    return row


def place_row(operation: Operation, place: Place) -> Row:
    """Spell a place as the schema reads it; where the platform's own are is nobody's business."""
    shows_address = place.owner is not CredentialOwner.PLATFORM and can_administer_models(operation.viewer)
    return {name: getattr(place, name) for name in _OF_PLACE} | {"endpoint": place.base_url if shows_address else None}

"""What a tenant brings of its own: endpoints, models, prices, and where nothing more is asked."""

import enum
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import strawberry

from events.facts import DeploymentDrained, DeploymentResumed, ModelCreated, ModelPriceSet, ModelUpdated, ProviderCreated, ProviderUpdated
from inference.custom_models import DeploymentDraft, ModelDraft, PriceDraft, ProviderDraft
from inference.deployments import Capability
from resolvers import custom_models
from schema.errors import Payload
from schema.fields import Info, mutation, name_of
from schema.ids import local_id
from schema.models import Model, ModelCapability, ModelDeployment, ModelPrice, Provider
from schema.scalars import URL


@strawberry.enum(description="What an endpoint speaks.")
class ModelWire(enum.Enum):
    OPENAI = strawberry.enum_value("OPENAI", description="OpenAI's chat completions, as most servers do.")
    RESPONSES = strawberry.enum_value("RESPONSES", description="OpenAI's responses.")
    ANTHROPIC = strawberry.enum_value("ANTHROPIC", description="Anthropic's messages.")


@strawberry.input(description="An endpoint of the tenant's own.")
class ProviderUpsertInput:
    id: strawberry.ID | None = strawberry.field(description="The provider to define anew; without it a new one is made.", default=None)
    key: str = strawberry.field(description="Its short name: 1 to 40 lower-case letters, digits and dashes, unlike all other providers'.")
    name: str = strawberry.field(description="Its name for people: 1 to 100 characters.")
    wire: ModelWire = strawberry.field(description="What it speaks.", default=ModelWire.OPENAI)
    endpoint: URL = strawberry.field(
        description="Its address, up to and with `/v1`: public and https. Keys that were kept for another host are not sent there."
    )
    needs_key: bool = strawberry.field(description="Whether it is only asked with a key.", default=True)
    expected_revision: int | None = strawberry.field(
        description="The revision that the change is made for; another one is a conflict.", default=None
    )


@strawberry.type(description="The provider that was defined.")
class ProviderUpsertPayload(Payload):
    provider: Provider | None = strawberry.field(description="The provider as it is now.", default=None)


@strawberry.input(description="A place where a model is asked.")
class ModelDeploymentInput:
    id: strawberry.ID | None = strawberry.field(description="The deployment to define anew; without it a new one is made.", default=None)
    provider_id: strawberry.ID | None = strawberry.field(
        description="Where it is: a provider of the tenant's own; without it, the model's.", default=None
    )
    credential_id: strawberry.ID | None = strawberry.field(
        description="A key of the tenant's for that provider; without it, the asking member's own newest, or else the tenant's newest.",
        default=None,
    )
    remote_name: str | None = strawberry.field(description="What the model is called there; without it, by its key.", default=None)
    region: str | None = strawberry.field(description="Where it runs, for `allowedRegions`: 1 to 40 characters.", default=None)
    weight: int = strawberry.field(description="Its share among places of the same order, from 1 to 1000.", default=1)
    order: int = strawberry.field(description="Its turn, from 0 to 1000: lower ones are asked first.", default=0)
    tpm: int | None = strawberry.field(description="Most tokens a minute; without it, no limit of ours.", default=None)
    rpm: int | None = strawberry.field(description="Most requests a minute; without it, no limit of ours.", default=None)


@strawberry.input(description="A model of the tenant's own.")
class ModelUpsertInput:
    id: strawberry.ID | None = strawberry.field(description="The model to define anew; without it a new one is made.", default=None)
    provider_id: strawberry.ID = strawberry.field(description="Who runs it: a provider of the tenant's own.")
    key: str = strawberry.field(
        description="Its short name behind its provider's: 1 to 100 lower-case letters, digits and `.`, `_`, `:`, `/`, `-`."
    )
    name: str = strawberry.field(description="Its name for people: 1 to 100 characters.")
    context_tokens: int = strawberry.field(description="How much it can read and write at once, in tokens.")
    max_output_tokens: int | None = strawberry.field(description="Its longest answer, in tokens.", default=None)
    capabilities: list[ModelCapability] = strawberry.field(description="What it can do.")
    deprecated_at: date | None = strawberry.field(description="From when nobody should choose it any more.", default=None)
    replacement_id: strawberry.ID | None = strawberry.field(description="The model to use in its place.", default=None)
    deployments: list[ModelDeploymentInput] | None = strawberry.field(
        description="Where it is asked, 1 to 20 places in place of all that there were. Without them a new model is asked at its provider; "
        "others keep theirs.",
        default=None,
    )
    expected_revision: int | None = strawberry.field(
        description="The revision that the change is made for; another one is a conflict.", default=None
    )


@strawberry.type(description="The model that was defined.")
class ModelUpsertPayload(Payload):
    model: Model | None = strawberry.field(description="The model as it is now.", default=None)


@strawberry.input(description="What a model costs by the tenant's own contract: amounts for a million tokens.")
class ModelPriceSetInput:
    model_id: strawberry.ID = strawberry.field(description="The model: the tenant's own, or one of the catalogue.")
    currency: str = strawberry.field(description="The currency of all amounts: ISO 4217.", default="USD")
    input_per_m_tok: Decimal = strawberry.field(description="What is read anew.")
    output_per_m_tok: Decimal = strawberry.field(description="What is written.")
    cache_read_per_m_tok: Decimal | None = strawberry.field(
        description="What the provider had read before; without it, as input.", default=None
    )
    cache_write_per_m_tok: Decimal | None = strawberry.field(
        description="What the provider keeps for later; without it, as input.", default=None
    )
    reasoning_per_m_tok: Decimal | None = strawberry.field(
        description="What is thought before the answer; without it, as output.", default=None
    )
    effective_from: datetime | None = strawberry.field(description="From when it holds; without it, from now.", default=None)
    effective_to: datetime | None = strawberry.field(description="Until when it holds; without it, until a later one begins.", default=None)


@strawberry.type(description="The price that was set.")
class ModelPriceSetPayload(Payload):
    price: ModelPrice | None = strawberry.field(description="The price.", default=None)


@strawberry.input(description="A place where nothing more is asked.")
class DeploymentDrainInput:
    deployment_id: strawberry.ID = strawberry.field(
        description="The deployment: the tenant's own or the platform's, which is drained for you alone."
    )
    draining: bool = strawberry.field(description="False lets it be asked again.", default=True)


@strawberry.type(description="The deployment that was drained.")
class DeploymentDrainPayload(Payload):
    deployment: ModelDeployment | None = strawberry.field(description="The deployment as it is now.", default=None)


async def _provider(
    info: Info, input: Annotated[ProviderUpsertInput, strawberry.argument(description="The provider.")]
) -> ProviderUpsertPayload:
    draft = ProviderDraft(
        key=input.key,
        name=input.name,
        wire=name_of(input.wire).lower(),
        endpoint=input.endpoint,
        needs_key=input.needs_key,
        id=_local(input.id, "Provider", "id"),
        expected_revision=input.expected_revision,
    )
    return ProviderUpsertPayload(provider=Provider.of(await custom_models.put_provider(info.context, draft)))


async def _model(info: Info, input: Annotated[ModelUpsertInput, strawberry.argument(description="The model.")]) -> ModelUpsertPayload:
    draft = ModelDraft(
        provider_id=local_id(input.provider_id, "Provider", path=["providerId"]),
        key=input.key,
        name=input.name,
        context_tokens=input.context_tokens,
        capabilities=[Capability(name_of(one)) for one in input.capabilities],
        max_output_tokens=input.max_output_tokens,
        deprecated_on=input.deprecated_at,
        replacement_id=_local(input.replacement_id, "Model", "replacementId"),
        deployments=None if input.deployments is None else [_deployment(one) for one in input.deployments],
        id=_local(input.id, "Model", "id"),
        expected_revision=input.expected_revision,
    )
    return ModelUpsertPayload(model=Model.of(await custom_models.put_model(info.context, draft)))


def _deployment(given: ModelDeploymentInput) -> DeploymentDraft:
    return DeploymentDraft(
        id=_local(given.id, "ModelDeployment", "deployments", "id"),
        provider_id=_local(given.provider_id, "Provider", "deployments", "providerId"),
        credential_id=_local(given.credential_id, "ProviderCredential", "deployments", "credentialId"),
        remote_name=given.remote_name,
        region=given.region,
        weight=given.weight,
        order=given.order,
        tpm=given.tpm,
        rpm=given.rpm,
    )


def _local(text: strawberry.ID | None, type_name: str, *path: str) -> UUID | None:
    return None if text is None else local_id(text, type_name, path=path)


async def _price(info: Info, input: Annotated[ModelPriceSetInput, strawberry.argument(description="The price.")]) -> ModelPriceSetPayload:
    draft = PriceDraft(
        model_id=local_id(input.model_id, "Model", path=["modelId"]),
        input=input.input_per_m_tok,
        output=input.output_per_m_tok,
        cache_read=input.cache_read_per_m_tok,
        cache_write=input.cache_write_per_m_tok,
        reasoning=input.reasoning_per_m_tok,
        currency=input.currency,
        effective_from=input.effective_from,
        effective_to=input.effective_to,
    )
    return ModelPriceSetPayload(price=ModelPrice.of(await custom_models.set_price(info.context, draft)))


async def _drain(
    info: Info, input: Annotated[DeploymentDrainInput, strawberry.argument(description="The deployment.")]
) -> DeploymentDrainPayload:
    deployment_id = local_id(input.deployment_id, "ModelDeployment", path=["deploymentId"])
    drained = await custom_models.drain(info.context, deployment_id, draining=input.draining)
    return DeploymentDrainPayload(deployment=ModelDeployment.of(drained))


@strawberry.type
class Mutation:
    provider_upsert: ProviderUpsertPayload = mutation(
        _provider,
        payload=ProviderUpsertPayload,
        scopes=["models:admin"],
        emits=[ProviderCreated, ProviderUpdated],
        description="Bring an endpoint of the tenant's own, or change one.",
    )
    model_upsert: ModelUpsertPayload = mutation(
        _model,
        payload=ModelUpsertPayload,
        scopes=["models:admin"],
        emits=[ModelCreated, ModelUpdated],
        description="Bring a model of the tenant's own, or define one anew.",
    )
    model_price_set: ModelPriceSetPayload = mutation(
        _price,
        payload=ModelPriceSetPayload,
        scopes=["models:admin"],
        emits=[ModelPriceSet],
        description="Say what a model costs by the tenant's own contract. It counts for the tenant's and its members' keys, never for the "
        "platform's, and never for what has run.",
    )
    deployment_drain: DeploymentDrainPayload = mutation(
        _drain,
        payload=DeploymentDrainPayload,
        scopes=["models:admin"],
        emits=[DeploymentDrained, DeploymentResumed],
        description="Ask nothing more at a place; answers that are being made there go on.",
    )

"""Models: what can be asked, what it costs, where it is, and who runs it."""

import enum
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self
from uuid import UUID

import strawberry

from db.scopes import Row
from inference.deployments import Capability
from loaders.pages import Page
from resolvers import credentials, deployments, models
from resolvers.operations import Operation
from schema.caching import KeptFor
from schema.connections import After, Connection, First, asked
from schema.fields import Columns, batch, column, name_of
from schema.links import visible
from schema.nodes import Node
from schema.scalars import URL, BigInt
from schema.spans import TimeRange

if TYPE_CHECKING:
    from schema.credentials import ProviderCredential


@strawberry.enum(description="What a model can do.")
class ModelCapability(enum.Enum):
    TEXT = strawberry.enum_value("TEXT", description="It reads and writes text.")
    VISION = strawberry.enum_value("VISION", description="It reads images.")
    AUDIO = strawberry.enum_value("AUDIO", description="It hears recordings.")
    TOOLS = strawberry.enum_value("TOOLS", description="It calls tools.")
    PARALLEL_TOOLS = strawberry.enum_value("PARALLEL_TOOLS", description="It calls several tools at once.")
    STRUCTURED_OUTPUT = strawberry.enum_value("STRUCTURED_OUTPUT", description="It keeps to a JSON Schema.")
    REASONING = strawberry.enum_value("REASONING", description="It thinks before it answers.")
    PREFILL = strawberry.enum_value("PREFILL", description="It goes on with an answer whose beginning it is given.")
    PROMPT_CACHE = strawberry.enum_value("PROMPT_CACHE", description="What it has read before costs less to read again.")
    EMBEDDING = strawberry.enum_value("EMBEDDING", description="It turns texts into vectors.")
    RERANK = strawberry.enum_value("RERANK", description="It orders texts by how well they fit a question.")
    IMAGE_OUT = strawberry.enum_value("IMAGE_OUT", description="It makes images.")


@strawberry.enum(description="Whose key at a provider pays.")
class CredentialOwner(enum.Enum):
    PLATFORM = strawberry.enum_value("PLATFORM", description="The operator's.")
    TENANT = strawberry.enum_value("TENANT", description="The tenant's.")
    USER = strawberry.enum_value("USER", description="A member's own; it serves that member alone.")


@strawberry.enum(description="Who says what a model costs.")
class PriceSource(enum.Enum):
    CATALOGUE = strawberry.enum_value("CATALOGUE", description="The provider's public price list, as PENNY's catalogue knows it.")
    PLATFORM = strawberry.enum_value("PLATFORM", description="The operator, for what is asked with the operator's key.")
    TENANT_CONTRACT = strawberry.enum_value("TENANT_CONTRACT", description="The tenant, for what is asked with its own or a member's key.")


@strawberry.enum(description="How something that is asked over a network is.")
class Health(enum.Enum):
    HEALTHY = strawberry.enum_value("HEALTHY", description="It answers.")
    DEGRADED = strawberry.enum_value("DEGRADED", description="It failed of late, or is being tried again.")
    COOLDOWN = strawberry.enum_value("COOLDOWN", description="It is left alone for a while, after failures or because it asked for that.")
    DOWN = strawberry.enum_value("DOWN", description="It is left alone, and was so several times in a row.")
    UNKNOWN = strawberry.enum_value("UNKNOWN", description="Nobody has asked it of late.")


async def _healths_of_providers(operation: Operation, rows: Sequence[Row], needed: object) -> list[Health]:  # noqa: ARG001 - a batch's arguments
    return [Health(one.value) for one in await deployments.healths_of_providers(operation, rows)]


async def _credentials(
    operation: Operation,
    rows: Sequence[Row],
    needed: Columns | None,  # noqa: ARG001 - a row has all columns
    first: First = None,
    after: After = None,
) -> list[Page | Exception]:
    return await credentials.pages_of_providers(operation, rows, asked(operation, first=first, after=after))


@strawberry.type(description="Who runs models.")
class Provider(Node):
    key: str = column("key", description="Its short name, such as `openai`.")
    name: str = column("name", description="Its name for people.")
    custom: bool = column("custom", description="Whether it is the tenant's own.")
    endpoint: URL | None = column("endpoint", description="Its address; null for you unless you administer the tenant's models.")
    needs_key: bool = column(
        "needs_key",
        description="Whether you can ask its models only with a key of your own or the tenant's; false where this installation asks "
        "some of them with its own.",
    )
    credentials: "Connection[Annotated[ProviderCredential, strawberry.lazy('schema.credentials')]]" = batch(
        _credentials,
        needs=["id"],
        scopes=["models:admin", "models:write"],
        multipliers=["first"],
        description="Your own keys for it, and the tenant's if you administer its models, the oldest first.",
    )
    health: Health = batch(
        _healths_of_providers,
        needs=["id"],
        description="How the places stand where you can ask its models: `DEGRADED` where some answer and others do not.",
    )
    revision: int = column("revision", description="Counts its changes, for `expectedRevision`.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of((await models.providers_by_ids(operation, [id], columns))[0])


@strawberry.type(description="What a model costs during a span of time. Amounts are for a million tokens.")
class ModelPrice(Node):
    version: str = column("version", description="Names exactly this price; runs keep the version that they were charged by.")
    source: PriceSource = column("source", convert=lambda source: PriceSource(source.value), description="Who says so.")
    currency: str = column("currency", description="The currency of all amounts: ISO 4217.")
    input_per_m_tok: Decimal = column("input", description="What is read anew.")
    output_per_m_tok: Decimal = column("output", description="What is written.")
    cache_read_per_m_tok: Decimal | None = column("cache_read", description="What the provider had read before; null costs as input.")
    cache_write_per_m_tok: Decimal | None = column("cache_write", description="What the provider keeps for later; null costs as input.")
    reasoning_per_m_tok: Decimal | None = column("reasoning", description="What is thought before the answer; null costs as output.")
    effective_from: datetime = column("effective_from", description="From when it holds.")
    effective_to: datetime | None = column("effective_to", description="Until when it holds; null while nobody has said.")
    markup_percent: Decimal | None = column("markup_percent", description="What comes on top of all amounts, in percent.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:  # noqa: ARG003 - a row has all
        return cls.of(await models.price_by_id(operation, id))


@strawberry.type(description="What runs have measured of a place where a model is asked.")
class DeploymentStats:
    __source__: ClassVar[str] = "row"

    row: strawberry.Private[Any]

    requests: BigInt = column(
        "requests",
        description="How often it was asked, for answers, titles and summaries: at most as many as are measured at once.",
    )
    error_rate: float = column("error_rate", description="Which share of that failed, from 0 to 1.")
    ttft_p50_ms: int | None = column("ttft_p50_ms", description="How long its first token takes in the middle of all, in milliseconds.")
    ttft_p95_ms: int | None = column("ttft_p95_ms", description="How long its first token takes at most in 95 of 100, in milliseconds.")
    tokens_per_second_p50: float | None = column("tokens_per_second_p50", description="How fast it writes in the middle of all.")
    cost_per_m_tok_out: Decimal | None = column(
        "cost_per_m_tok_out", description="What all of it cost, for a million tokens that it wrote; null where no price is known."
    )


async def _healths(operation: Operation, rows: Sequence[Row], needed: object) -> list[Health]:  # noqa: ARG001 - a batch's arguments
    return [Health(one.value) for one in await deployments.healths(operation, rows)]


async def _stats(
    operation: Operation,
    rows: Sequence[Row],
    needed: object,  # noqa: ARG001 - a batch's arguments
    range: Annotated[TimeRange | None, strawberry.argument(description="When it was asked; without it, in the last 24 hours.")] = None,
) -> list[Row]:
    since, until = (None, None) if range is None else (range.from_, range.to)
    return await deployments.stats(operation, rows, since=since, until=until)


@strawberry.type(description="A place where a model can be asked.")
class ModelDeployment(Node):
    model: Annotated["Model", strawberry.lazy("schema.models")] = visible(
        models.by_ids, column="model_id", description="The model that is asked there."
    )
    region: str | None = column("region", description="Where it runs, in the words of whoever set it up.")
    endpoint: URL | None = column(
        "endpoint", description="Its address; null for the platform's own, and for you unless you administer the tenant's models."
    )
    weight: int = column("weight", description="Its share among places of the same order, for policies that weigh.")
    order: int = column("order", description="Its turn: lower ones are asked first.")
    tpm: int | None = column("tpm", description="Most tokens a minute; null means no limit of ours.")
    rpm: int | None = column("rpm", description="Most requests a minute; null means no limit of ours.")
    credential_owner: CredentialOwner = column(
        "owner", convert=lambda owner: CredentialOwner(owner.value), description="Whose key pays for what is asked there."
    )
    health: Health = batch(
        _healths, needs=["standing_id"], description="How it is now with the key that pays for you, as all processes have seen."
    )
    cooldown_until: datetime | None = batch(
        deployments.cooldowns,
        needs=["standing_id"],
        description="Until when it is not asked, after failures or because it asked for a pause; else null.",
    )
    stats: DeploymentStats = batch(_stats, needs=["id"], description="What the tenant's own runs have measured there.")
    draining: bool = column("drained", description="Whether the tenant asks nothing more there.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:  # noqa: ARG003 - a row has all
        return cls.of(await models.deployment_by_id(operation, id))


@strawberry.type(description="A model that can be asked.")
class Model(Node):
    key: str = column("key", description="Its short name, unique in the tenant, such as `openai/gpt-5`.")
    name: str = column("name", description="Its name for people.")
    provider: Provider = visible(models.providers_by_ids, column="provider_id", description="Who runs it.")
    context_tokens: int = column("context_tokens", description="How much it can read and write at once, in tokens.")
    max_output_tokens: int | None = column("max_output_tokens", description="Its longest answer, in tokens; null where nobody says.")
    capabilities: list[ModelCapability] = column(
        "capabilities", convert=lambda names: [ModelCapability(name.value) for name in names], description="What it can do."
    )
    price: ModelPrice | None = batch(
        models.prices, needs=["id"], description="What it costs you now, in the place that is asked first; null where nobody says."
    )
    deployments: list[ModelDeployment] = batch(
        models.deployments, needs=["id"], description="Where you can ask it, what is asked first at the front."
    )
    deprecated_at: date | None = column("deprecated_on", description="From when its provider advises against it.")
    replacement: "Model | None" = visible(
        models.by_ids, column="replacement_id", description="What to use in its place; null where nobody says."
    )
    viewer_has_access: bool = batch(models.access, needs=["id"], description="Whether you can ask it: somebody's key is there for it.")
    custom: bool = column("custom", description="Whether it is the tenant's own.")
    revision: int = column("revision", description="Counts its changes, for `expectedRevision`.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of((await models.by_ids(operation, [id], columns))[0])


async def _models(  # noqa: PLR0913 - the arguments of the field
    operation: Operation,
    roots: Sequence[object],  # noqa: ARG001 - a batch's: the query's one root
    needed: Columns | None,  # noqa: ARG001 - a row has all columns
    first: Annotated[int, strawberry.argument(description="How many models to return, from 1 to 100.")],
    after: After = None,
    capabilities: Annotated[list[ModelCapability] | None, strawberry.argument(description="Only models that can do all of this.")] = None,
    *,
    usable_by_viewer: Annotated[
        bool, strawberry.argument(description="Whether to leave out what the catalogue knows and nobody has a key for.")
    ] = True,
) -> list[Page]:
    arguments = asked(operation, first=first, after=after)
    wanted = [Capability(name_of(capability)) for capability in capabilities or ()]
    return [await models.page(operation, arguments, capabilities=wanted, only_usable=usable_by_viewer)]


async def _providers(
    operation: Operation,
    roots: Sequence[object],  # noqa: ARG001 - a batch's: the query's one root
    needed: Columns | None,  # noqa: ARG001 - a row has all columns
    first: Annotated[int, strawberry.argument(description="How many providers to return, from 1 to 100.")],
    after: After = None,
) -> list[Page]:
    return [await models.providers(operation, asked(operation, first=first, after=after))]


@strawberry.type
class Query:
    models: Connection[Model] = batch(
        _models, scopes=["models:read"], multipliers=["first"], description="The models that you can ask, by their keys."
    )
    providers: Connection[Provider] = batch(
        _providers,
        scopes=["models:admin"],
        multipliers=["first"],
        kept_for=KeptFor.STANDING,
        description="Who runs models, by their keys.",
    )

"""Routing policies: where a model is asked, in which order, and what follows a failure."""

import enum
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

import strawberry

from db.scopes import Row
from events.facts import RoutingPolicyCreated, RoutingPolicyUpdated
from execution import Column
from inference import models as inference_models
from inference.deployments import MidStream, Strategy
from inference.offerings import StoredRule
from inference.policies import PolicyDraft, RuleDraft
from loaders.pages import Page
from resolvers import models, policies
from resolvers.operations import Operation
from schema.connections import After, Connection, asked
from schema.errors import Payload
from schema.fields import Columns, Info, attribute, batch, column, mutation, name_of, nested
from schema.ids import local_id
from schema.models import Model, ModelDeployment
from schema.nodes import Node


@strawberry.enum(description="How one of several places is chosen.")
class RoutingStrategy(enum.Enum):
    PRIORITY = strawberry.enum_value("PRIORITY", description="In the order of the candidates; without candidates, by their own order.")
    WEIGHTED = strawberry.enum_value("WEIGHTED", description="By chance, in proportion to their weights.")
    LEAST_LATENCY = strawberry.enum_value("LEAST_LATENCY", description="Where the first token came soonest of late.")
    LEAST_COST = strawberry.enum_value("LEAST_COST", description="Where it costs least.")
    LEAST_BUSY = strawberry.enum_value("LEAST_BUSY", description="Where the fewest answers are being made.")
    USAGE = strawberry.enum_value("USAGE", description="Where most of the limits is left.")


@strawberry.enum(description="What becomes of an answer that breaks after its first token.")
class MidStreamMode(enum.Enum):
    TERMINATE = strawberry.enum_value("TERMINATE", description="It ends; what was said is kept.")
    RESTART = strawberry.enum_value("RESTART", description="It begins anew somewhere else.")
    CONTINUE_PARTIAL = strawberry.enum_value("CONTINUE_PARTIAL", description="Another place goes on where it broke, if its model can.")


@strawberry.enum(description="How asking a model failed.")
class FailureKind(enum.Enum):
    RATE_LIMIT = strawberry.enum_value("RATE_LIMIT", description="Too much was asked at the moment.")
    TIMEOUT = strawberry.enum_value("TIMEOUT", description="It did not answer in time.")
    SERVER_ERROR = strawberry.enum_value("SERVER_ERROR", description="It failed.")
    CONTEXT_WINDOW = strawberry.enum_value("CONTEXT_WINDOW", description="The conversation is longer than it can read.")
    CONTENT_POLICY = strawberry.enum_value("CONTENT_POLICY", description="It refused the content.")
    AUTH = strawberry.enum_value("AUTH", description="It refused the key or the model's name.")
    BUDGET = strawberry.enum_value("BUDGET", description="The account there has no credit left.")


async def _fallback_models(operation: Operation, rules: Sequence[StoredRule], needed: object) -> list[list[Row]]:  # noqa: ARG001 - a batch's
    found = [await models.by_ids(operation, rule.to) for rule in rules]
    return [[row for row in rows if row is not None] for rows in found]


@strawberry.type(description="What is asked after a failure.")
class FallbackRule:
    __source__: ClassVar[str] = "rule"

    rule: strawberry.Private[StoredRule]

    on: list[FailureKind] = attribute(
        "on", convert=lambda kinds: [FailureKind(kind.value) for kind in sorted(kinds)], description="The kinds of failure."
    )
    to: list[Model] = batch(_fallback_models, needs=None, description="The models that are asked then, in this order.")


@strawberry.type(description="Where a model is asked, in which order, and what follows a failure.")
class RoutingPolicy(Node):
    name: str = column("name", description="Its name, unique in the tenant.")
    strategy: RoutingStrategy = column(
        "strategy", convert=lambda strategy: RoutingStrategy(strategy.value), description="How one of several places is chosen."
    )
    candidates: list[ModelDeployment] = batch(
        policies.candidates,
        needs=["candidates"],
        description="The places that are chosen from, in the order given; where none is of the model that is asked, all of its own are.",
    )
    fallbacks: list[FallbackRule] = nested(Column("fallbacks"), description="What is asked after failures.")
    max_retries: int = column("max_retries", description="Most attempts after the first.")
    sticky_prompt_cache: bool = column(
        "sticky_prompt_cache", description="Whether a conversation stays where the provider has already read it."
    )
    mid_stream: MidStreamMode = column(
        "mid_stream",
        convert=lambda mode: MidStreamMode(mode.value),
        description="What becomes of an answer that breaks after its first token.",
    )
    allowed_regions: list[str] = column(
        "allowed_regions",
        convert=list,
        description="Only places in these regions are asked; empty allows all.",
    )
    revision: int = column("revision", description="Counts its changes, for `expectedRevision`.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of((await policies.by_ids(operation, [id], columns))[0])


@strawberry.input(description="What to ask after a failure.")
class FallbackRuleInput:
    on: list[FailureKind] = strawberry.field(description="The kinds of failure, at least one.")
    to: list[strawberry.ID] = strawberry.field(description="The models to ask then, 1 to 20, in order.")


@strawberry.input(description="A routing policy.")
class RoutingPolicyUpsertInput:
    id: strawberry.ID | None = strawberry.field(description="The policy to define anew; without it a new one is made.", default=None)
    name: str = strawberry.field(description="Its name, unique in the tenant: 1 to 100 characters.")
    strategy: RoutingStrategy = strawberry.field(description="How one of several places is chosen.", default=RoutingStrategy.PRIORITY)
    candidates: list[strawberry.ID] = strawberry.field(
        description="The deployments to choose from, at most 100. Without any of the model that is asked, all of that model's.",
        default_factory=list,
    )
    fallbacks: list[FallbackRuleInput] = strawberry.field(description="What to ask after failures, at most 20 rules.", default_factory=list)
    max_retries: int = strawberry.field(description="Most attempts after the first, from 0 to 10.", default=2)
    sticky_prompt_cache: bool = strawberry.field(
        description="Whether a conversation stays where the provider has already read it.", default=True
    )
    mid_stream: MidStreamMode = strawberry.field(
        description="What becomes of an answer that breaks after its first token.", default=MidStreamMode.TERMINATE
    )
    allowed_regions: list[str] = strawberry.field(
        description="Only ask in these regions, at most 50; empty allows all.", default_factory=list
    )
    expected_revision: int | None = strawberry.field(
        description="The revision that the change is made for; another one is a conflict.", default=None
    )


@strawberry.type(description="The policy that was defined.")
class RoutingPolicyUpsertPayload(Payload):
    policy: RoutingPolicy | None = strawberry.field(description="The policy as it is now.", default=None)


async def _upsert(
    info: Info, input: Annotated[RoutingPolicyUpsertInput, strawberry.argument(description="The policy.")]
) -> RoutingPolicyUpsertPayload:
    draft = PolicyDraft(
        name=input.name,
        strategy=Strategy(name_of(input.strategy)),
        candidates=[local_id(one, "ModelDeployment", path=["candidates"]) for one in input.candidates],
        fallbacks=[_rule(rule) for rule in input.fallbacks],
        max_retries=input.max_retries,
        sticky_prompt_cache=input.sticky_prompt_cache,
        mid_stream=MidStream(name_of(input.mid_stream)),
        allowed_regions=input.allowed_regions,
        id=None if input.id is None else local_id(input.id, "RoutingPolicy", path=["id"]),
        expected_revision=input.expected_revision,
    )
    return RoutingPolicyUpsertPayload(policy=RoutingPolicy.of(await policies.put(info.context, draft)))


def _rule(given: FallbackRuleInput) -> RuleDraft:
    kinds = [inference_models.FailureKind(name_of(kind)) for kind in given.on]
    return RuleDraft(on=kinds, to=[local_id(one, "Model", path=["fallbacks", "to"]) for one in given.to])


async def _policies(
    operation: Operation,
    roots: Sequence[Any],  # noqa: ARG001 - a batch's: the query's one root
    needed: Columns | None,  # noqa: ARG001 - a row has all columns
    first: Annotated[int, strawberry.argument(description="How many policies to return, from 1 to 100.")],
    after: After = None,
) -> list[Page]:
    return [await policies.page(operation, asked(operation, first=first, after=after))]


@strawberry.type
class Query:
    routing_policies: Connection[RoutingPolicy] = batch(
        _policies, scopes=["models:admin"], multipliers=["first"], description="The tenant's routing policies, the oldest first."
    )


@strawberry.type
class Mutation:
    routing_policy_upsert: RoutingPolicyUpsertPayload = mutation(
        _upsert,
        payload=RoutingPolicyUpsertPayload,
        scopes=["models:admin"],
        emits=[RoutingPolicyCreated, RoutingPolicyUpdated],
        description="Make a routing policy, or define one anew. Runs that have begun keep what they began with.",
    )

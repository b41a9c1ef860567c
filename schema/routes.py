"""How a run was routed: who was asked, why, and what came of each attempt."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

import strawberry
from msgspec.structs import asdict

from chat.ideas import Idea
from chat.routes import tried
from db.scopes import Row
from execution import Column
from inference.offers import ModelIsUnavailable
from resolvers import forecasts, models, policies
from resolvers.batches import each
from resolvers.operations import Operation
from schema.caching import KeptFor
from schema.errors import UserError, shown_as
from schema.fields import batch, column, nested, query
from schema.ids import local_id
from schema.links import visible
from schema.messages import PartInput, policy_of, texts_of
from schema.models import CredentialOwner, ModelDeployment
from schema.money import Money
from schema.policies import FailureKind, RoutingPolicy

_BILLED: Final = ("cost", "currency")


def _billed(operation: Operation, rows: Sequence[Row], needed: object) -> list[Money | Exception | None]:  # noqa: ARG001 - a batch's arguments
    return each(lambda row: None if row["cost"] is None else Money(amount=row["cost"], currency=row["currency"]), rows)


@strawberry.input(description="A question that is not asked yet.")
class RunEstimateInput:
    chat_id: strawberry.ID | None = strawberry.field(description="The chat that it would be asked in.", default=None)
    parent_message_id: strawberry.ID | None = strawberry.field(
        description="The message that it would follow; without it, the chat's head.", default=None
    )
    content: list[PartInput] = strawberry.field(description="What it would say: at least one part.")
    model_id: strawberry.ID | None = strawberry.field(
        description="The model that would answer; without it, the one by default.", default=None
    )
    routing_policy_id: strawberry.ID | None = strawberry.field(
        description="The policy that would choose; without it, the model where it is found first.", default=None
    )
    max_output_tokens: int | None = strawberry.field(description="Longest answer, in tokens.", default=None)


@strawberry.type(description="One call of a model.")
class RouteAttempt:
    __source__: ClassVar[str] = "row"

    row: strawberry.Private[Any]

    number: int = column("number", description="Its place among the run's attempts, from 1.")
    deployment: ModelDeployment | None = visible(
        models.deployments_by_ids,
        column="deployment_id",
        description="Who was asked; null where it is gone, or you may not see models.",
    )
    model: str = column("model", description="The key of the model that was asked.")
    region: str | None = column("region", description="Where it ran.")
    reason: str = column("reason", description="Why it was asked, in words.")
    started_at: datetime = column("started_at", description="When it was asked.")
    failure: FailureKind | None = column("failure", convert=FailureKind, description="How it failed; null where it did not.")
    message: str | None = column("message", description="One sentence on how it ended, unless it ended well.")
    billed: Money | None = batch(_billed, needs=_BILLED, description="What it cost; null where no price is known or it goes on.")


@strawberry.type(description="A model cannot be asked: nobody's key is there for it, no place is left, or its provider does not answer.")
class ModelUnavailableError(UserError):
    attempts: list[RouteAttempt] = strawberry.field(description="What was tried, in order; empty where nobody could be asked.")


shown_as(
    ModelIsUnavailable, ModelUnavailableError, attempts=lambda error: [RouteAttempt(row=asdict(tried(None, one))) for one in error.attempts]
)


@strawberry.type(description="A place that could answer a question.")
class RouteCandidate:
    __source__: ClassVar[str] = "row"

    row: strawberry.Private[Any]

    deployment: ModelDeployment | None = visible(
        models.deployments_by_ids, column="deployment_id", description="The place; null where you may not see models."
    )
    model: str = column("model", description="The key of its model.")
    region: str | None = column("region", description="Where it runs.")
    available: bool = column("available", description="Whether it could be asked now.")
    reason: str = column("reason", description="What speaks for it, or why it cannot be asked, in words.")


@strawberry.type(description="Who answers a run, and why.")
class RouteDecision:
    __source__: ClassVar[str] = "row"

    row: strawberry.Private[Any]

    policy: RoutingPolicy | None = visible(
        policies.by_ids,
        column="policy_id",
        description="The policy that chose; null without one, or where it is gone or you may not see it.",
    )
    chosen: ModelDeployment | None = visible(
        models.deployments_by_ids,
        column="deployment_id",
        description="Who was chosen last; null where it is gone, nobody could be, or you may not see models.",
    )
    model: str | None = column("model", description="The key of the model that was chosen; null where nobody could be (`explainRoute`).")
    region: str | None = column("region", description="Where it runs.")
    credential_owner: CredentialOwner | None = column(
        "credential_owner", convert=CredentialOwner, description="Whose key pays; null where nobody could be chosen."
    )
    reason: str = column("reason", description="Why it was chosen, in words, and who was passed over; or why nobody could be.")
    candidates: list[RouteCandidate] = nested(
        Column("candidates"),
        description="All places that could be asked, those first that are preferred, each with what speaks for it or against it: told by "
        "`explainRoute`, and empty elsewhere.",
    )
    attempts: list[RouteAttempt] = nested(Column("attempts"), description="All that was tried so far, in order.")


def idea_of(input: RunEstimateInput) -> Idea:
    """Read what somebody might say."""
    return Idea(
        texts=texts_of(input.content),
        chat_id=_id(input.chat_id, "Chat", "chatId"),
        leaf_id=_id(input.parent_message_id, "Message", "parentMessageId"),
        model_id=_id(input.model_id, "Model", "modelId"),
        policy_id=policy_of(input.routing_policy_id),
        max_output_tokens=input.max_output_tokens,
    )


def _id(given: strawberry.ID | None, kind: str, path: str) -> UUID | None:
    return None if given is None else local_id(given, kind, path=[path])


async def _explain(
    operation: Operation, _: object, input: Annotated[RunEstimateInput, strawberry.argument(description="The question.")]
) -> Row:
    return await forecasts.route(operation, idea_of(input))


@strawberry.type
class Query:
    explain_route: RouteDecision = query(
        _explain,
        scopes=["models:read"],
        description="Who would answer a question now, and why, or why nobody could. Nothing is asked.",
        cost=10,
        kept_for=KeptFor.NOBODY,
    )

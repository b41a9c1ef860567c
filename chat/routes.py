"""The way of an answer, a title or a summary through models, as it is kept: in a row for each attempt, and in the events of runs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, Self
from uuid import UUID

import msgspec

from db.scopes import Row
from db.statements import steps
from db.statements.attempts import WORKER_LOST
from inference.attempts import Attempt
from inference.deployments import Policy, Price
from inference.models import NO_USAGE, Usage


class Kind(StrEnum):
    """For what a model is asked."""

    ANSWER = "ANSWER"
    TITLE = "TITLE"
    SUMMARY = "SUMMARY"


class Work(NamedTuple):
    """What asks models: a run or a job, for whom and in which chat. `step` is the turn at it that asks."""

    kind: Kind
    tenant_id: UUID
    id: UUID
    chat_id: UUID
    created_by: UUID
    step: int

    @classmethod
    def of_run(cls, run: Row) -> Self:
        """An answer that is being made."""
        return cls(Kind.ANSWER, run["tenant_id"], run["id"], run["chat_id"], run["created_by"], run["epoch"])


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asked, and why; the names are kept too, for when the deployment is gone."""

    policy_id: UUID | None
    deployment_id: UUID
    model: str
    region: str | None
    credential_owner: str
    reason: str
    wire: str = ""  # of logs from before it was told


class Call(NamedTuple):
    """A call of a model as the log tells of it, and when."""

    route: Taken
    at: float


class Tried(Taken, frozen=True, kw_only=True):
    """An attempt that failed, and what it cost."""

    number: int
    started_at: datetime
    failure: str | None
    message: str | None
    cost: Decimal | None
    currency: str | None


def taken(policy: Policy, attempt: Attempt) -> Taken:
    """Say who is asked."""
    return Taken(**_chosen(policy, attempt))


def tried(policy: Policy | None, attempt: Attempt) -> Tried:
    """Say who was asked, by which policy if by one, and what came of it."""
    return Tried(
        **_chosen(policy, attempt),
        number=attempt.number,
        started_at=attempt.started_at,
        failure=None if attempt.failure is None else attempt.failure.value,
        message=attempt.message,
        **_billed(attempt),
    )


def rows_of(work: Work, policy: Policy, attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    """Spell attempts as their table has them, with every column."""
    return [_row(work, policy, attempt) for attempt in attempts]


def _row(work: Work, policy: Policy, attempt: Attempt) -> dict[str, Any]:
    return {
        **_asked_by(work, attempt.number, attempt.deployment.model.price),
        **_chosen(policy, attempt),
        "continues_partial": attempt.continues,
        "started_at": attempt.started_at,
        "first_token_ms": attempt.first_token_ms,
        "ended_at": attempt.ended_at,
        "failure": attempt.failure,
        "message": attempt.message,
        **_used(attempt.usage),
        "cost": _billed(attempt)["cost"],
    }


def lost_row(work: Work, call: Call, number: int, usage: Usage, price: Price | None) -> dict[str, Any]:
    """Spell a call whose worker was lost before it was written, with what is known of it."""
    return {
        **_asked_by(work, number, price),
        **msgspec.structs.asdict(call.route),
        "continues_partial": False,
        "started_at": datetime.fromtimestamp(call.at, UTC),
        "first_token_ms": None,
        "ended_at": datetime.now(UTC),
        "failure": None,
        "message": WORKER_LOST,
        **_used(usage),
        "cost": None if price is None else price.cost(usage),
    }


def _asked_by(work: Work, number: int, price: Price | None) -> dict[str, Any]:
    return {
        "tenant_id": work.tenant_id,
        "work_id": work.id,
        "number": number,
        "kind": work.kind,
        "chat_id": work.chat_id,
        "created_by": work.created_by,
        "step": work.step,
        "price": price,
        "price_version": None if price is None else price.version,
        "currency": None if price is None else price.currency,
    }


def _used(usage: Usage) -> dict[str, Any]:
    used = msgspec.structs.asdict(usage)
    return {**{name: used[name] for name in steps.TOKENS}, "usage_estimated": usage.estimated}


def _chosen(policy: Policy | None, attempt: Attempt) -> dict[str, Any]:
    deployment = attempt.deployment
    return {
        "policy_id": None if policy is None else policy.id,
        "deployment_id": deployment.id,
        "model": deployment.model.key,
        "region": deployment.region,
        "credential_owner": deployment.owner.value,
        "reason": attempt.reason,
        "wire": deployment.wire,
    }


def _billed(attempt: Attempt) -> dict[str, Any]:
    price = attempt.deployment.model.price
    return {"cost": None if attempt.ended_at is None else attempt.cost, "currency": None if price is None else price.currency}


def closed_usages(rows: Sequence[Mapping[str, Any]]) -> dict[int, Usage]:
    """Add up what the attempts that ended used, for each step of the run."""
    sums: dict[int, Usage] = {}
    for row in rows:
        if row["ended_at"] is not None:
            sums[row["step"]] = sums.get(row["step"], NO_USAGE) + usage_in(row)
    return sums


def open_usages(rows: Sequence[Mapping[str, Any]]) -> dict[int, Usage]:
    """Say what the attempts that have no end were known to use, which is the question, for each step."""
    return {row["step"]: usage_in(row) for row in rows if row["ended_at"] is None}


def usage_in(row: Mapping[str, Any]) -> Usage:
    """Read what an attempt used; of one that has no end, what the question alone comes to."""
    return Usage(**{name: row[name] for name in steps.TOKENS}, estimated=row["usage_estimated"])


class Cost(NamedTuple):
    """An amount and its currency."""

    amount: Decimal
    currency: str


def cost_of(rows: Sequence[Mapping[str, Any]]) -> Cost | None:
    """Add up what attempts cost; None unless there are any and each has a cost, all in one currency."""
    currencies = {row["currency"] for row in rows if row["cost"] is not None}
    if len(currencies) != 1 or any(row["cost"] is None for row in rows):
        return None
    return Cost(sum((row["cost"] for row in rows), Decimal(0)), *currencies)


def cost_by(row: Mapping[str, Any], usage: Usage) -> Decimal | None:
    """What these tokens cost by the price that was in force when the attempt began; None where none was known."""
    return None if row["price"] is None else msgspec.json.decode(row["price"], type=Price).cost(usage)

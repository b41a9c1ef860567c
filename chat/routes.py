"""A run's way through models, as it is kept: in the events of its log, and in a row for each attempt."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from chat.steps import LostStep
from db.scopes import Row
from db.statements import steps
from inference.attempts import Attempt
from inference.deployments import Policy
from inference.models import NO_USAGE, Usage


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asked, and why; the names are kept too, for when the deployment is gone."""

    policy_id: UUID | None
    deployment_id: UUID
    model: str
    region: str | None
    credential_owner: str
    reason: str


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


def tried(policy: Policy, attempt: Attempt) -> Tried:
    """Say who was asked, and what came of it."""
    return Tried(
        **_chosen(policy, attempt),
        number=attempt.number,
        started_at=attempt.started_at,
        failure=None if attempt.failure is None else attempt.failure.value,
        message=attempt.message,
        **_billed(attempt),
    )


def rows_of(run: Row, policy: Policy, attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    """Spell attempts as their table has them, with every column."""
    return [_row(run, policy, attempt) for attempt in attempts]


def _row(run: Row, policy: Policy, attempt: Attempt) -> dict[str, Any]:
    price = attempt.deployment.model.price
    used = msgspec.structs.asdict(attempt.usage)
    return {
        "tenant_id": run["tenant_id"],
        "run_id": run["id"],
        "number": attempt.number,
        "step": run["epoch"],
        **_chosen(policy, attempt),
        "wire": attempt.deployment.wire,
        "continues_partial": attempt.continues,
        "started_at": attempt.started_at,
        "first_token_ms": attempt.first_token_ms,
        "ended_at": attempt.ended_at,
        "failure": attempt.failure,
        "message": attempt.message,
        **{name: used[name] for name in steps.TOKENS},
        "usage_estimated": attempt.usage.estimated,
        "price_version": None if price is None else price.version,
        **_billed(attempt),
    }


def _chosen(policy: Policy, attempt: Attempt) -> dict[str, Any]:
    deployment = attempt.deployment
    return {
        "policy_id": policy.id,
        "deployment_id": deployment.id,
        "model": deployment.model.key,
        "region": deployment.region,
        "credential_owner": deployment.owner.value,
        "reason": attempt.reason,
    }


def _billed(attempt: Attempt) -> dict[str, Any]:
    price = attempt.deployment.model.price
    return {"cost": None if attempt.ended_at is None else attempt.cost, "currency": None if price is None else price.currency}


def closed_usages(rows: Sequence[Mapping[str, Any]]) -> dict[int, Usage]:
    """Add up what the attempts that ended used, for each step of the run."""
    sums: dict[int, Usage] = {}
    for row in rows:
        if row["ended_at"] is not None:
            usage = Usage(**{name: row[name] for name in steps.TOKENS}, estimated=row["usage_estimated"])
            sums[row["step"]] = sums.get(row["step"], NO_USAGE) + usage
    return sums


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


def cost_of_lost(rows: Sequence[Row], lost: LostStep, policy: Policy) -> Decimal | None:
    """What the attempt cost that a lost worker left open; None where the price that it began with is not in force any more."""
    places = {one.id: one for one in (*policy.candidates, *(one for rule in policy.fallbacks for one in rule.to))}
    for row in rows:
        if row["step"] == lost.number and row["ended_at"] is None and (place := places.get(row["deployment_id"])) is not None:
            price = place.model.price
            return price.cost(lost.open_usage) if price is not None and price.version == row["price_version"] else None
    return None

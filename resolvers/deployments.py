"""How the places stand where models are asked: now, for everybody, and as the tenant's own runs have measured them."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from db.scopes import Row
from db.statements import attempts
from errors import Invalid
from inference.standings import Health, health_of_all
from resolvers.models import offering
from resolvers.operations import Operation

_DAY: Final = timedelta(days=1)
_LONGEST: Final = timedelta(days=366)
_UNMEASURED: Final[dict[str, Any]] = {
    "requests": 0, "error_rate": 0.0, "ttft_p50_ms": None, "ttft_p95_ms": None, "tokens_per_second_p50": None, "cost_per_m_tok_out": None,
}  # fmt: skip


async def healths(operation: Operation, rows: Sequence[Row]) -> list[Health]:
    """Say how each place is with the key that the viewer would use."""
    return [standing.health for standing in await operation.works.router.standings.look([row["standing_id"] for row in rows])]


async def healths_of_providers(operation: Operation, rows: Sequence[Row]) -> list[Health]:
    """Say how each provider is, by the places where the viewer can ask its models."""
    places = [place for place in (await offering(operation)).places.values() if not place.lacks_key]
    standings = await operation.works.router.standings.look([place.standing_id for place in places])
    healths: defaultdict[UUID, list[Health]] = defaultdict(list)
    for place, standing in zip(places, standings, strict=True):
        healths[place.provider_id].append(standing.health)
    return [health_of_all(healths[row["id"]]) for row in rows]


async def cooldowns(operation: Operation, rows: Sequence[Row], needed: object) -> list[datetime | None]:  # noqa: ARG001 - a batch's arguments
    """Say until when each place is not asked."""
    now = datetime.now(UTC)
    standings = await operation.works.router.standings.look([row["standing_id"] for row in rows])
    return [now + timedelta(milliseconds=standing.cools_for_ms) if standing.cools_for_ms else None for standing in standings]


async def stats(operation: Operation, rows: Sequence[Row], *, since: datetime | None, until: datetime | None) -> list[Row]:
    """Measure each place by the tenant's latest attempts that began in a span and have ended; without one, in the last 24 hours."""
    end = until or datetime.now(UTC)
    begin = since or end - _DAY
    if not timedelta(0) < end - begin <= _LONGEST:
        raise Invalid("A span of measures has a beginning before its end, and at most 366 days.", path=["range"], constraint="max_days=366")
    async with operation.reads.reading(operation.tenant_id) as scope:
        found = await attempts.stats(
            scope,
            operation.tenant_id,
            [row["id"] for row in rows],
            since=begin,
            until=end,
            most=operation.works.settings.deployment_stats_attempts,
        )
    measured = {row["deployment_id"]: row for row in found}
    return [measured.get(row["id"], _UNMEASURED) for row in rows]

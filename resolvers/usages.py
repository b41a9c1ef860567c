"""What was used and what it cost: by runs, whose attempts are added up here, and in chats, where the database adds them up."""

from collections.abc import Sequence
from typing import Any, Final

from chat.routes import Cost, cost_of
from db.scopes import Row
from resolvers.operations import Operation

_COUNTED: Final = frozenset({"cost", "currency", "price_version"})
# Neither a count that is told while a run goes on nor a chat has attempts of its own to read.
_NO_RUN: Final[dict[str, Any]] = {"id": None}


async def of_chats(operation: Operation, chats: Sequence[Row], needed: object) -> list[dict[str, Any]]:  # noqa: ARG001 - a batch's arguments
    """Add up what was used in each chat, with its cost and prices."""
    found = await operation.questions.used_by_chat.load_many([chat["id"] for chat in chats])
    return [{**row, **_NO_RUN, "total": _total(row), "price_versions": row["price_versions"] or []} for row in found if row is not None]


def _total(used: Row) -> Cost | None:
    known = used["all_have_costs"] and used["currencies"] is not None and len(used["currencies"]) == 1
    return Cost(used["cost"], *used["currencies"]) if known else None


async def costs(operation: Operation, rows: Sequence[Row]) -> list[Cost | None]:
    """Return what each one's attempts cost together, where that is known."""
    counted = await _counted(operation, rows)
    return [row["total"] if "total" in row else cost_of(attempts) for row, attempts in zip(rows, counted, strict=True)]


async def price_versions(operation: Operation, rows: Sequence[Row], needed: object) -> list[list[str]]:  # noqa: ARG001 - a batch's arguments
    """Return the prices that each one's attempts were counted by."""
    counted = await _counted(operation, rows)
    return [row["price_versions"] if "total" in row else _versions(attempts) for row, attempts in zip(rows, counted, strict=True)]


def _versions(attempts: Sequence[Row]) -> list[str]:
    versions = dict.fromkeys(row["price_version"] for row in attempts)
    return [version for version in versions if version is not None]


async def _counted(operation: Operation, rows: Sequence[Row]) -> list[list[Row]]:
    found = await operation.questions.attempts_by_run.of(_COUNTED).load_many([row["id"] for row in rows])
    return [attempts or [] for attempts in found]

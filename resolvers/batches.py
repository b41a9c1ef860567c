"""Fields of many rows at once: each row has an answer of its own, and one that fails takes no other with it."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from db.statements.projections import Columns

T = TypeVar("T")
V = TypeVar("V")


def each(of: Callable[[T], V], rows: Iterable[T]) -> list[V | Exception]:
    """Return what `of` makes of each row, or the exception that it raised for it."""
    rows = list(rows)
    try:
        return [of(row) for row in rows]
    except Exception:  # noqa: BLE001 - told row by row below
        return [_one(of, row) for row in rows]


def _one(of: Callable[[T], V], row: T) -> V | Exception:
    try:
        return of(row)
    except Exception as error:  # noqa: BLE001 - it is this row's answer
        return error


def wider(columns: Columns | None, *names: str) -> Columns | None:
    """Add the columns that a policy reads to those that are asked for; None are all."""
    return None if columns is None else columns.union(names)

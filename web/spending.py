"""What an operation did cost: its measure with the sizes of the lists that came, instead of those that might have come."""

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from itertools import chain
from operator import itemgetter
from typing import Any, Final

MOST_SHAPES: Final = 64
"""How many sets of fields are remembered for one selection: its types have a few, and its switches could make any number."""


class Sizing(Enum):
    """How a field's value says how many rows there are."""

    ONE = "one object, or a leaf"
    LIST = "a list"
    PAGE = "an object that holds a page's rows"
    ROWS = "the rows of a page"


class Shares:
    """What the selected fields of an object share a cost in; each once, however often a document spreads it."""

    def __init__(self) -> None:
        self._shares: dict[Share, None] = {}
        self._included: set[Shares] = set()
        self._split: dict[tuple[str, ...], tuple[int, list[Share]]] = {}
        self.varies = False
        self.costs_nothing = True

    def __iter__(self) -> "Iterator[Share]":
        return iter(self._shares)

    def __len__(self) -> int:
        return len(self._shares)

    @property
    def rows(self) -> "list[Share]":
        """The fields that hold a page's rows."""
        return [share for share in self if share.sizing is Sizing.ROWS]

    def add(self, share: "Share") -> None:
        """Add a field."""
        self._shares[share] = None
        self.varies |= share.varies
        self.costs_nothing &= not share.cost

    def include(self, other: "Shares") -> None:
        """Add the fields of a fragment."""
        if other not in self._included:
            self._included.add(other)
            self._shares.update(dict.fromkeys(other))
            self.varies |= other.varies
            self.costs_nothing &= other.costs_nothing

    def spent(self, values: Iterable[Any]) -> int:
        """What the fields cost on these objects together, level by level; a field that is missing in one was selected for another type."""
        if self.costs_nothing:
            return 0
        objects = list(filter(None, values))
        shapes = set(map(tuple, objects))
        if len(shapes) == 1:
            return self._spent_alike(shapes.pop(), objects)
        return sum([self._spent_alike(keys, [one for one in objects if tuple(one) == keys]) for keys in shapes])

    def _spent_alike(self, keys: tuple[str, ...], objects: Sequence[Any]) -> int:
        if (split := self._split.get(keys)) is None:
            if len(self._split) >= MOST_SHAPES:
                self._split.clear()
            split = self._split[keys] = self._split_of(keys)
        cost, varying = split
        return cost * len(objects) + sum([share.spent(list(map(itemgetter(share.key), objects))) for share in varying])

    def _split_of(self, keys: tuple[str, ...]) -> "tuple[int, list[Share]]":
        """Return what objects with these fields cost in any case, and the fields that must be looked at."""
        here = [share for share in self._shares if share.key in keys]
        return sum(share.cost for share in here if not share.varies), [share for share in here if share.varies and share.cost]

    def of(self, cost: int, data: Any) -> int:
        """What is left of an operation's measured cost with this outcome; all of it where nothing came of it."""
        return cost if data is None or not self.varies else max(1, min(cost, self.spent((data,))))


class Share:
    """A field's share: `own` once, `each` and what is `inside` for every row. Measured, all of it was `cost`."""

    __slots__ = ("_beside", "_each", "_inside", "_own", "_rows", "cost", "key", "sizing", "varies")

    def __init__(  # noqa: PLR0913 - what makes up a cost
        self, key: str, *, cost: int, own: int = 0, each: int = 0, inside: Shares | None = None, sizing: Sizing = Sizing.ONE
    ) -> None:
        self.key = key
        self.cost = cost
        self.sizing = sizing
        self._own, self._each, self._inside = own, each, inside or Shares()
        self._rows = self._inside.rows
        self._beside = sum(share.cost for share in self._inside if share.sizing is not Sizing.ROWS)
        self.varies = sizing is not Sizing.ONE or self._inside.varies

    def spent(self, values: Sequence[Any]) -> int:
        """What the field cost on several objects, now that its values are known."""
        found = [value for value in values if value is not None]
        if self.sizing is Sizing.ROWS:
            nothing = len(values) - len(found)
            return self._own * (nothing + sum(map(len, found))) + self._inside.spent(chain.from_iterable(found))
        own = self._own * len(values)
        if self.sizing is Sizing.LIST:
            return own + self._each * sum(map(len, found)) + self._inside.spent(chain.from_iterable(found))
        if self.sizing is Sizing.PAGE:
            rows = [[page.get(share.key) or () for page in found] for share in self._rows]
            count = sum(map(max, zip(*(map(len, one) for one in rows), strict=True))) if len(rows) > 1 else sum(map(len, rows[0]))
            return own + count * (self._each + self._beside) + sum(map(Share.spent, self._rows, rows))
        return own + self._each * len(found) + self._inside.spent(found)

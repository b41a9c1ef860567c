"""What an operation did cost: its measure with the sizes of the lists that came, instead of those that might have come."""

from collections.abc import Iterator
from enum import Enum
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

    def include(self, other: "Shares") -> None:
        """Add the fields of a fragment."""
        if other not in self._included:
            self._included.add(other)
            self._shares.update(dict.fromkeys(other))
            self.varies |= other.varies

    def spent(self, value: Any) -> int:
        """What the fields cost on this object; one that is missing in it was selected for another type."""
        if value is None:
            return 0
        keys = tuple(value)
        if (split := self._split.get(keys)) is None:
            if len(self._split) >= MOST_SHAPES:
                self._split.clear()
            split = self._split[keys] = self._split_of(value)
        cost, varying = split
        return cost + sum([share.spent(value[share.key]) for share in varying]) if varying else cost

    def _split_of(self, value: Any) -> "tuple[int, list[Share]]":
        """Return what objects with these fields cost in any case, and the fields that must be looked at."""
        here = [share for share in self._shares if share.key in value]
        return sum(share.cost for share in here if not share.varies), [share for share in here if share.varies]

    def of(self, cost: int, data: Any) -> int:
        """What is left of an operation's measured cost with this outcome; all of it where nothing came of it."""
        return cost if data is None or not self.varies else max(1, min(cost, self.spent(data)))


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

    def spent(self, value: Any) -> int:
        """What the field cost, now that its value is known."""
        if value is None:
            return self._own
        if self.sizing is Sizing.ROWS:
            return self._own * len(value) + sum(map(self._inside.spent, value))
        if self.sizing is Sizing.LIST:
            return self._own + self._each * len(value) + sum(map(self._inside.spent, value))
        if self.sizing is Sizing.PAGE:
            rows = [value.get(share.key) or () for share in self._rows]
            count = max(map(len, rows))
            return self._own + count * (self._each + self._beside) + sum(map(Share.spent, self._rows, rows))
        return self._own + self._each + self._inside.spent(value)

"""Where the values of a level stand in the response; a path is only put together for an error."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

Path = list[str | int]


class Frame:
    """The root: one value, without a path."""

    __slots__ = ()

    def path(self, index: int) -> Path:  # noqa: ARG002 - the root has one value
        """Return the response path of a value of this level."""
        return []


class FieldFrame(Frame):
    """The values of a field: one for each parent."""

    __slots__ = ("key", "outer")

    def __init__(self, outer: Frame, key: str) -> None:
        self.outer = outer
        self.key = key

    def path(self, index: int) -> Path:
        return [*self.outer.path(index), self.key]


class ItemFrame(Frame):
    """The items of all lists of a level, one list after the other."""

    __slots__ = ("_ends", "lengths", "outer")

    def __init__(self, outer: Frame, lengths: Sequence[int]) -> None:
        self.outer = outer
        self.lengths = lengths
        self._ends: list[int] | None = None

    def path(self, index: int) -> Path:
        if self._ends is None:
            self._ends = list(accumulate(self.lengths))
        ends = self._ends
        holder = bisect_right(ends, index)
        return [*self.outer.path(holder), index - (ends[holder - 1] if holder else 0)]


class PickFrame(Frame):
    """Some of the values of a level."""

    __slots__ = ("outer", "picks")

    def __init__(self, outer: Frame, picks: Sequence[int]) -> None:
        self.outer = outer
        self.picks = picks

    def path(self, index: int) -> Path:
        return self.outer.path(self.picks[index])

"""What a field may say of itself, in its Strawberry metadata: a column of the parent's source, or one question for all parents.

A *source* is what an object's fields read: a row, a struct, a page. A Strawberry class with `__source__ = "row"` keeps its
source in the attribute `row`; compiled operations then pass sources along and make no instances.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

METADATA: Final = "execution"


@dataclass(frozen=True)
class Column:
    """A field that is read from the parent's source: `source[name]`, `source.name` with `attribute`, the source itself without a name.

    `convert` is called with values that are not None. A field that is `carried` leads through an envelope (a page, an edge) to
    the sources inside of it: the columns that are needed of those are the ones that the envelope's loader is told.
    """

    name: Any = None
    convert: Callable[[Any], Any] | None = None
    attribute: bool = False
    carried: bool = False

    def read(self, source: Any) -> Any:
        """Return the value in one source."""
        value = source if self.name is None else getattr(source, self.name) if self.attribute else source[self.name]
        return value if self.convert is None or value is None else self.convert(value)


@dataclass(frozen=True)
class Batch:
    """A field that is found for all parents at once.

    `load(context, sources, needed, **arguments)` returns, or awaits, as many values as there are sources, in their order; a
    value that is an exception fails for its parent alone. `needed` names the columns that are read of the child's source, None
    for all; for a value that may be of several types it maps their names to that. `needs` are the columns that `load` itself
    reads of its sources (None for all). `guard` raises for those who may not ask. `common` says that `load` gives the same to all
    contexts that may see the same event of a subscription, so that one of them asks for all.
    """

    load: Callable[..., Any]
    needs: frozenset[str] | None = None
    guard: Callable[[Any], None] | None = None
    common: bool = False

    @classmethod
    def of(
        cls,
        load: Callable[..., Any],
        needs: Iterable[str] | None = None,
        *,
        guard: Callable[[Any], None] | None = None,
        common: bool = False,
    ) -> "Batch":
        """Declare with any iterable of columns."""
        return cls(load, None if needs is None else frozenset(needs), guard, common)


# A declaration that is the same for every type that inherits the field, or is made for each of them.
Declared = Column | Batch | Callable[[type], Column | Batch]


def declared(metadata: Any, owner: type) -> Column | Batch | None:
    """Return what a field's metadata declares for this class."""
    found = metadata.get(METADATA)
    if found is None or isinstance(found, Column | Batch):
        return found
    made: Column | Batch = found(owner)
    return made

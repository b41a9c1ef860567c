"""What every random schema is made of: an enum, a scalar, inputs, and the kinds that fields and arguments may have."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final, NewType
from zlib import crc32

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition


@strawberry.enum
class Colour(enum.Enum):
    RED = 1
    GREEN = "g"
    BLUE = strawberry.enum_value("b", name="AZURE")


Code = NewType("Code", int)


def write_code(value: Any) -> str:
    """Serialise a code; some cannot be."""
    if value % 7 == 0:
        raise GraphQLError(f"There is no code {value}.", extensions={"code": "NO_CODE"})
    return f"c:{value}"


def read_code(value: Any) -> int:
    """Read a code as it was written."""
    if not isinstance(value, str) or not value.startswith("c:"):
        raise ValueError(f"{value!r} is no code.")
    return int(value[2:])


SCALARS: Final[dict[object, ScalarDefinition]] = {Code: strawberry.scalar(name="Code", serialize=write_code, parse_value=read_code)}
CODES: Final = ("c:1", "c:22")


@strawberry.input
class Inner:
    count: int
    text: str = "inner"
    colours: list[Colour] | None = None


@strawberry.input
class Outer:
    inner: Inner | None = None
    inners: list[Inner] = strawberry.field(default_factory=list)
    code: Code | None = strawberry.UNSET
    maybe: strawberry.Maybe[int | None]


@strawberry.input(one_of=True)
class Either:
    number: int | None = strawberry.UNSET
    inner: Inner | None = strawberry.UNSET
    words: list[str] | None = strawberry.UNSET


# Annotations of arguments and their defaults; `...` is none.
ARGUMENTS: Final[tuple[tuple[Any, Any], ...]] = (
    (int, ...),
    (int | None, None),
    (int, 5),
    (str, "default"),
    (str | None, "other"),
    (int | None, 7),
    (strawberry.ID | None, strawberry.UNSET),
    (bool | None, None),
    (float | None, strawberry.UNSET),
    (bool, True),
    (strawberry.ID, ...),
    (Colour, Colour.GREEN),
    (Colour | None, ...),
    (Code | None, None),
    (list[int], ...),
    (list[list[int | None]] | None, None),
    (list[Colour] | None, None),
    (Inner, ...),
    (Inner | None, None),
    (Outer | None, None),
    (list[Outer | None] | None, None),
    (Either | None, None),
    (Either, ...),
)
LEAVES: Final = ("int", "float", "str", "bool", "strawberry.ID", "Colour", "Code")


@dataclass(frozen=True)
class Kind:
    """A field's type: a leaf, a list of items, or one of some objects. `name` is the leaf's, or the composite type's."""

    name: str = ""
    item: "Kind | None" = None
    objects: tuple[str, ...] = ()
    nullable: bool = False

    @property
    def annotation(self) -> str:
        """The type as Strawberry reads it."""
        of = self.name if self.item is None else f"list[{self.item.annotation}]"
        return f"{of} | None" if self.nullable else of

    @property
    def innermost(self) -> "Kind":
        """What lists hold in the end."""
        return self if self.item is None else self.item.innermost


def kind_of(random: Random, named: Kind) -> Kind:
    """Put a named kind into up to three lists, each level nullable or not."""
    kind = Kind(named.name, None, named.objects, random.random() < 0.5)
    for _ in range(random.choice([0, 0, 0, 1, 1, 2, 3] if named.objects else [0, 0, 0, 0, 0, 0, 1, 2, 3])):
        kind = Kind(item=kind, nullable=random.random() < 0.5)
    return kind


def picky(value: Any) -> Any:
    """Convert to itself, or refuse."""
    if crc32(repr(value).encode()) % 9 == 0:
        raise ValueError("The converter refuses this.")
    return value


def vanishing(value: Any) -> Any:
    """Convert to itself, or to nothing."""
    return None if crc32(repr(value).encode()) % 5 == 0 else value


def marked(value: Any) -> str:
    """Convert to text that tells what was converted."""
    return f"<{value}>"


def shifting(value: Any) -> Any:
    """Convert to one thing or another, whatever the schema says."""
    return (value, 7, True, ValueError("The converter gives this."), "")[crc32(repr(value).encode()) % 5]


def by_value(value: Any) -> Colour:
    """Find an enum's member by hand, as its class does."""
    return Colour(value)


CONVERTERS: Final[dict[str, tuple[Callable[[Any], Any], ...]]] = {
    "str": (marked, picky, vanishing, str, shifting),
    "strawberry.ID": (marked, picky, shifting),
    "int": (picky, vanishing, abs, shifting),
    "Colour": (Colour, Colour, Colour, by_value),
}

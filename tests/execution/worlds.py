"""A world: what every field of a random schema gives, found anew from a seed and the way to the field, whoever asks and when."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from random import Random
from typing import Any, ClassVar, Final
from zlib import crc32

from graphql import GraphQLError

from tests.execution.ingredients import Colour, Kind

ODD: Final[tuple[Any, ...]] = ("text", "", "12", 7, 3.0, 3.5, True, 2**40, float("nan"), [1], {"a": 1}, b"raw")
ODD_LEAVES: Final[dict[str, tuple[Any, ...]]] = {
    "int": (2**31, -(2**31) - 1, 2**40, True, 3.0, "12", 3.5),
    "float": (float("nan"), float("inf"), "1.5", True),
    "str": (5, True, 2.5, b"raw", [1]),
    "bool": (0, 1, 2.5, "true"),
    "Colour": ("RED", 1, "AZURE", [1]),
}

# The columns that are read of an object: for one that may be of several types, by their names.
Needed = frozenset[str] | Mapping[str, frozenset[str] | None] | None


class Boom(Exception):
    """What is raised in a world; its message says where."""


class World:
    """The context of an operation. `fault` is how likely a value is not what the schema says."""

    def __init__(self, seed: int, fault: float, classes: Mapping[str, type]) -> None:
        self.seed = seed
        self.fault = fault
        self.log: list[str] = []
        self.calls: Counter[str] = Counter()
        self._classes = classes

    def random(self, key: str) -> Random:
        """Return the same random numbers for the same key."""
        return Random(crc32(f"{self.seed} {key}".encode()))

    def check(self, key: str, *, odds: float = 1) -> None:
        """Raise for some keys: for as many as values have faults, times the odds."""
        if self.random(f"{key}!").random() < self.fault * odds:
            if self.random(f"{key}!!").random() < 0.3:
                raise GraphQLError(f"Coded boom at {key}.", extensions={"code": "BOOM", "key": key})
            raise Boom(f"boom at {key}")

    async def pause(self, key: str) -> None:
        """Let others go first, for a while."""
        for _ in range(self.random(f"{key}~").randrange(3)):
            await asyncio.sleep(0)

    def value(self, kind: Kind, key: str, *, needed: Needed = None, bare: bool = False, depth: int = 0) -> Any:
        """Make a value: an exception instance, a null and odd things among them. `bare` objects may be sources."""
        random = self.random(key)
        if random.random() < self.fault:
            return self._odd(random, kind, key, bare=bare)
        if kind.nullable and random.random() < 0.1:
            return None
        if kind.item is not None:
            length = 0 if depth > 1 else random.choice([0, 1, 2, 2, 3])
            items = [self.value(kind.item, f"{key}[{at}]", needed=needed, bare=bare, depth=depth) for at in range(length)]
            return tuple(items) if random.random() < 0.1 else items
        if kind.objects:
            return None if depth > 1 else self.object(random.choice(kind.objects), key, needed=needed, bare=bare, depth=depth)
        return LEAVES[kind.name](random, key)

    def lazily(self, kind: Kind, key: str) -> Any:
        """Make a value, of which lists may come in any way that graphql-core takes them."""
        found, random = self.value(kind, key), self.random(f"{key}#")
        if not isinstance(found, list) or random.random() < 0.6:
            return found
        breaks = len(found) if random.random() > self.fault * 5 else random.randrange(4)
        return random.choice([_awaitables, _iterated, _streamed])(found, breaks)

    def object(self, name: str, key: str, *, needed: Needed = None, bare: bool = False, depth: int = 0) -> Any:
        """Make an object: an instance, or perhaps its source if that will do."""
        made: Any = self._classes[name]
        if isinstance(needed, Mapping):
            needed = needed.get(name)
        if (source := getattr(made, "source_class", None)) is not None:
            of = source(self, key, needed)
            return of if bare and self.random(f"{key}=").random() < 0.7 else made(row=of)
        given = {name: self.value(kind, f"{key}.{name}", depth=depth + 1) for name, kind in made.attributes.items()}
        return made(world=self, key=key, **given)

    def _odd(self, random: Random, kind: Kind, key: str, *, bare: bool) -> Any:
        roll = random.random()
        if roll < 0.25 and not kind.nullable:
            return None
        if roll < 0.45:
            return Boom(f"boom as a value at {key}")
        if kind.objects and kind.item is None and roll < 0.7:
            return self.object(random.choice([name for name in self._classes if name != "Query"]), key, depth=1)
        if bare and kind.innermost.objects:
            # Where a source will do, anything might be one: what is none is nobody's promise.
            return None if kind.objects else random.choice([7, 3.5, True])
        return random.choice(ODD_LEAVES.get(kind.name, ODD))


def _awaitables(items: list[Any], breaks: int) -> list[Any]:
    async def later(item: Any, at: int) -> Any:
        await asyncio.sleep(0)
        if at == breaks:
            raise Boom(f"the item {at} does not come")
        return item

    return [later(item, at) if at % 2 else item for at, item in enumerate(items)]


def _iterated(items: list[Any], breaks: int) -> Iterator[Any]:
    for at, item in enumerate(items):
        if at == breaks:
            raise Boom(f"the list breaks at {at}")
        yield item


async def _streamed(items: list[Any], breaks: int) -> AsyncIterator[Any]:
    for item in _iterated(items, breaks):
        await asyncio.sleep(0)
        yield item


LEAVES: Final[dict[str, Callable[[Random, str], Any]]] = {
    "int": lambda random, _: random.randrange(-1000, 1000),
    "float": lambda random, _: random.choice([1.5, 2.0, 3, random.random()]),
    "str": lambda random, key: random.choice([key, "", "ünï\n"]),
    "bool": lambda random, _: random.random() < 0.5,
    "strawberry.ID": lambda random, key: random.choice([key, 5]),
    "Colour": lambda random, _: random.choice(list(Colour)),
    "Code": lambda random, _: random.randrange(1, 7),
}


class Source:
    """What a source-backed object reads. Columns that were not asked for are not there, as in a narrow SELECT."""

    columns: ClassVar[dict[str, Kind]] = {}
    made: ClassVar[Any] = None
    carries: ClassVar[str | None] = None

    def __init__(self, world: World, key: str, needed: frozenset[str] | None) -> None:
        self.world, self.key, self.needed = world, key, needed

    def column(self, name: str) -> Any:
        """Find a column's value."""
        kind = self.columns[name]
        if self.carries is not None:
            return self.world.value(kind, f"{self.key}.{name}", bare=True, needed=self.needed if name == self.carries else None)
        if self.needed is not None and name not in self.needed:
            raise LookupError(f"{name} was not asked for")
        found = self.world.value(kind, f"{self.key}.{name}", bare=True)
        return found.value if isinstance(found, Colour) and name.startswith("raw_") else found


class Row(Source):
    """A source whose columns are items."""

    def __getitem__(self, name: str) -> Any:
        return self.column(name)


class Struct(Source):
    """A source whose columns are attributes."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.column(name)


def key_of(source: Any) -> str | None:
    """Say which object a source or an instance is; None for what is no such thing."""
    holder = getattr(source, "row", source)
    return holder.key if isinstance(holder, Source) or hasattr(type(holder), "attributes") else None


def dressed(value: Any) -> Any:
    """Make instances of the sources in a value."""
    if isinstance(value, list | tuple):
        return [dressed(item) for item in value]
    return value.made(row=value) if isinstance(value, Source) else value

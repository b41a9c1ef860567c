"""Declares a field in each of the ways that the library knows."""

import inspect
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from random import Random
from typing import Any

import strawberry
from strawberry.extensions import FieldExtension

from execution import Batch, Column
from tests.execution.ingredients import ARGUMENTS, CONVERTERS, Kind, marked
from tests.execution.worlds import World, dressed, key_of

_ROOT = inspect.Parameter("root", inspect.Parameter.POSITIONAL_OR_KEYWORD)
_INFO = inspect.Parameter("info", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=strawberry.Info)


class Refusing(FieldExtension):
    """Refuses a field in some worlds, as a permission does."""

    def __init__(self, name: str) -> None:
        self.name = name

    def resolve(self, next_: Callable[..., Any], source: Any, info: Any, **arguments: Any) -> Any:
        info.context.check(f"extension {self.name}", odds=5)
        return next_(source, info, **arguments)

    async def resolve_async(self, next_: Callable[..., Any], source: Any, info: Any, **arguments: Any) -> Any:
        info.context.check(f"extension {self.name}", odds=5)
        return await next_(source, info, **arguments)


def read(declared: Column | Callable[[type], Any]) -> Callable[..., Any]:
    """Make the resolver with which graphql-core reads a column."""

    def resolve(root: Any) -> Any:
        column = declared if isinstance(declared, Column) else declared(type(root))
        source = getattr(root, "row", root)
        value = getattr(source, column.name) if column.attribute else source[column.name]
        return dressed(value if column.convert is None or value is None else column.convert(value))

    return resolve


def asked(batch: Batch, given: list[inspect.Parameter]) -> Callable[..., Any]:
    """Make the resolver with which graphql-core asks a question: for one parent, and for all columns."""

    async def one_by_one(root: Any, info: Any, **arguments: Any) -> Any:
        if batch.guard is not None:
            batch.guard(info.context)
        found = batch.load(info.context, [getattr(root, "row", root)], None, **arguments)
        (value,) = await found if inspect.isawaitable(found) else found
        return dressed(value)

    resolve: Any = one_by_one
    resolve.__signature__ = inspect.Signature([_ROOT, _INFO, *given])
    return one_by_one


def parameters(random: Random) -> list[inspect.Parameter]:
    """Choose the arguments of a field."""
    chosen = random.sample(ARGUMENTS, random.choice([0, 1, 1, 2]))
    return [
        inspect.Parameter(
            f"an_argument{at}",
            inspect.Parameter.KEYWORD_ONLY,
            annotation=annotation,
            default=inspect.Parameter.empty if default is ... else default,
        )
        for at, (annotation, default) in enumerate(chosen)
    ]


def column(random: Random, name: str, kind: Kind, *, attribute: bool) -> tuple[Any, str]:
    """Declare a column; returns the field and the column's name in the source."""
    convert = random.choice(CONVERTERS[kind.name]) if kind.item is None and kind.name in CONVERTERS and random.random() < 0.6 else None
    stored = f"raw_{name}" if convert is not None and kind.name == "Colour" else f"in_{name}"
    declared: Any = Column(stored, convert, attribute=attribute)
    if convert is marked and random.random() < 0.7:
        declared = partial(_column_of, stored, attribute)
    return strawberry.field(resolver=read(declared), metadata={"execution": declared}), stored


def _column_of(stored: str, attribute: object, owner: type) -> Column:
    """Declare a column by a function of the class that the field belongs to."""
    return Column(stored, lambda value: f"{owner.__name__} {value}", attribute=bool(attribute))


def some(random: Random, columns: Sequence[str]) -> list[str]:
    """Choose what a field reads of its parent for itself."""
    return random.sample(columns, 1) if columns and random.random() < 0.8 else []


def values_of(source: Any, columns: list[str], *, attribute: bool) -> list[str]:
    """Read columns, as text."""
    return [repr(getattr(source, one) if attribute else source[one]) for one in columns]


def batch(random: Random, name: str, kind: Kind, columns: Sequence[str], *, attribute: bool) -> Any:
    """Declare a question for all parents at once; it may read one of the parents' own columns."""
    slow, guarded = random.random() < 0.5, random.random() < 0.3
    needs = some(random, columns)

    def found(context: World, source: Any, needed: Any, told: str) -> Any:
        key = "root" if source is None else key_of(source)
        if key is None:
            return TypeError("This parent is no object.")
        own = values_of(source, needs, attribute=attribute)
        context.calls[f"{key}.{told}"] += 1
        return context.value(kind, f"{key}.{told}{own}", needed=needed, bare=True)

    def load(context: World, sources: Sequence[Any], needed: Any, **arguments: Any) -> list[Any]:
        told = f"{name}({sorted(arguments.items())})"
        context.check(f"load {told}")
        return [found(context, source, needed, told) for source in sources]

    async def load_slowly(context: World, sources: Sequence[Any], needed: Any, **arguments: Any) -> list[Any]:
        await context.pause(name)
        return load(context, sources, needed, **arguments)

    guard = (lambda context: context.check(f"guard {name}", odds=5)) if guarded else None
    made = Batch.of(load_slowly if slow else load, needs, guard=guard)
    return strawberry.field(resolver=asked(made, parameters(random)), metadata={"execution": made})


def resolver(
    random: Random, name: str, kind: Kind, columns: Sequence[str] = (), *, attribute: bool = True, logs: bool = False, root: bool = False
) -> Any:
    """Declare a plain resolver: with or without the parent and the info, at once or later, refused or not."""
    slow, asks_root = random.random() < 0.5, not root and random.random() < 0.8
    asks_info = logs or root or not asks_root or random.random() < 0.5
    asks_place, given = asks_info and random.random() < 0.3, parameters(random)
    needs = some(random, columns) if asks_root else []

    def begin(arguments: dict[str, Any]) -> tuple[World, str]:
        source, info = arguments.pop("root", None), arguments.pop("info", None)
        holder = getattr(source, "row", source)
        world = holder.world if info is None else info.context
        place = info._raw_info.path.as_list() if asks_place else ""
        key = f"{holder.key if asks_root else ''}.{name}({sorted(arguments.items())}){place}{values_of(holder, needs, attribute=attribute)}"
        world.calls[key] += 1
        if logs:
            world.log.append(f"begin {key}")
        return world, key

    def end(world: World, key: str) -> Any:
        if logs:
            world.log.append(f"end {key}")
        world.check(key)
        return world.lazily(kind, key)

    def resolve(**arguments: Any) -> Any:
        return end(*begin(arguments))

    async def resolve_slowly(**arguments: Any) -> Any:
        world, key = begin(arguments)
        await world.pause(key)
        return end(world, key)

    chosen: Any = resolve_slowly if slow else resolve
    own = [*([_ROOT] if asks_root else []), *([_INFO] if asks_info else [])]
    chosen.__signature__ = inspect.Signature([*own, *given])
    extensions: list[FieldExtension] = [Refusing(name)] if random.random() < 0.2 else []
    return strawberry.field(resolver=chosen, extensions=extensions)


async def stream() -> AsyncIterator[Any]:
    """Stand for a subscription's stream: trials bring their events along."""
    nothing: tuple[Any, ...] = ()
    for event in nothing:
        yield event

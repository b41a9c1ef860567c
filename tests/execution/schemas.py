"""Random Strawberry schemas: rows, structs and plain objects behind interfaces and unions, pages, mutations that leave traces, events."""

import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from types import ModuleType
from typing import Annotated, Any, Final, Union

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from execution import Column
from tests.execution import fields
from tests.execution.ingredients import LEAVES, SCALARS, Code, Colour, Kind, kind_of
from tests.execution.worlds import Row, Source, Struct, World

FORMS: Final[dict[str, tuple[type[Source], bool]]] = {"Row": (Row, False), "Struct": (Struct, True)}


WAYS: Final = ("column", "column", "column", "batch", "batch", "resolver")
STAPLES: Final = (Kind("int"), Kind("Colour", nullable=True), Kind("str", nullable=True))


# Any, because the type checker reads `Private[…]` as a type only where one is declared.
_PRIVATE: Final[Any] = strawberry.Private


@dataclass(frozen=True)
class Built:
    """A schema, its classes, and of which kind the events of its subscriptions are."""

    schema: strawberry.Schema
    classes: dict[str, type]
    events: dict[str, Kind]

    @property
    def core(self) -> GraphQLSchema:
        """The same schema as graphql-core knows it."""
        return self.schema._schema

    def world(self, seed: int, fault: float) -> World:
        """Make a world of this schema."""
        return World(seed, fault, self.classes)


class Builder:
    """Builds one schema of random fields over a fixed cast of types, which are of every form and cross every border."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._module = ModuleType(f"tests.execution.random_{seed}")
        vars(self._module).update(strawberry=strawberry, Colour=Colour, Code=Code, AsyncGenerator=AsyncGenerator)
        # Strawberry looks names of types up where their class says that it stands.
        sys.modules[self._module.__name__] = self._module
        self._classes: dict[str, type] = {}
        self._events: dict[str, Kind] = {}
        self._kinds = [
            *(Kind(name, objects=(name,)) for name in ("RowA", "RowB", "StructA", "StructB", "PlainA", "PlainB", "PageA")),
            Kind("RowLike", objects=("RowA", "RowB")),
            Kind("StructLike", objects=("StructA", "StructB")),
            Kind("PlainLike", objects=("PlainA", "PlainB")),
            Kind("Mixed", objects=("RowA", "StructB", "PlainA")),
            Kind("Rows", objects=("RowA", "RowB")),
        ]

    def build(self) -> Built:
        """Build the schema."""
        for form in ("Row", "Struct", "Plain"):
            like = self._type(f"{form}Like", form, (), interface=True)
            self._type(f"{form}A", form, (like,))
            self._type(f"{form}B", form, (like,))
        self._page("PageA", "RowA")
        objects = {name: one for name, one in self._classes.items() if not name.endswith("Like")}
        for kind in self._kinds[-2:]:
            members = tuple(objects[name] for name in kind.objects)
            setattr(self._module, kind.name, Annotated[Union[members], strawberry.union(kind.name)])  # noqa: UP007 - made of a tuple
        schema = strawberry.Schema(
            query=self._root("Query", 14, logs=False),
            mutation=self._root("Mutation", 6, logs=True),
            subscription=self._subscription(8),
            types=list(objects.values()),
            config=StrawberryConfig(scalar_map=SCALARS),
        )
        return Built(schema, objects, self._events)

    def _type(self, name: str, form: str, bases: tuple[type, ...], *, interface: bool = False) -> type:
        inherited: dict[str, Kind] = {}
        for base in bases:
            inherited |= getattr(base, "attributes", {}) | getattr(getattr(base, "source_class", None), "columns", {})
        known, made, annotations = dict(inherited), {}, {}
        for at in range(self._random.randint(6, 9)):
            # Every type has a few columns, and something that is computed of them.
            way = ("column", "column", "column", "resolver")[at] if at < 4 else self._random.choice(WAYS)
            field, kind = f"{name.lower()}_f{at}", STAPLES[at] if at < len(STAPLES) else self._kind(composite=at > 3)
            annotations[field] = kind.annotation
            leaves = [stored for stored, of in known.items() if of.item is None and not of.objects]
            one, stored = self._field(way, field, kind, form, leaves)
            if one is not None:
                made[field] = one
            if stored is not None:
                known[stored] = kind
        space: dict[str, Any] = {**made, **self._backing(name, form, known, annotations)}
        space |= {"__annotations__": annotations, "__module__": self._module.__name__}
        declare: Any = strawberry.interface if interface else strawberry.type
        return self._keep(name, declare(type(name, bases, space)))

    def _backing(self, name: str, form: str, known: dict[str, Kind], annotations: dict[str, Any]) -> dict[str, Any]:
        """Say what instances are made of: a source, or attributes of their own."""
        if form == "Plain":
            annotations |= {"world": _PRIVATE[Any], "key": _PRIVATE[str]}
            return {"attributes": known}
        annotations["row"] = _PRIVATE[Any]
        source = type(f"{name}{form}", (FORMS[form][0],), {"columns": known})
        return {"__source__": "row", "__sources__": (source,), "source_class": source}

    def _field(self, way: str, name: str, kind: Kind, form: str, leaves: list[str]) -> tuple[Any, str | None]:
        """Declare a field in a way that its type's form allows; with it comes the name under which its value is kept, if it is."""
        if way == "batch":
            return fields.batch(self._random, name, kind, leaves, attribute=form != "Row"), None
        if way == "resolver":
            return fields.resolver(self._random, name, kind, leaves, attribute=form != "Row"), None
        if form != "Plain":
            return fields.column(self._random, name, kind, attribute=FORMS[form][1])
        return (None, name) if _is_bounded(kind) else (fields.resolver(self._random, name, kind), None)

    def _page(self, name: str, of: str) -> None:
        rows, total = Kind(item=Kind(of, objects=(of,))), Kind("int")
        source = type(f"{name}Source", (Struct,), {"columns": {"rows": rows, "total": total}, "carries": "rows"})
        columns = {"rows": Column("rows", attribute=True, carried=True), "total": Column("total", attribute=True)}
        space: dict[str, Any] = {
            field: strawberry.field(resolver=fields.read(one), metadata={"execution": one}) for field, one in columns.items()
        }
        annotations = {"rows": rows.annotation, "total": total.annotation, "row": _PRIVATE[Any]}
        space |= {"__annotations__": annotations, "__module__": self._module.__name__}
        space |= {"__source__": "row", "__sources__": (source,), "source_class": source}
        self._keep(name, strawberry.type(type(name, (), space)))

    def _root(self, name: str, count: int, *, logs: bool) -> type:
        space: dict[str, Any] = {"__module__": self._module.__name__, "__annotations__": {}}
        for at in range(count):
            field, kind = f"{name.lower()}_f{at}", self._kind(composite=at > 2)
            space["__annotations__"][field] = kind.annotation
            asks = not logs and self._random.random() < 0.6
            space[field] = (
                fields.batch(self._random, field, kind, (), attribute=False)
                if asks
                else fields.resolver(self._random, field, kind, logs=logs, root=True)
            )
        made: type = strawberry.type(type(name, (), space))
        return made

    def _subscription(self, count: int) -> type:
        space: dict[str, Any] = {"__module__": self._module.__name__, "__annotations__": {}}
        for at in range(count):
            kind = self._kind(composite=at > 0)
            self._events[f"event{at}"] = kind
            space["__annotations__"][f"event{at}"] = f"AsyncGenerator[{kind.annotation}, None]"
            space[f"event{at}"] = strawberry.subscription(resolver=fields.stream)
        made: type = strawberry.type(type("Subscription", (), space))
        return made

    def _kind(self, *, composite: bool) -> Kind:
        named = self._random.choice(self._kinds) if composite else Kind(self._random.choice(LEAVES))
        return kind_of(self._random, named)

    def _keep(self, name: str, made: type) -> type:
        self._classes[name] = made
        if (source := getattr(made, "source_class", None)) is not None:
            source.made = made
        setattr(self._module, name, made)
        return made


def _is_bounded(kind: Kind) -> bool:
    """Whether an attribute's value comes to an end: it can, where an object may be left out."""
    return not kind.innermost.objects or kind.item is not None or kind.nullable


@lru_cache
def built(seed: int) -> Built:
    """Build the schema of a seed, once."""
    return Builder(seed).build()

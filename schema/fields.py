"""How a field is declared: where its value comes from, who may ask for it and what it costs, in one place each.

The gateway, the SDL, the documentation and the proof tests read these declarations back.
"""

import asyncio
import enum
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.schema_directive import Location

from errors import PennyError, PermissionDenied, Unauthenticated
from events.facts import Fact
from execution import Batch, Column, batched, read, read_nested
from execution.declarations import METADATA
from resolvers.operations import Operation
from schema.caching import KeptFor
from schema.errors import Payload, user_error
from schema.event_types import EventType, types_of

Info = strawberry.Info[Operation, None]
Columns = frozenset[str]
Method = TypeVar("Method", bound=Callable[..., Any])


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="scope",
    description="One of these scopes is needed; an empty list means any signed-in member.",
)
class Scope:
    any: list[str] = strawberry.directive_field(name="any")


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION], name="cost", description="Points that the field costs, times the arguments or page sizes named."
)
class Cost:
    weight: int = strawberry.directive_field(name="weight")
    multipliers: list[str] | None = strawberry.directive_field(name="multipliers", default=strawberry.UNSET)


@strawberry.schema_directive(
    locations=[Location.INPUT_OBJECT],
    name="idempotent",
    description="A retry is safe: the same `idempotencyKey` with the same input gives the first result again and does nothing twice.",
)
class Idempotent:
    pass


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="emits",
    description="What `tenantEvents` tells of it, where it changes something: the change and its events are one transaction.",
)
class Emits:
    events: list[EventType] = strawberry.directive_field(name="events")


class Permission(FieldExtension):
    """Refuses a field to a viewer without one of the scopes; `public` fields need no viewer."""

    def __init__(self, scopes: Sequence[str] = (), *, public: bool = False) -> None:
        self.scopes = tuple(scopes)
        self.public = public

    def check(self, operation: Operation) -> None:
        """Raise `Unauthenticated` or `PermissionDenied` unless the viewer may."""
        if not self.public and not operation.viewer.may(*self.scopes):
            raise PermissionDenied("Your role or key does not allow this.", required_scopes=self.scopes)

    def resolve(self, next_: Callable[..., Any], source: Any, info: Info, **arguments: Any) -> Any:
        self.check(info.context)
        return next_(source, info, **arguments)

    async def resolve_async(self, next_: Callable[..., Any], source: Any, info: Info, **arguments: Any) -> Any:
        self.check(info.context)
        return await next_(source, info, **arguments)


class TypedErrors(FieldExtension):
    """Turns what a user can act on into the payload's `errors`; the rest goes to the transport."""

    def __init__(self, payload: type[Payload]) -> None:
        self.payload = payload

    async def resolve_async(self, next_: Callable[..., Any], source: Any, info: Info, **arguments: Any) -> Any:
        try:
            return await next_(source, info, **arguments)
        except PennyError as error:
            if isinstance(error, Unauthenticated) or (shown := user_error(error)) is None:
                raise
            return self.payload(errors=[shown])
        finally:
            # What was loaded before the change, or for the viewer before a sign-in, must not answer for after it.
            info.context.loaders = None


def column(name: str | int, *, description: str, convert: Callable[[Any], Any] | None = None) -> Any:
    """Declare a field that is a column of the object's row; `convert` dresses the value."""
    return _read(Column(name, convert), description)


def attribute(name: str, *, description: str, convert: Callable[[Any], Any] | None = None) -> Any:
    """Declare a field that is an attribute of the object's source."""
    return _read(Column(name, convert, attribute=True), description)


def nested(column: Column, *, description: str) -> Any:
    """Declare a field of objects that the object's source holds already."""
    metadata = {METADATA: column, **KeptFor.STANDING.metadata}
    return strawberry.field(resolver=read_nested(column), description=description, metadata=metadata)


def _read(declared: Column, description: str) -> Any:
    metadata = {METADATA: declared, **KeptFor.STANDING.metadata}
    return strawberry.field(resolver=read(declared), description=description, metadata=metadata)


def computed(*, description: str) -> Callable[[Method], Method]:
    """Declare a field that is computed from the object alone by the method below."""

    def declare(method: Method) -> Method:
        return cast("Method", strawberry.field(method, description=description, metadata=KeptFor.STANDING.metadata))

    return declare


def batch(  # noqa: PLR0913 - all that is said of a field
    load: Callable[..., Any],
    *,
    description: str,
    needs: Iterable[str] | None = (),
    scopes: Sequence[str] | None = None,
    cost: int = 1,
    multipliers: Sequence[str] = (),
    common: bool = False,
    kept_for: KeptFor | None = None,
) -> Any:
    """Declare a field that is found for all objects of a level at once.

    `load(operation, sources, needed, **arguments)` returns a value for each source; one that is an exception fails alone. It reads
    the columns `needs` of its sources (None: all), and what it returns must have the columns `needed` (None: all). Without `scopes`
    whoever sees the object sees the field; with an empty list any member does. A `common` field looks at no viewer: one answer serves
    all who are told of the same event. To whom it may be given again, `kept_for` says; else it is a `common` one's standing.
    """
    declared = Batch.of(load, needs, guard=None if scopes is None else Permission(scopes).check, common=common)
    directives = _directives(scopes or (), cost=cost, multipliers=multipliers, public=scopes is None)
    kept = kept_for if kept_for is not None else KeptFor.STANDING if common else KeptFor.CREDENTIAL
    metadata = {METADATA: declared, **kept.metadata}
    return strawberry.field(resolver=batched(declared), description=description, directives=directives, metadata=metadata)


def query(  # noqa: PLR0913 - all that is said of a field
    resolver: Callable[..., Any],
    *,
    description: str,
    scopes: Sequence[str] = (),
    public: bool = False,
    cost: int = 1,
    multipliers: Sequence[str] = (),
    kept_for: KeptFor = KeptFor.CREDENTIAL,
) -> Any:
    """Declare a field that is found for one object at a time, as is right for a root field: `resolver(operation, source, **arguments)`.

    A resolver with a parameter `needed` is told the columns that are read of what it finds, as `batch` tells it.
    `multipliers` are arguments whose size multiplies the cost. `kept_for` says to whom an answer may be given again.
    """
    declared = Batch.of(_one_by_one(resolver), None, guard=Permission(scopes, public=public).check)
    directives = _directives(scopes, cost=cost, multipliers=multipliers, public=public)
    metadata = {METADATA: declared, **kept_for.metadata}
    return strawberry.field(resolver=batched(declared), description=description, directives=directives, metadata=metadata)


def _one_by_one(resolver: Callable[..., Any]) -> Callable[..., Any]:
    is_async = inspect.iscoroutinefunction(resolver)
    parameters = inspect.signature(resolver).parameters
    tells_needed = "needed" in parameters

    async def one(operation: Operation, source: Any, arguments: Mapping[str, Any]) -> Any:
        try:
            found = resolver(operation, source, **arguments)
            return await found if is_async else found
        except Exception as error:  # noqa: BLE001 - it is this object's answer
            return error

    async def load(operation: Operation, sources: Sequence[Any], needed: Any, **arguments: Any) -> list[Any]:
        if tells_needed:
            arguments["needed"] = needed
        if len(sources) == 1:
            return [await one(operation, sources[0], arguments)]
        return await asyncio.gather(*(one(operation, source, arguments) for source in sources))

    asked: Any = load
    own = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in ("operation", "sources", "needed")]
    arguments = [given.replace(kind=given.KEYWORD_ONLY) for given in list(parameters.values())[2:] if given.name != "needed"]
    asked.__signature__, asked.__module__ = inspect.Signature([*own, *arguments]), resolver.__module__
    return load


def mutation(  # noqa: PLR0913 - all that is said of a field
    resolver: Callable[..., Any],
    *,
    payload: type[Payload],
    description: str,
    emits: Sequence[type[Fact]],
    scopes: Sequence[str] = (),
    public: bool = False,
    cost: int = 10,
) -> Any:
    """Declare a mutation: its failures that a user can act on come back typed in the payload.

    It records facts of all kinds in `emits` and of no others; tests/api/test_emitted.py does every mutation and looks.
    """
    told = types_of(emits)
    return strawberry.mutation(
        resolver=resolver,
        description=description,
        # The last one is the outermost: a refused permission is a typed error too.
        extensions=[Permission(scopes, public=public), TypedErrors(payload)],
        directives=[*_directives(scopes, cost=cost, public=public), *([Emits(events=told)] if told else [])],
    )


def subscription(resolver: Callable[..., Any], *, description: str, scopes: Sequence[str] = (), cost: int = 10) -> Any:
    """Declare a subscription: `resolver` is a coroutine that checks what is asked for and returns the stream."""
    permission = Permission(scopes)

    # Field extensions do not reach a subscription's stream.
    @functools.wraps(resolver)
    def permitted(info: Info, **arguments: Any) -> Any:
        permission.check(info.context)
        return resolver(info, **arguments)

    return strawberry.subscription(
        resolver=permitted,
        description=description,
        directives=_directives(scopes, cost=cost),
        metadata={"permission": permission},
    )


def _directives(scopes: Sequence[str], *, cost: int, multipliers: Sequence[str] = (), public: bool = False) -> list[object]:
    directives: list[object] = [] if public else [Scope(any=list(scopes))]
    if cost != 1 or multipliers:
        directives.append(Cost(weight=cost, multipliers=list(multipliers) or strawberry.UNSET))
    return directives


def name_of(value: enum.Enum) -> str:
    """Spell an enum's value as rows hold it."""
    return str(value.value)


def names_of(values: Sequence[enum.Enum] | None) -> list[str] | None:
    """Spell an enum's values as rows hold them."""
    return None if values is None else [name_of(value) for value in values]

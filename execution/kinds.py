"""Which type a value is of: found out once for each Python class where that tells, and asked of the schema where not."""

from collections.abc import Callable
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, NamedTuple

from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLUnionType, Undefined, default_type_resolver
from graphql.execution.executor import Executor, invalid_return_type_error
from graphql.pyutils import is_awaitable

from execution.plans import Selection
from execution.reference import source_of
from execution.runs import Place
from execution.shapes import One
from execution.sources import class_of, definition_of, source_attribute, source_classes


class Kind(NamedTuple):
    """The selection for values of a class, and how their source is taken out of them; None for values that are sources."""

    selection: Selection
    source: Callable[[Any], Any] | None


def kind_of(one: One, python: type, *, trusted: bool) -> Kind | None:
    """Return what all values of a class are here; None where only the schema's own functions can tell.

    Values that are `trusted` come from a declared field, which may return sources in place of instances.
    """
    try:
        found: Kind | None = one.kinds[python]
    except KeyError:
        found = one.kinds[python] = _found(one, python, trusted=trusted)
    return found


def _found(one: One, python: type, *, trusted: bool) -> Kind | None:
    if issubclass(python, Exception | None.__class__ | Undefined.__class__) or _has_own_resolver(one):
        return None
    matches = [kind for selection in one.selections.values() if (kind := _match(one, selection, python, trusted=trusted)) is not None]
    return matches[0] if len(matches) == 1 else None


def _match(one: One, selection: Selection, python: type, *, trusted: bool) -> Kind | None:
    owner, definition = class_of(selection.type), definition_of(selection.type)
    if owner is None or definition is None or definition.is_type_of is not None:
        return None
    attribute = source_attribute(owner)
    is_static = isinstance(one.named, GraphQLObjectType) or (isinstance(one.named, GraphQLUnionType) and len(one.selections) == 1)
    if python is owner or (is_static and issubclass(python, owner)):
        return Kind(selection, None if attribute is None else attrgetter(attribute))
    if hasattr(python, "__strawberry_definition__") or not trusted or attribute is None:
        return None
    return Kind(selection, None) if is_static or python in source_classes(owner) else None


def _has_own_resolver(one: One) -> bool:
    if not isinstance(one.named, GraphQLInterfaceType):
        return False
    definition = definition_of(one.named)
    return definition is None or definition.resolve_type is not None


def resolved(at: Place, one: One, value: Any, index: int) -> tuple[Selection, Any]:
    """Ask the schema of which type a value is, as graphql-core does; raises its errors."""
    info = at.run.info(at.field, at.frame.path(index))
    named = one.named
    if not isinstance(named, GraphQLObjectType):
        name = (named.resolve_type or default_type_resolver)(value, info, named)
        if is_awaitable(name):
            raise TypeError(f"The type of a {named.name} cannot be awaited.")
        schema: Any = SimpleNamespace(schema=at.run.compiled.schema)
        named = Executor.ensure_valid_runtime_type(schema, name, named, at.field.details, info, value)
    if named.is_type_of is not None and not named.is_type_of(value, info):
        raise invalid_return_type_error(named, value, at.field.details)
    return one.selections[named.name], source_of(value)

"""Strawberry's classes seen from outside: which class makes a type, where it keeps its source, and whose values belong to it."""

from typing import Any, Final

from graphql import GraphQLNamedType
from strawberry.types.base import StrawberryObjectDefinition

_DEFINITION: Final = "strawberry-definition"


def definition_of(named: GraphQLNamedType) -> StrawberryObjectDefinition | None:
    """Return Strawberry's own definition of an object type or interface."""
    found = (named.extensions or {}).get(_DEFINITION)
    return found if isinstance(found, StrawberryObjectDefinition) else None


def class_of(named: GraphQLNamedType) -> type | None:
    """Return the class whose instances are of this type; for one made of a generic class, the generic class."""
    definition = definition_of(named)
    if definition is None:
        return None
    return definition.concrete_of.origin if definition.concrete_of is not None else definition.origin


def source_attribute(owner: type) -> str | None:
    """Return the name of the attribute in which a class keeps its source."""
    return getattr(owner, "__source__", None)


def source_classes(owner: type) -> tuple[type, ...]:
    """Return the classes of sources that tell, where several types are possible, that a source belongs to this one."""
    return getattr(owner, "__sources__", ())


def is_instance(value: Any) -> bool:
    """Whether a value is an object of some Strawberry type, and not a source."""
    return hasattr(type(value), "__strawberry_definition__")

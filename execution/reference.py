"""The same declarations for graphql-core: resolvers for one parent at a time, and instances around sources."""

import inspect
from collections.abc import Callable
from typing import Any

from graphql import GraphQLList, GraphQLNonNull, GraphQLObjectType, GraphQLOutputType, GraphQLUnionType
from strawberry import Info

from execution.declarations import METADATA, Batch, Column, Declared, declared
from execution.sources import class_of, is_instance, source_attribute, source_classes


def source_of(instance: Any) -> Any:
    """Return what an instance's fields read: its source, or the instance itself."""
    attribute = source_attribute(type(instance))
    return instance if attribute is None else getattr(instance, attribute)


def dressed(value: Any, expected: GraphQLOutputType) -> Any:
    """Make instances of the sources in a field's value, as its type says; everything else stays as it is."""
    if isinstance(expected, GraphQLNonNull):
        return dressed(value, expected.of_type)
    if isinstance(expected, GraphQLList):
        return [dressed(item, expected.of_type) for item in value] if isinstance(value, list | tuple) else value
    if value is None or isinstance(value, Exception) or is_instance(value):
        return value
    owner = _owner(value, expected)
    attribute = None if owner is None else source_attribute(owner)
    return value if owner is None or attribute is None else owner(**{attribute: value})


def _owner(value: Any, expected: GraphQLOutputType) -> type | None:
    """Return the class that a source belongs to."""
    if isinstance(expected, GraphQLObjectType):
        return class_of(expected)
    if not isinstance(expected, GraphQLUnionType):
        return None
    owners = [class_of(one) for one in expected.types]
    if len(owners) == 1:
        return owners[0]
    return next((owner for owner in owners if owner is not None and type(value) in source_classes(owner)), None)


def read(declaration: Declared) -> Callable[..., Any]:
    """Make the resolver of a column that is a leaf."""

    def resolve(root: Any) -> Any:
        return _column(declaration, root).read(source_of(root))

    return resolve


def read_nested(declaration: Declared) -> Callable[..., Any]:
    """Make the resolver of a column that holds objects, as sources or instances."""

    def resolve(root: Any, info: Info) -> Any:
        value = _column(declaration, root).read(source_of(root))
        return dressed(value, _return_type(info))

    return resolve


def _return_type(info: Info) -> GraphQLOutputType:
    return info._raw_info.return_type  # noqa: SLF001 - Strawberry's own info knows only its own types


def _column(declaration: Declared, root: Any) -> Column:
    column = declaration if isinstance(declaration, Column) else declared({METADATA: declaration}, type(root))
    assert isinstance(column, Column)
    return column


def batched(batch: Batch) -> Callable[..., Any]:
    """Make the resolver of a batch: it asks for one parent. Its arguments are the ones of `load` after the first three."""

    async def resolve(root: Any, info: Any, **arguments: Any) -> Any:
        if batch.guard is not None:
            batch.guard(info.context)
        found = batch.load(info.context, [source_of(root)], None, **arguments)
        (value,) = await found if inspect.isawaitable(found) else found
        if isinstance(value, Exception):
            raise value
        return dressed(value, _return_type(info))

    parameters = list(inspect.signature(batch.load).parameters.values())[3:]
    own = [
        inspect.Parameter("root", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Any),
        inspect.Parameter("info", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Info),
    ]
    given: Any = resolve
    given.__signature__ = inspect.Signature([*own, *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters)])
    given.__annotations__ = {one.name: one.annotation for one in (*own, *parameters)}
    given.__module__, given.__name__ = batch.load.__module__, batch.load.__name__
    return resolve

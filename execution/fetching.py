"""Finds the values of one field for all parents of a level."""

from collections.abc import AsyncIterable, Awaitable, Coroutine, Sequence
from inspect import CORO_CREATED, getcoroutinestate, isawaitable
from typing import Any, TypeGuard

from graphql import default_field_resolver
from graphql.execution.values import get_argument_values
from graphql.pyutils import gather_with_cancel, is_awaitable

from execution.declarations import Batch, Column
from execution.frames import Frame
from execution.inputs import Arguments
from execution.plans import Field, Selection
from execution.runs import Run
from execution.shapes import Many, Shape

Values = list[Any]


class Waiting:
    """Values that have to be awaited, for so many sources. Whatever fails for all of them is the field's error, for each."""

    __slots__ = ("_count", "_found")

    def __init__(self, found: Awaitable[Any], count: int) -> None:
        self._found = found
        self._count = count

    async def values(self) -> Values:
        """Await them."""
        try:
            return _counted(await self._found, self._count)
        except Exception as error:  # noqa: BLE001 - it is the field's error, for each parent
            return [error] * self._count

    def give_up(self) -> None:
        """Let go of what was never begun: the operation was cancelled before its turn came."""
        if isinstance(self._found, Coroutine) and getcoroutinestate(self._found) == CORO_CREATED:
            self._found.close()


def fetch(run: Run, field: Field, selection: Selection, sources: Sequence[Any], frame: Frame) -> Values | Waiting:
    """Return a value for each source, in order, or what has to be awaited for them. A value that is an exception is a failure."""
    if isinstance(field.declared, Column):
        return _read(field.declared, sources)
    if run.compiled.trace is None:
        return _asked(run, field, selection, sources, frame)
    return Waiting(_traced(run, field, selection, sources, frame), len(sources))


def waits(values: Values | Waiting) -> TypeGuard[Waiting]:
    """Whether the values have to be awaited."""
    return type(values) is not list


async def _traced(run: Run, field: Field, selection: Selection, sources: Sequence[Any], frame: Frame) -> Values:
    """Fetch within a trace, which sees what fails for all parents."""
    assert run.compiled.trace is not None
    with run.compiled.trace(f"{field.parent.name}.{field.name}", len(sources)):
        found = _found(run, field, selection, sources, frame)
        return found if type(found) is list else _counted(await found, len(sources))  # type: ignore[misc] # it is awaitable


def _asked(run: Run, field: Field, selection: Selection, sources: Sequence[Any], frame: Frame) -> Values | Waiting:
    try:
        found = _found(run, field, selection, sources, frame)
        return found if type(found) is list else Waiting(found, len(sources))  # type: ignore[arg-type] # it is awaitable
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the field's error, for each parent
        return [error] * len(sources)


def _found(run: Run, field: Field, selection: Selection, sources: Sequence[Any], frame: Frame) -> Values | Awaitable[Values]:
    if isinstance(field.declared, Batch):
        return _loaded(run, field, field.declared, sources)
    return _resolved(run, field, selection, sources, frame)


def _read(column: Column, sources: Sequence[Any]) -> Values:
    read = column.read
    try:
        return [read(source) for source in sources]
    except Exception:  # noqa: BLE001 - told value by value below
        return [_or_error(read, source) for source in sources]


def _or_error(read: Any, source: Any) -> Any:
    try:
        return read(source)
    except Exception as error:  # noqa: BLE001 - it is the field's error
        return error


def _loaded(run: Run, field: Field, batch: Batch, sources: Sequence[Any]) -> Values | Awaitable[Any]:
    # As graphql-core: the arguments are looked at before the field is entered.
    if field.arguments is None:
        field.arguments = Arguments(field, run.compiled)
    arguments = field.arguments.of(field, run.values)
    if batch.guard is not None:
        batch.guard(run.context)
    found = batch.load(run.context, sources, field.needed, **arguments)
    # `isawaitable` asks an abstract class, which costs more than the rest.
    is_there = type(found) is list or not isawaitable(found)
    return _counted(found, len(sources)) if is_there else found


def _counted(found: Any, count: int) -> Values:
    values = found if type(found) is list else list(found)
    if len(values) != count:
        raise RuntimeError(f"A batch answered {len(values)} values to {count} parents.")
    return values


def _resolved(run: Run, field: Field, selection: Selection, sources: Sequence[Any], frame: Frame) -> Values | Awaitable[Values]:
    """Call the plain resolver for each parent."""
    resolve = field.definition.resolve or default_field_resolver
    parents = sources if selection.make is None else [selection.make(source) for source in sources]
    nodes, definition = field.nodes, field.definition
    values: Values = []
    for index, parent in enumerate(parents):
        try:
            arguments: dict[str, Any] = {}
            if definition.args:
                arguments = get_argument_values(definition, nodes[0], run.values, None, run.compiled.hide_suggestions)
            values.append(resolve(parent, run.info(field, [*frame.path(index), field.key]), **arguments))
        except Exception as error:  # noqa: BLE001 - it is this parent's error
            values.append(error)
    return _settled(values, field.shape) if any(_is_unsettled(value, field.shape) for value in values) else values


def _is_unsettled(value: Any, shape: Shape) -> bool:
    if is_awaitable(value):
        return True
    if not isinstance(shape, Many) or isinstance(value, str | bytes | Exception):
        return False
    return hasattr(value, "__aiter__") or (isinstance(value, list | tuple) and any(_is_unsettled(item, shape.item) for item in value))


async def _settled(values: Values, shape: Shape) -> Values:
    """Await what is awaitable in values, and read what is an asynchronous iterable; side by side where there are several."""
    if len(values) == 1:
        return [await _settle(values[0], shape)]
    return list(await gather_with_cancel(*(_settle(value, shape) for value in values)))


async def _settle(value: Any, shape: Shape) -> Any:
    try:
        if is_awaitable(value):
            value = await value
        if isinstance(shape, Many) and not isinstance(value, str | bytes | Exception):
            if isinstance(value, AsyncIterable):
                value = [item async for item in value]
            if isinstance(value, list | tuple) and any(_is_unsettled(item, shape.item) for item in value):
                value = await _settled(list(value), shape.item)
    except Exception as error:  # noqa: BLE001 - it is this value's error
        return error
    return value

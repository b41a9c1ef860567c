"""Completes the values of a field, all at once where they are ordinary, one by one where they are not.

`spread` finds the objects in the values, whose selections run next, and returns what puts the results back into place.
"""

from collections.abc import Callable, Sequence
from itertools import chain, islice
from typing import Any, Final, NamedTuple

from graphql import Undefined
from graphql.error import GraphQLError
from graphql.pyutils import is_iterable

from execution.frames import FieldFrame, Frame, ItemFrame, PickFrame
from execution.kinds import kind_of, resolved
from execution.plans import Field, Selection
from execution.runs import Broken, Place, Run
from execution.shapes import Leaf, Many, MissingValue, One, Shape

Outputs = list[Any]
Finish = Callable[[list[Outputs]], Outputs]


class Site(NamedTuple):
    """Objects of one type at one place, whose selection is to run."""

    selection: Selection
    sources: Sequence[Any]
    frame: Frame


_NOWHERE: Final[list[Site]] = []


def spread(at: Place, shape: Shape, values: Sequence[Any]) -> tuple[list[Site], Finish]:
    """Return the objects in the values, and how their outputs become the outputs of the values."""
    if isinstance(shape, Leaf):
        outputs = _leaves(at, shape, values)
        return _NOWHERE, lambda _: outputs
    if isinstance(shape, Many):
        return _lists(at, shape, values)
    return _objects(at, shape, values)


def _leaves(at: Place, leaf: Leaf, values: Sequence[Any]) -> Outputs:
    complete = leaf.complete
    try:
        return [complete(value) for value in values]
    except Exception:  # noqa: BLE001 - told value by value below
        return [_leaf(at, leaf, value, index) for index, value in enumerate(values)]


def _leaf(at: Place, leaf: Leaf, value: Any, index: int) -> Any:
    try:
        return leaf.complete(value)
    except Exception as error:  # noqa: BLE001 - it is this value's error
        return at.fail(error, index, nonnull=leaf.nonnull)


def _lists(at: Place, many: Many, values: Sequence[Any]) -> tuple[list[Site], Finish]:
    if {*map(type, values)} <= {list, tuple}:
        return _plain_lists(at, many, values)
    outputs: Outputs = [None] * len(values)
    lists, picks = [], []
    for index, value in enumerate(values):
        try:
            if (items := _items(at.field, many, value)) is not None:
                lists.append(items)
                picks.append(index)
        except Exception as error:  # noqa: BLE001 - it is this value's error
            outputs[index] = at.fail(error, index, nonnull=many.nonnull)
    sites, finish = _plain_lists(at.within(PickFrame(at.frame, picks)), many, lists)
    return sites, lambda results: _placed(outputs, picks, finish(results))


def _items(field: Field, many: Many, value: Any) -> list[Any] | None:
    if _is_missing(value, nonnull=many.nonnull):
        return None
    if not is_iterable(value):
        raise GraphQLError(f"Expected Iterable, but did not find one for field '{field.parent.name}.{field.name}'.")
    return list(value)


def _plain_lists(at: Place, many: Many, lists: Sequence[Any]) -> tuple[list[Site], Finish]:
    lengths = [*map(len, lists)]
    sites, finish = spread(at.within(ItemFrame(at.frame, lengths)), many.item, [*chain.from_iterable(lists)])

    def regroup(results: list[Outputs]) -> Outputs:
        items = iter(finish(results))
        outputs: Outputs = [[*islice(items, length)] for length in lengths]
        return _held(at, many, outputs) if at.run.broken else outputs

    return sites, regroup


def _held(at: Place, many: Many, outputs: Outputs) -> Outputs:
    """Break or null the lists that hold a broken item."""
    for index, items in enumerate(outputs):
        if (broken := next((item for item in items if type(item) is Broken), None)) is not None:
            outputs[index] = at.absorb(broken, index, nonnull=many.nonnull)
    return outputs


def _objects(at: Place, one: One, values: Sequence[Any]) -> tuple[list[Site], Finish]:
    kinds = {*map(type, values)}
    if len(kinds) == 1 and (kind := kind_of(one, kinds.pop(), trusted=at.field.is_trusted)) is not None:
        selection, source = kind
        sources = values if source is None else [*map(source, values)]
        return [Site(selection, sources, at.frame)], lambda results: _absorbed(at, one, results[0])
    return _mixed_objects(at, one, values)


def _absorbed(at: Place, one: One, outputs: Outputs) -> Outputs:
    """Null the broken objects where they may be null."""
    if not at.run.broken or one.nonnull:
        return outputs
    return [at.absorb(output, index, nonnull=False) if type(output) is Broken else output for index, output in enumerate(outputs)]


def _mixed_objects(at: Place, one: One, values: Sequence[Any]) -> tuple[list[Site], Finish]:
    """Sort values by their types; nulls and failures stay behind."""
    outputs: Outputs = [None] * len(values)
    found: dict[str, tuple[Selection, list[Any], list[int]]] = {}
    for index, value in enumerate(values):
        try:
            if _is_missing(value, nonnull=one.nonnull):
                continue
            selection, source = _selected(at, one, value, index)
        except Exception as error:  # noqa: BLE001 - it is this value's error
            outputs[index] = at.fail(error, index, nonnull=one.nonnull)
        else:
            _, sources, picks = found.setdefault(selection.type.name, (selection, [], []))
            sources.append(source)
            picks.append(index)
    groups = list(found.values())
    sites = [Site(selection, sources, PickFrame(at.frame, picks)) for selection, sources, picks in groups]

    def gather(results: list[Outputs]) -> Outputs:
        for (_, _, picks), result in zip(groups, results, strict=True):
            _placed(outputs, picks, result)
        return _absorbed(at, one, outputs)

    return sites, gather


def _selected(at: Place, one: One, value: Any, index: int) -> tuple[Selection, Any]:
    if (kind := kind_of(one, type(value), trusted=at.field.is_trusted)) is not None:
        selection, source = kind
        return selection, value if source is None else source(value)
    return resolved(at, one, value, index)


def _is_missing(value: Any, *, nonnull: bool) -> bool:
    if isinstance(value, Exception):
        raise value
    if value is None or value is Undefined:
        if nonnull:
            raise MissingValue
        return True
    return False


def _placed(outputs: Outputs, picks: Sequence[int], found: Outputs) -> Outputs:
    for index, output in zip(picks, found, strict=True):
        outputs[index] = output
    return outputs


def assembled(run: Run, selection: Selection, sources: Sequence[Any], completed: list[Outputs], frame: Frame) -> Outputs:
    """Make the objects of a level: by the generated code, or field by field where something is out of the ordinary."""
    if not run.broken or not any(type(output) is Broken for outputs in completed for output in outputs):
        try:
            return selection.build(sources, *completed)
        except Exception:  # noqa: BLE001, S110 - told field by field below
            pass
    places = {field.key: Place(run, field, FieldFrame(frame, field.key)) for field in selection.fields}
    rows = zip(*completed, strict=True) if completed else [()] * len(sources)
    return [_object(selection, places, source, fetched, index) for index, (source, fetched) in enumerate(zip(sources, rows, strict=True))]


def _object(selection: Selection, places: dict[str, Place], source: Any, fetched: Sequence[Any], index: int) -> Any:
    made: dict[str, Any] = {}
    rest = iter(fetched)
    for key in selection.keys:
        if isinstance(key, str):
            made[key] = selection.type.name
            continue
        output = _direct(places[key.key], source, index) if key.is_direct else next(rest)
        if type(output) is Broken:
            return output
        made[key.key] = output
    return made


def _direct(at: Place, source: Any, index: int) -> Any:
    leaf: Any = at.field.shape
    column: Any = at.field.declared
    try:
        return leaf.complete(column.read(source))
    except Exception as error:  # noqa: BLE001 - it is this field's error
        return at.fail(error, index, nonnull=leaf.nonnull)

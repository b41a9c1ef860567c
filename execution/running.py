"""Runs selections breadth-first: each level's fields for all parents at once, independent ones side by side."""

from asyncio import CancelledError
from collections.abc import Coroutine, Sequence
from typing import Any

from graphql.pyutils import gather_with_cancel

from execution.completing import Outputs, Site, assembled, spread
from execution.fetching import Values, Waiting, fetch, waits
from execution.frames import FieldFrame, Frame
from execution.plans import Field, Selection
from execution.runs import Broken, Place, Run


def select_now(run: Run, selection: Selection, sources: Sequence[Any], frame: Frame) -> Outputs:
    """Run a quiet selection."""
    completed = []
    for field in selection.fetched:
        values: Any = fetch(run, field, selection, sources, frame)
        completed.append(complete_now(run, field, values, FieldFrame(frame, field.key)))
    return assembled(run, selection, sources, completed, frame)


def complete_now(run: Run, field: Field, values: Sequence[Any], frame: Frame) -> Outputs:
    """Complete the values of a field below which everything is quiet."""
    sites, finish = spread(Place(run, field, frame), field.shape, values)
    return finish([select_now(run, *site) for site in sites])


async def select(run: Run, selection: Selection, sources: Sequence[Any], frame: Frame) -> Outputs:
    """Run a selection."""
    completed: list[Outputs] = [[]] * len(selection.fetched)
    waiting: list[tuple[int, Values | Waiting, Coroutine[Any, Any, Outputs]]] = []
    for place, field in enumerate(selection.fetched):
        values = fetch(run, field, selection, sources, frame)
        below = FieldFrame(frame, field.key)
        if not waits(values) and field.is_quiet_below:
            completed[place] = complete_now(run, field, values, below)  # type: ignore[arg-type] # a list
        else:
            waiting.append((place, values, _complete(run, field, values, below)))
    try:
        for (place, _, _), outputs in zip(waiting, await _all([coroutine for _, _, coroutine in waiting]), strict=True):
            completed[place] = outputs
    except CancelledError:
        for _, values, _ in waiting:
            if waits(values):
                values.give_up()
        raise
    return assembled(run, selection, sources, completed, frame)


async def serially(run: Run, selection: Selection, sources: Sequence[Any], frame: Frame) -> Outputs:
    """Run the fields of a mutation one after the other; after one that takes the whole answer with it, none is begun."""
    completed: list[Outputs] = []
    for field in selection.fetched:
        outputs = await _complete(run, field, fetch(run, field, selection, sources, frame), FieldFrame(frame, field.key))
        if type(outputs[0]) is Broken:
            return outputs
        completed.append(outputs)
    return assembled(run, selection, sources, completed, frame)


async def _complete(run: Run, field: Field, values: Values | Waiting, frame: Frame) -> Outputs:
    found: Any = await values.values() if waits(values) else values
    if field.is_quiet_below:
        return complete_now(run, field, found, frame)
    sites, finish = spread(Place(run, field, frame), field.shape, found)
    return finish(await _all([_site(run, site) for site in sites]))


async def complete(run: Run, field: Field, values: Sequence[Any], frame: Frame) -> Outputs:
    """Complete values that are there already: an event's."""
    return await _complete(run, field, list(values), frame)


async def _site(run: Run, site: Site) -> Outputs:
    if site.selection.is_quiet:
        return select_now(run, *site)
    return await select(run, *site)


async def _all(waiting: list[Coroutine[Any, Any, Outputs]]) -> list[Outputs]:
    """Await side by side; a single one needs no task."""
    if not waiting:
        return []
    if len(waiting) == 1:
        return [await waiting[0]]
    # When one breaks for a reason of its own, the others must not go on with what they hold.
    return list(await gather_with_cancel(*waiting))

"""A compiled operation: run it with a context and variables, or encode the events of a subscription with it."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

from graphql import ExecutionResult, OperationType, execute
from graphql.execution.values import VariableValues

from execution.budgets import Plans
from execution.frames import FieldFrame, Frame
from execution.inputs import Variables
from execution.kinds import kind_of
from execution.planning import Planner, Uncompilable
from execution.plans import Field, Selection
from execution.running import complete, complete_now, select, serially
from execution.runs import Broken, Compiled, Run
from execution.shapes import One

_ROOT: Final = Frame()


class Operation:
    """One operation of a document, planned for each combination of values of its `@skip` and `@include` variables."""

    def __init__(self, compiled: Compiled, switches: tuple[str, ...], plans: Plans, *, encode: Callable[[Any], bytes]) -> None:
        self._compiled = compiled
        self._switches = switches
        self._plans = plans
        self._encode = encode
        self._kind = compiled.operation.operation
        self._variables = Variables(compiled)

    async def execute(self, context: Any, variables: Mapping[str, Any] | None = None, *, root_value: Any = None) -> ExecutionResult:
        """Run it to its end: the data is made of dicts, lists and leaves, and the errors are graphql-core's.

        A subscription's root value is one event. Failures of fields are in the result; nothing is raised for them.
        """
        values = self.coerced(variables)
        if isinstance(values, list):
            return ExecutionResult(None, values)
        if (selection := self._planned(values)) is None:
            return await self._referred(context, variables, root_value)
        run = Run(self._compiled, context, values, root_value)
        if self._kind is OperationType.SUBSCRIPTION:
            return await _event(run, selection, root_value)
        running = serially if self._kind is OperationType.MUTATION else select
        (output,) = await running(run, selection, [root_value], _ROOT)
        return run.result(output)

    async def _referred(self, context: Any, variables: Mapping[str, Any] | None, root_value: Any) -> ExecutionResult:
        compiled, name = self._compiled, self._compiled.operation.name
        result = execute(
            compiled.schema, compiled.document, root_value, context, dict(variables or {}), name.value if name else None,
            hide_suggestions=compiled.hide_suggestions,
        )  # fmt: skip
        return result if isinstance(result, ExecutionResult) else await result

    async def run(self, context: Any, variables: Mapping[str, Any] | None = None) -> bytes:
        """Run it and encode the response, in one pass of the encoder."""
        return self._encode((await self.execute(context, variables)).formatted)

    def tail(self, variables: Mapping[str, Any] | None = None) -> "Tail | None":
        """Return the encoder of a subscription's events for these variables; None where only graphql-core says what they give."""
        values = self.coerced(variables)
        if isinstance(values, list) or (selection := self._planned(values)) is None:
            return None
        return Tail(selection, values, self._compiled, self._encode)

    def plan(self) -> None:
        """Plan ahead, with all switches on and all off, so that what cannot be planned is mostly known at once. Raises `Uncompilable`."""
        for switched in (True, False):
            self._selection(VariableValues({}, dict.fromkeys(self._switches, switched)))

    def _planned(self, values: VariableValues) -> Selection | None:
        """Return the plan for these values; None where graphql-core must say what they give."""
        if any(values.coerced.get(name, False) is None for name in self._switches):
            # A null where a default stood: where that error belongs, it knows.
            self._compiled.refer("null switch")
            return None
        try:
            return self._selection(values)
        except Uncompilable as refused:
            self._compiled.refer(refused.reason)
            return None

    def is_planned(self, variables: Mapping[str, Any]) -> bool:
        """Whether it can run with these variables without a plan being made first."""
        if not self._switches:
            return True
        values = self.coerced(variables)
        return isinstance(values, list) or self._plans.get(self._key(values)) is not None

    def forget(self) -> None:
        """Let go of all plans; whoever still runs it plans anew."""
        self._plans.forget(self)

    def coerced(self, variables: Mapping[str, Any] | None) -> Any:
        """Coerce variables; a list holds their errors."""
        return self._variables.coerced(variables)

    def _key(self, values: VariableValues) -> "tuple[Operation, tuple[Any, ...]]":
        return self, tuple(values.coerced.get(name) for name in self._switches)

    def _selection(self, values: VariableValues) -> Selection:
        key = self._key(values)
        if (found := self._plans.get(key)) is None:
            planner = Planner(self._compiled, values, most_fields=self._plans.most_fields)
            found = planner.plan()
            self._plans.keep(key, found, planner.fields)
        return found


class Tail:
    """Encodes the events of one subscription. What it says of an event depends on nothing but `key` and the event where
    `shared` returns bytes: they can be sent to everybody who asks for the same.
    """

    def __init__(self, selection: Selection, values: VariableValues, compiled: Compiled, encode: Callable[[Any], bytes]) -> None:
        self._field: Field = selection.fields[0]
        self._values = values
        self._compiled = compiled
        self._encode = encode
        self.key: Hashable = id(selection)
        self._selection = selection  # keeps the key its own

    def shared(self, event: Any) -> bytes | None:
        """Return the response to an event if it reads nothing but the event; None if it asks more, or fails."""
        field, shape = self._field, self._field.shape
        if not isinstance(shape, One):
            return None
        kind = kind_of(shape, type(event), trusted=True)
        if kind is None or not kind.selection.is_quiet:
            return None
        if not kind.selection.fetched:
            try:
                (output,) = kind.selection.build([event if kind.source is None else kind.source(event)])
                return self._encode({"data": {field.key: output}})
            except Exception:  # noqa: BLE001, S110 - told field by field below
                pass
        run = Run(self._compiled, None, self._values, event)
        (output,) = complete_now(run, field, [event], FieldFrame(_ROOT, field.key))
        result = run.result(output)
        return None if result.errors else self._encode({"data": {field.key: output}})

    def is_common(self, event: Any) -> bool:
        """Whether `execute` says the same of an event for all contexts that may see it."""
        shape = self._field.shape
        kind = kind_of(shape, type(event), trusted=True) if isinstance(shape, One) else None
        return kind is not None and kind.selection.is_common

    async def execute(self, context: Any, event: Any) -> ExecutionResult:
        """Run the operation for one event."""
        return await _event(Run(self._compiled, context, self._values, event), self._selection, event)


async def _event(run: Run, selection: Selection, event: Any) -> ExecutionResult:
    (field,) = selection.fields
    (output,) = await complete(run, field, [event], FieldFrame(_ROOT, field.key))
    return run.result(output if isinstance(output, Broken) else {field.key: output})

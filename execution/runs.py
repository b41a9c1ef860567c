"""One run of an operation: its context and variables, and the errors that it has met."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from graphql import (
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    located_error,
)
from graphql.execution.values import VariableValues
from graphql.pyutils import Path as CorePath
from graphql.pyutils import gather_with_cancel, is_awaitable
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.types.arguments import StrawberryArgument

from execution.frames import Frame, Path
from execution.plans import Field
from execution.shapes import MissingValue

_HELPERS = GraphQLResolveInfoHelpers(gather=lambda awaitables: gather_with_cancel(*awaitables), track=lambda _: None)


class Broken:
    """Stands for a value that must be null where the type forbids it: whoever holds it becomes null, or broken in turn."""

    __slots__ = ("error",)

    def __init__(self, error: GraphQLError) -> None:
        self.error = error


class Trace(Protocol):
    """Called around each batch and each plain resolver: `name` is `Type.field`, `parents` says for how many at once."""

    def __call__(self, name: str, parents: int) -> AbstractContextManager[object]: ...


class Compiled(NamedTuple):
    """What all runs of an operation share."""

    schema: GraphQLSchema
    document: DocumentNode
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]
    convert_arguments: Callable[[dict[str, Any], Any], dict[str, Any]]
    name_argument: Callable[[StrawberryArgument], str]
    hide_suggestions: bool
    trace: Trace | None
    refer: Callable[[str], None]


class Run:
    """The state of one run."""

    __slots__ = ("_errors", "broken", "compiled", "context", "root", "values")

    def __init__(self, compiled: Compiled, context: Any, values: VariableValues, root: Any) -> None:
        self.compiled = compiled
        self.context = context
        self.values = values
        self.root = root
        # Whether any value was ever broken: as long as none was, nobody looks for one.
        self.broken = False
        self._errors: list[tuple[GraphQLError, Path]] = []

    def break_(self, error: GraphQLError) -> Broken:
        """Make a broken value."""
        self.broken = True
        return Broken(error)

    def record(self, error: GraphQLError, path: Path) -> None:
        """Keep the error of a place that becomes null."""
        self._errors.append((error, path))

    def result(self, output: Any) -> ExecutionResult:
        """Make the result. What was lost together with its holder is told by the holder's error alone."""
        if isinstance(output, Broken):
            return ExecutionResult(None, [output.error])
        nulled = {tuple(path) for _, path in self._errors}
        errors = [error for error, path in self._errors if not any(tuple(path[:end]) in nulled for end in range(1, len(path)))]
        return ExecutionResult(output, errors or None)

    def info(self, field: Field, path: Sequence[str | int]) -> GraphQLResolveInfo[Any]:
        """Tell a resolver where it is, as graphql-core does."""
        compiled, keys = self.compiled, list(path)
        while isinstance(keys[-1], int):  # of an item of the field's list
            keys.pop()
        above: CorePath | None = None
        for key in keys[:-1]:
            above = CorePath(above, key, None)
        at = CorePath(above, field.key, field.parent.name)
        return GraphQLResolveInfo(
            field.name, field.nodes, field.definition.type, field.parent, at, compiled.schema, compiled.fragments, self.root,
            compiled.operation, self.values, self.context, is_awaitable, None, _HELPERS,
        )  # fmt: skip


class Place(NamedTuple):
    """Where values are completed: a field, and the frame that their indexes belong to."""

    run: Run
    field: Field
    frame: Frame

    def within(self, frame: Frame) -> "Place":
        """The same field, at other values."""
        return Place(self.run, self.field, frame)

    def fail(self, error: Exception, index: int, *, nonnull: bool) -> Broken | None:
        """Return the value of a place that failed: null with an error, or broken where it may not be null."""
        if isinstance(error, MissingValue):
            error = TypeError(f"Cannot return null for non-nullable field {self.field.parent.name}.{self.field.name}.")
        path = self.frame.path(index)
        located = located_error(error, self.field.nodes, path)
        if nonnull:
            return self.run.break_(located)
        self.run.record(located, path)
        return None

    def absorb(self, broken: Broken, index: int, *, nonnull: bool) -> Broken | None:
        """Return the value of a place that held a broken one: null with its error, or the broken one where it may not be null."""
        if nonnull:
            return broken
        self.run.record(broken.error, self.frame.path(index))
        return None

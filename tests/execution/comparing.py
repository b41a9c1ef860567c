"""What it means that two executions of one operation answer alike."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import (
    DirectiveNode,
    DocumentNode,
    ExecutionResult,
    Executor,
    GraphQLError,
    GraphQLNonNull,
    NameNode,
    OperationDefinitionNode,
)
from graphql.type.directives import GraphQLDisableErrorPropagationDirective

Path = tuple[str | int, ...]


class Fault(NamedTuple):
    """An error as a client sees it; equal when nothing about it differs."""

    path: Path | None
    message: str
    locations: tuple[tuple[int, int], ...]
    extensions: str

    @classmethod
    def of(cls, error: GraphQLError) -> "Fault":
        return cls(
            None if error.path is None else tuple(error.path),
            error.message,
            tuple((one.line, one.column) for one in error.locations or ()),
            text_of(error.extensions or {}),
        )


@dataclass(frozen=True)
class Answer:
    """What an execution gave; `data` is text, and `log` is what its side effects were, in their order."""

    data: str
    faults: Counter[Fault]
    log: tuple[str, ...] = ()

    @classmethod
    def of(cls, result: ExecutionResult, log: Sequence[str] = ()) -> "Answer":
        return cls(text_of(result.data), Counter(map(Fault.of, result.errors or ())), tuple(log))


def text_of(value: Any) -> str:
    """Spell JSON with its keys in their order, so that equal texts are equal answers: 1, 1.0 and true are three things."""
    return json.dumps(value, default=repr)


def without_propagation(document: DocumentNode, operation: OperationDefinitionNode) -> tuple[DocumentNode, OperationDefinitionNode]:
    """The same operation, in which no error takes more than its own field away: all that can fail does, and is told."""
    directive = DirectiveNode(name=NameNode(value=GraphQLDisableErrorPropagationDirective.name), arguments=())
    changed = OperationDefinitionNode(
        operation=operation.operation,
        name=operation.name,
        variable_definitions=operation.variable_definitions,
        directives=(*(operation.directives or ()), directive),
        selection_set=operation.selection_set,
        loc=operation.loc,
    )
    definitions = tuple(changed if one is operation else one for one in document.definitions)
    return DocumentNode(definitions=definitions, loc=document.loc), changed


class Types(dict[Path, Any]):
    """The type of every position that was executed."""

    def watching(self) -> type[Executor[Any]]:
        """Make an executor of graphql-core that writes the types down."""
        types = self

        class Watching(Executor[Any]):
            def execute_field(self, parent_type: Any, source: Any, details: Any, path: Any, position: Any) -> Any:
                field = self.schema.get_field(parent_type, details[0].node.name.value)
                types[tuple(path.as_list())] = field and field.type
                return super().execute_field(parent_type, source, details, path, position)

        return Watching

    def __missing__(self, path: Path) -> Any:
        """The type of an item is in its list's."""
        outer = self[path[:-1]]
        return (outer.of_type if isinstance(outer, GraphQLNonNull) else outer).of_type

    def emptied_by(self, fault: Fault) -> Path:
        """Return the position that an error takes away: its own, or the nearest above it that can be null."""
        path = fault.path or ()
        while path and isinstance(self[path], GraphQLNonNull):
            path = path[:-1]
        return path


@dataclass(frozen=True)
class Judge:
    """Compares answers to one operation. `possible` are all faults of it, as `without_propagation` finds them.

    Errors must be equal, with one allowance. An error at a position that cannot be null takes away everything from the nearest
    position above it that can be: that is what it *empties*. Where several errors empty one position, each side reports exactly
    one of them, and any will do: which comes first is the order of execution, which GraphQL leaves open. Errors that empty a
    position inside an emptied one were perhaps found before it was emptied and perhaps not: each side reports any of them,
    but at most one for each position. Mutations are `serial`: there the first root field that fails is the same for both.
    """

    types: Types
    possible: Counter[Fault]
    serial: bool = False

    def difference(self, one: Answer, other: Answer) -> str | None:
        """Say how two answers differ, or return None."""
        if one.data != other.data:
            at = next((at for at, (mine, theirs) in enumerate(zip(one.data, other.data, strict=False)) if mine != theirs), 0)
            return f"data after …{one.data[max(0, at - 100) : at]!r}: {one.data[at : at + 100]!r} and {other.data[at : at + 100]!r}"
        if one.log != other.log:
            return f"side effects: {one.log} and {other.log}"
        if one.faults == other.faults:
            return None
        if self.serial and one.data == "null" and self._fatal(one) != self._fatal(other):
            return f"errors: {one.faults} and {other.faults} end the mutations in two places"
        return self._contradiction(one) or self._contradiction(other)

    def _fatal(self, answer: Answer) -> set[str | int]:
        """Return the root field whose error emptied the whole answer."""
        return {fault.path[0] for fault in answer.faults if fault.path and not self.types.emptied_by(fault)}

    def _contradiction(self, answer: Answer) -> str | None:
        """Say what of an answer's errors cannot be, or return None."""
        if unknown := answer.faults - self.possible:
            return f"errors: {dict(unknown)} are none of {dict(self.possible)}"
        reported = Counter(map(self.types.emptied_by, answer.faults.elements()))
        if missing := _outermost(map(self.types.emptied_by, self.possible)) - set(reported):
            return f"errors: {dict(answer.faults)} tell nothing of {missing}"
        if crowded := [position for position, count in reported.items() if count > 1]:
            return f"errors: more than one of {dict(answer.faults)} empties {crowded}"
        return None


def _outermost(positions: Iterable[Path]) -> set[Path]:
    every = set(positions)
    return {one for one in every if not any(one[:length] in every for length in range(len(one)))}

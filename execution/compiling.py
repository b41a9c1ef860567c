"""Turns documents into operations, and says which ones it leaves to graphql-core."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
)
from strawberry import Schema
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from execution.budgets import Plans
from execution.operations import Operation
from execution.planning import Uncompilable
from execution.runs import Compiled, Trace

_KNOWN_DIRECTIVES: Final = ("skip", "include")
_INTROSPECTION: Final = ("__schema", "__type")
MOST_OPERATIONS: Final = 1000
# A planned field takes about a kilobyte with its code.
MOST_FIELDS: Final = 50_000
MOST_SWITCHES: Final = 32


class Compiler:
    """Compiles the operations of one schema and remembers them by a key of the caller's, such as the document's hash.

    `trace` is called around each batch and each plain resolver. `encode` writes JSON. Directives of operations that are `passed` say
    nothing of how one runs, as they would to graphql-core. `refer` is called with the reason when an
    operation that was compiled is run by graphql-core all the same. All plans together hold at most `most_fields` fields.
    """

    def __init__(  # noqa: PLR0913 - all that can be set
        self,
        schema: Schema,
        *,
        hide_suggestions: bool = False,
        trace: Trace | None = None,
        encode: Callable[[Any], bytes] = orjson.dumps,
        most_operations: int = MOST_OPERATIONS,
        most_fields: int = MOST_FIELDS,
        refer: Callable[[str], None] | None = None,
        passed: Collection[str] = (),
    ) -> None:
        self.schema: GraphQLSchema = schema._schema  # noqa: SLF001 - Strawberry offers graphql-core's schema under no other name
        self._strawberry = schema
        self._hide_suggestions = hide_suggestions
        self._trace = trace
        self._encode = encode
        self._most_operations = most_operations
        self._plans = Plans(most_fields)
        self._refer = refer or _nobody
        self._passed = frozenset(passed)
        self._kept: OrderedDict[tuple[str, str | None], Operation | str] = OrderedDict()

    def compile(self, document: DocumentNode, operation: OperationDefinitionNode) -> Operation:
        """Compile an operation of a document that has been validated; raises `Uncompilable`."""
        if self._strawberry.extensions:
            raise Uncompilable("schema extensions")
        fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
        if any(fragment.variable_definitions for fragment in fragments.values()):
            raise Uncompilable("fragment variables")
        if unknown := [one.name.value for one in operation.directives or () if one.name.value not in self._passed]:
            raise Uncompilable(f"@{unknown[0]}")
        switches: set[str] = set()
        for node in _nodes(operation, fragments):
            if isinstance(node, FieldNode) and node.name.value in _INTROSPECTION:
                raise Uncompilable("introspection")
            switches |= _switches(node)
        if len(switches) > MOST_SWITCHES:
            raise Uncompilable("too many switches")
        name_argument = self._strawberry.config.name_converter.from_argument
        compiled = Compiled(
            self.schema, document, operation, fragments, self._converted, name_argument, self._hide_suggestions, self._trace, self._refer
        )
        made = Operation(compiled, tuple(sorted(switches)), self._plans, encode=self._encode)
        made.plan()
        return made

    def compiled(self, key: str, document: DocumentNode, operation: OperationDefinitionNode) -> Operation:
        """Compile once for a key and the operation's name; raises `Uncompilable`."""
        name = (key, operation.name.value if operation.name else None)
        found = self._kept.get(name)
        if found is None:
            try:
                found = self.compile(document, operation)
            except Uncompilable as refused:
                found = refused.reason
            self._kept[name] = found
            if len(self._kept) > self._most_operations:
                self._forget(self._kept.popitem(last=False)[1])
        else:
            self._kept.move_to_end(name)
        if isinstance(found, str):
            # Anew: an exception that is raised again and again keeps every frame that it passed.
            raise Uncompilable(found)
        return found

    def forget(self, key: str) -> None:
        """Forget all operations that were compiled for a key: a document that is thrown away takes them with it."""
        for name in [one for one in self._kept if one[0] == key]:
            self._forget(self._kept.pop(name))

    @staticmethod
    def _forget(found: Operation | str) -> None:
        if isinstance(found, Operation):
            found.forget()

    def _converted(self, coerced: dict[str, Any], field: StrawberryField) -> dict[str, Any]:
        """Make Strawberry's arguments of graphql-core's: Python names, enums, input objects."""
        return convert_arguments(
            coerced, field.arguments, scalar_registry=self._strawberry.schema_converter.scalar_registry, config=self._strawberry.config
        )


def _nodes(operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]) -> Iterator[SelectionNode]:
    waiting: list[SelectionSetNode] = [operation.selection_set, *(fragment.selection_set for fragment in fragments.values())]
    while waiting:
        for node in waiting.pop().selections:
            yield node
            below = node.selection_set if isinstance(node, FieldNode | InlineFragmentNode) else None
            if below is not None:
                waiting.append(below)


def _switches(node: SelectionNode) -> set[str]:
    """Return the variables of a selection's `@skip` and `@include`; raises `Uncompilable` for any other directive."""
    found: set[str] = set()
    for directive in node.directives or ():
        if directive.name.value not in _KNOWN_DIRECTIVES:
            raise Uncompilable(f"@{directive.name.value}")
        found |= {given.value.name.value for given in directive.arguments or () if isinstance(given.value, VariableNode)}
    return found


def _nobody(reason: str) -> None:
    """Tell nobody."""

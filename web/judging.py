"""What documents are to the schema of this process, told to those who have not heard of GraphQL."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
)

from gateway.formats import digest_of
from gateway.judging import Appraised, Judged
from schema.fields import Scope
from web.costs import LARGEST_INT, Measure, Measures, Refused, check
from web.documents import TOO_DEEP, DocumentIsBad, Documents

KEPT: Final = 10_000
"""Of how many documents it is remembered what they are: a schema does not change while a process lives."""


class DocumentJudge:
    """Says of a document whether it can run, as whom and for how much."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._known: OrderedDict[bytes, Judged] = OrderedDict()

    def __call__(self, text: str) -> Judged:
        """Judge a document; its variables are taken to ask for lists of a usual size."""
        digest = digest_of(text)
        if (known := self._known.get(digest)) is None:
            known = self._known[digest] = self._judged(text)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        return known

    def known(self, sha256: bytes) -> Judged | None:
        """Say again what a document was found to be."""
        return self._known.get(sha256)

    def reads(self, text: str) -> bool:
        """Whether a document must be read first, since this process does not keep it."""
        return not self._documents.keeps(text)

    def appraise(self, text: str, operation_name: str | None, variables: Mapping[str, Any]) -> Appraised:
        """Measure an operation as the door does before it runs; nothing is remembered of it."""
        try:
            operation, measures = self._documents.read(text, operation_name)
            measure = measures.of(variables)
        except DocumentIsBad as bad:
            return Appraised(str(bad))
        except RecursionError:
            return Appraised(TOO_DEEP)
        name = operation.name.value if operation.name else None
        return Appraised(self._refusal(measure, operation), name, min(measure.cost, LARGEST_INT), measure.depth, measure.aliases)

    def _refusal(self, measure: Measure, operation: OperationDefinitionNode) -> str | None:
        try:
            check(measure, operation, self._documents.settings)
        except Refused as refused:
            return str(refused)
        return None

    def _judged(self, text: str) -> Judged:
        try:
            document = self._documents.examined(text)
            operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
            if len(operations) != 1:
                return Judged("A document has one operation.")
            measure = Measures(self._documents.schema, document, operations[0]).of({})
            check(measure, operations[0], self._documents.settings)
        except (DocumentIsBad, Refused) as bad:
            return Judged(str(bad))
        except RecursionError:
            return Judged(TOO_DEEP)
        name = operations[0].name.value if operations[0].name else ""
        return Judged(None, name, measure.cost, _is_public(self._documents.schema, document, operations[0]))


def _is_public(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> bool:
    """Whether whoever sends it needs no credential: nothing at its root asks for one."""
    fields = getattr(schema.get_root_type(operation.operation), "fields", {})
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    return not any(_is_guarded(fields[name]) for name in _names(operation.selection_set, fragments) if name in fields)


def _names(selections: SelectionSetNode, fragments: dict[str, FragmentDefinitionNode]) -> Iterator[str]:
    for node in selections.selections:
        if isinstance(node, FieldNode):
            yield node.name.value
        elif isinstance(node, FragmentSpreadNode):
            yield from _names(fragments[node.name.value].selection_set, fragments)
        else:
            yield from _names(getattr(node, "selection_set"), fragments)  # noqa: B009 - an inline fragment's


def _is_guarded(field: Any) -> bool:
    definition = field.extensions.get("strawberry-definition")
    return definition is None or any(isinstance(one, Scope) for one in definition.directives)

"""Whether a document's fields overlap so much that validating it would take long: checked first, in linear time.

graphql-core compares every two fields that answer under the same name (OverlappingFieldsCanBeMerged), and then their
selections together: 12 KB of one repeated field cost 4 s. This counts the pairs that it would compare.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from graphql import DocumentNode, FieldNode, FragmentDefinitionNode, FragmentSpreadNode, OperationDefinitionNode, SelectionSetNode

# Pairs cost about 15 microseconds each; documents of real clients have a few dozen.
MOST_PAIRS: Final = 1500
MOST_FIELDS: Final = 8000
MOST_LEVELS: Final = 100

Fragments = dict[str, FragmentDefinitionNode]


class _TooMany(Exception):
    """A bound was passed."""


class _Count:
    def __init__(self, fragments: Fragments) -> None:
        self._fragments = fragments
        self._pairs = 0
        self._fields = 0

    def merged(self, selections: list[SelectionSetNode], level: int = 0) -> None:
        """Count what is compared when these selections answer together, and below."""
        if level > MOST_LEVELS:
            raise _TooMany
        below: dict[str, list[SelectionSetNode]] = {}
        names: Counter[str] = Counter()
        for field in self._flat(selections):
            name = (field.alias or field.name).value
            self._pairs += names[name]
            names[name] += 1
            if self._pairs > MOST_PAIRS:
                raise _TooMany
            if field.selection_set:
                below.setdefault(name, []).append(field.selection_set)
        for inner in below.values():
            self.merged(inner, level + 1)

    def _flat(self, selections: list[SelectionSetNode]) -> Iterator[FieldNode]:
        """The fields of selections with their fragments, each fragment once, as they are collected for an answer."""
        waiting, seen = list(selections), set[str]()
        while waiting:
            for node in waiting.pop().selections:
                self._fields += 1
                if self._fields > MOST_FIELDS:
                    raise _TooMany
                if isinstance(node, FieldNode):
                    yield node
                elif isinstance(node, FragmentSpreadNode):
                    name = node.name.value
                    if name not in seen and name in self._fragments:
                        seen.add(name)
                        waiting.append(self._fragments[name].selection_set)
                else:
                    waiting.append(node.selection_set)  # type: ignore[attr-defined] # an inline fragment is all that is left


def crowded(document: DocumentNode) -> bool:
    """Whether comparing the document's overlapping fields would take long."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    count = _Count(fragments)
    try:
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode):
                count.merged([node.selection_set])
    except (_TooMany, RecursionError):
        return True
    return False

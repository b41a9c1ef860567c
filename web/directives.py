"""How many directives stand at one place: each costs validation time, and one that is unknown an error of its own."""

from typing import Any

from graphql import DocumentNode


def most_directives(document: DocumentNode) -> int:
    """Count the directives of the place that has most of them."""
    most, waiting = 0, list[Any](document.definitions)
    while waiting:
        node = waiting.pop()
        most = max(most, len(node.directives or ()))
        waiting += getattr(node, "variable_definitions", None) or ()
        if (inner := getattr(node, "selection_set", None)) is not None:
            waiting += inner.selections
    return most

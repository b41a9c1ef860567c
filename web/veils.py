"""What is told of a schema that is closed: where something does not fit it, and never what would.

Without suggestions graphql-core's messages still name what there is: `Field 'viewer' of type 'Viewer!' must have a selection of
subfields`, `Argument 'Query.models(first:)' of type 'Int!' is required`, `Field 'email' of required type 'String!' was not provided`.
Miners of schemas live on these as well. And of several mistakes only the first is told, or a document could try many names at once.
"""

from collections.abc import Sequence
from typing import Final

from graphql import (
    ASTValidationRule,
    DocumentNode,
    ExecutableDefinitionsRule,
    GraphQLError,
    GraphQLSchema,
    KnownFragmentNamesRule,
    LoneAnonymousOperationRule,
    NoFragmentCyclesRule,
    NoSchemaIntrospectionCustomRule,
    NoUndefinedVariablesRule,
    NoUnusedFragmentsRule,
    NoUnusedVariablesRule,
    UniqueArgumentNamesRule,
    UniqueFragmentNamesRule,
    UniqueInputFieldNamesRule,
    UniqueOperationNamesRule,
    UniqueVariableNamesRule,
    validate,
)

from web.answers import cause_of
from web.keeping import TtlIsWritten

VEIL: Final = "This does not fit the schema, which is closed."
_OF_THE_DOCUMENT_ALONE: Final[tuple[type[ASTValidationRule], ...]] = (
    ExecutableDefinitionsRule,
    KnownFragmentNamesRule,
    LoneAnonymousOperationRule,
    NoFragmentCyclesRule,
    NoSchemaIntrospectionCustomRule,
    NoUndefinedVariablesRule,
    NoUnusedFragmentsRule,
    NoUnusedVariablesRule,
    TtlIsWritten,
    UniqueArgumentNamesRule,
    UniqueFragmentNamesRule,
    UniqueInputFieldNamesRule,
    UniqueOperationNamesRule,
    UniqueVariableNamesRule,
)
"""Rules whose messages name only what the client itself has written."""


def veiled(schema: GraphQLSchema, document: DocumentNode, error: GraphQLError) -> list[GraphQLError]:
    """Say what is wrong with a document: in full where that is the document's own matter, else only where its first mistake is."""
    return validate(schema, document, _OF_THE_DOCUMENT_ALONE, max_errors=1)[:1] or [_veil(error)]


def veiled_result(errors: Sequence[GraphQLError]) -> list[GraphQLError]:
    """Say of a result's errors no more of the schema: what has no path did not fit it, above all variables. The first speaks for all."""
    told = [error for error in errors if error.path or cause_of(error)]
    misfits = [error for error in errors if not (error.path or cause_of(error))]
    return [*map(_veil, misfits[:1]), *told]


def _veil(error: GraphQLError) -> GraphQLError:
    return GraphQLError(VEIL, nodes=error.nodes, source=error.source, positions=error.positions)

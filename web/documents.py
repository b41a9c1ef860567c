"""Documents: parsed, validated and measured before anything runs, and remembered by their text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)

from errors import Code
from settings import Settings
from telemetry.metrics import LOOKUPS
from web.costs import Measures, Refused, check, check_variables
from web.directives import most_directives
from web.keeping import Keeping, TtlIsWritten
from web.overlaps import crowded
from web.shelves import Origin, Shelves
from web.spending import Shares
from web.veils import veiled

MOST_ERRORS: Final = 10
RULES: Final = (*specified_rules, TtlIsWritten)
_HITS, _MISSES = LOOKUPS.of("documents", "hit"), LOOKUPS.of("documents", "miss")
TOO_DEEP: Final = "The document is nested too deeply."
UNNAMED: Final = "Name one of the document's operations in `operationName`."


class DocumentIsBad(Exception):
    """The document cannot run: syntax, validation, limits, or no single operation; `status` as GraphQL over HTTP has it."""

    def __init__(self, errors: list[GraphQLError], *, status: int) -> None:
        super().__init__(errors[0].message)
        self.errors = errors
        self.status = status

    @property
    def result(self) -> ExecutionResult:
        return ExecutionResult(data=None, errors=self.errors)


class _Kept:
    """A document that is valid, with its operations by name."""

    def __init__(self, document: DocumentNode) -> None:
        self.document = document
        self.operations: dict[str | None, tuple[OperationDefinitionNode, Measures, Keeping | None]] = {}


@dataclass(frozen=True)
class Prepared:
    """A document that may run."""

    text: str
    document: DocumentNode
    operation: OperationDefinitionNode
    cost: int
    shares: Shares
    keeping: Keeping | None = None

    @property
    def kind(self) -> OperationType:
        return self.operation.operation


class Documents:
    """Prepares documents for one schema; parsing and validation are done once for each text."""

    def __init__(self, schema: GraphQLSchema, settings: Settings, *, is_open: bool = True) -> None:
        self.schema = schema
        self.settings = settings
        # Whether the schema is told: when it is asked for, and in what is said of mistakes.
        self.is_open = is_open and settings.introspection
        self.shelves: Shelves[_Kept] = Shelves(documents=settings.graphql_cached_documents, characters=settings.graphql_cached_characters)

    def prepare(self, text: str, operation_name: str | None, variables: Mapping[str, Any], origin: Origin = Origin.MEMBER) -> Prepared:
        """Make a document ready; raises `DocumentIsBad`."""
        kept = self._document(text, origin)
        operation, measures, keeping = self._operation(text, kept, operation_name)
        try:
            check_variables(variables, self.settings)
            measure = measures.of(variables)
            check(measure, operation, self.settings)
        except RecursionError:
            raise _too_deep(422) from None
        except Refused as refused:
            error = GraphQLError(str(refused), extensions={"code": refused.code, **refused.numbers})
            raise DocumentIsBad([error], status=422) from refused
        self.shelves.keep(text, kept, origin)
        return Prepared(text, kept.document, operation, measure.cost, measures.shares, keeping)

    def examined(self, text: str) -> DocumentNode:
        """Parse and validate a document; raises `DocumentIsBad`."""
        return self._document(text, Origin.ANYBODY).document

    def read(self, text: str, operation_name: str | None) -> tuple[OperationDefinitionNode, Measures]:
        """Find an operation of a document, and what measures it; raises `DocumentIsBad`, and keeps nothing that was not kept before."""
        operation, measures, _ = self._operation(text, self._document(text, Origin.ANYBODY), operation_name)
        return operation, measures

    def keeps(self, text: str) -> bool:
        """Whether a document is kept."""
        return text in self.shelves

    def _operation(self, text: str, kept: _Kept, name: str | None) -> tuple[OperationDefinitionNode, Measures, Keeping | None]:
        if (known := kept.operations.get(name)) is not None:
            return known
        operation = get_operation_ast(kept.document, name)
        if operation is None:
            raise DocumentIsBad([GraphQLError(UNNAMED, extensions={"code": Code.BAD_USER_INPUT})], status=422)
        keeping = Keeping.of(self.schema, text, kept.document, operation)
        known = kept.operations[name] = operation, Measures(self.schema, kept.document, operation), keeping
        return known

    def _document(self, text: str, origin: Origin) -> _Kept:
        if (kept := self.shelves.find(text, origin)) is not None:
            _HITS.value += 1
            return kept
        _MISSES.value += 1
        try:
            document = parse(text, max_tokens=self.settings.graphql_max_tokens)
        except GraphQLError as error:
            raise DocumentIsBad([_coded(error, Code.GRAPHQL_PARSE_FAILED)], status=400) from error
        except RecursionError:
            raise _too_deep(400) from None
        if crowded(document):
            raise DocumentIsBad([GraphQLError("Too many fields overlap.", extensions={"code": Code.COST_LIMIT})], status=422)
        if "@" in text and (count := most_directives(document)) > (most := self.settings.graphql_max_directives):
            extensions = {"code": Code.COST_LIMIT, "requested": count, "maximum": most}
            raise DocumentIsBad([GraphQLError("There are too many directives at one place.", extensions=extensions)], status=422)
        if errors := self._mistakes(document):
            raise DocumentIsBad([_coded(error, Code.GRAPHQL_VALIDATION_FAILED) for error in errors], status=422)
        return _Kept(document)

    def _mistakes(self, document: DocumentNode) -> list[GraphQLError]:
        """Validate a document. Of a schema that is closed nothing is told, and so no more than one mistake looked for."""
        if self.is_open:
            return validate(self.schema, document, RULES, max_errors=MOST_ERRORS)
        errors = validate(self.schema, document, (*RULES, NoSchemaIntrospectionCustomRule), max_errors=1, hide_suggestions=True)
        return veiled(self.schema, document, errors[0]) if errors else []


def _coded(error: GraphQLError, code: Code) -> GraphQLError:
    error.extensions = {**(error.extensions or {}), "code": code}
    return error


def _too_deep(status: int) -> DocumentIsBad:
    return DocumentIsBad([GraphQLError(TOO_DEEP, extensions={"code": Code.DEPTH_LIMIT})], status=status)

"""Documents: parsed, validated and measured before anything runs, and remembered by their text."""

from collections import OrderedDict
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

from settings import Settings
from web.costs import Measuring, Refused, check

MOST_ERRORS: Final = 10


class DocumentIsBad(Exception):
    """The document cannot run: syntax, validation, limits, or no single operation; `status` as GraphQL over HTTP has it."""

    def __init__(self, errors: list[GraphQLError], *, status: int) -> None:
        super().__init__(errors[0].message)
        self.errors = errors
        self.status = status

    @property
    def result(self) -> ExecutionResult:
        return ExecutionResult(data=None, errors=self.errors)


@dataclass(frozen=True)
class Prepared:
    """A document that may run."""

    document: DocumentNode
    operation: OperationDefinitionNode
    cost: int

    @property
    def kind(self) -> OperationType:
        return self.operation.operation


class Documents:
    """Prepares documents for one schema; parsing and validation are done once for each text."""

    def __init__(self, schema: GraphQLSchema, settings: Settings) -> None:
        self._schema = schema
        self._settings = settings
        self._rules = specified_rules if settings.introspection else (*specified_rules, NoSchemaIntrospectionCustomRule)
        self._valid: OrderedDict[str, DocumentNode] = OrderedDict()

    def prepare(self, text: str, operation_name: str | None, variables: Mapping[str, Any]) -> Prepared:
        """Make a document ready; raises `DocumentIsBad`."""
        document = self._document(text)
        operation = get_operation_ast(document, operation_name)
        if operation is None:
            message = "Name one of the document's operations in `operationName`."
            raise DocumentIsBad([GraphQLError(message, extensions={"code": "BAD_USER_INPUT"})], status=422)
        measure = Measuring(self._schema, document, variables).operation(operation)
        try:
            check(measure, operation, self._settings)
        except Refused as refused:
            error = GraphQLError(str(refused), extensions={"code": refused.code, **refused.numbers})
            raise DocumentIsBad([error], status=422) from refused
        return Prepared(document, operation, measure.cost)

    def _document(self, text: str) -> DocumentNode:
        if (document := self._valid.get(text)) is not None:
            self._valid.move_to_end(text)
            return document
        try:
            document = parse(text, max_tokens=self._settings.graphql_max_tokens)
        except GraphQLError as error:
            raise DocumentIsBad([_coded(error, "GRAPHQL_PARSE_FAILED")], status=400) from error
        except RecursionError:
            deep = GraphQLError("The document is nested too deeply.", extensions={"code": "DEPTH_LIMIT"})
            raise DocumentIsBad([deep], status=400) from None
        errors = validate(self._schema, document, self._rules, max_errors=MOST_ERRORS, hide_suggestions=not self._settings.introspection)
        if errors:
            raise DocumentIsBad([_coded(error, "GRAPHQL_VALIDATION_FAILED") for error in errors], status=422)
        self._valid[text] = document
        if len(self._valid) > self._settings.graphql_cached_documents:
            self._valid.popitem(last=False)
        return document


def _coded(error: GraphQLError, code: str) -> GraphQLError:
    error.extensions = {**(error.extensions or {}), "code": code}
    return error

"""What HTTP and WebSocket share: the schema, the prepared documents, the process's works, and how an operation runs."""

from collections.abc import AsyncIterator
from typing import Any

from graphql import ExecutionResult, OperationType, execute, subscribe
from strawberry import Schema

from auth.viewers import Viewer
from errors import Unauthenticated
from resolvers.operations import Caller, Operation
from settings import Settings
from web.documents import Documents, Prepared
from web.works import Process


class Door:
    """Runs operations for callers. `process` is there once the application has started."""

    def __init__(self, settings: Settings, schema: Schema) -> None:
        self.settings = settings
        self.schema = schema._schema  # noqa: SLF001 - Strawberry offers graphql-core's schema under no other name
        self.documents = Documents(self.schema, settings)
        self.opened: Process | None = None

    @property
    def process(self) -> Process:
        assert self.opened is not None, "the application's lifespan opens the process"
        return self.opened

    def operation(self, caller: Caller, viewer: "Viewer | Unauthenticated | None") -> Operation:
        """Make the context of one operation; a refused cookie lets only public fields run."""
        if isinstance(viewer, Unauthenticated):
            return Operation(works=self.process.works, caller=caller, credential=None, refusal=viewer)
        return Operation(works=self.process.works, caller=caller, credential=viewer)

    async def run(self, prepared: Prepared, operation: Operation, variables: dict[str, Any]) -> ExecutionResult:
        """Run a query or a mutation to its end."""
        result = execute(
            self.schema,
            prepared.document,
            context_value=operation,
            variable_values=variables,
            operation_name=_name(prepared),
            hide_suggestions=not self.settings.introspection,
        )
        return result if isinstance(result, ExecutionResult) else await result

    async def follow(
        self, prepared: Prepared, operation: Operation, variables: dict[str, Any]
    ) -> "AsyncIterator[ExecutionResult] | ExecutionResult":
        """Begin a subscription; a result at once means that it could not begin."""
        assert prepared.kind is OperationType.SUBSCRIPTION
        begun = subscribe(
            self.schema, prepared.document, context_value=operation, variable_values=variables, operation_name=_name(prepared),
            hide_suggestions=not self.settings.introspection,
        )  # fmt: skip
        if isinstance(begun, ExecutionResult | AsyncIterator):
            return begun
        return await begun


def _name(prepared: Prepared) -> str | None:
    return prepared.operation.name.value if prepared.operation.name else None

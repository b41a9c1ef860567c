"""What HTTP and WebSocket share: the schema, the prepared documents, the process's works, and how an operation runs."""

from collections.abc import AsyncIterable, Collection
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final

from graphql import ExecutionResult, Executor, OperationType, create_source_event_stream, execute
from strawberry import Schema

from auth.rates import CREDENTIAL, STRANGER, Charge
from auth.viewers import Viewer
from errors import Code, RateLimited, Unauthenticated
from execution import Compiler, Uncompilable
from execution import Operation as CompiledOperation
from resolvers.documents import reading_points
from resolvers.operations import Caller, Operation
from schema.caching import CACHED
from settings import Settings
from web import persisted
from web.answers import code_of_result
from web.callers import known_viewer, viewer_of_token
from web.crowds import Crowds
from web.documents import Documents, Prepared
from web.metrics import ACTUAL, COMPILED, FALLBACKS, OPERATIONS, REQUESTED, THROTTLED
from web.requests import Asked, BadRequest
from web.shelves import Origin
from web.subscribers import Subscribers
from web.subscriptions import Subscription
from web.veils import veiled_result
from web.works import Process

ANY_KIND: Final = frozenset(OperationType)
_COMPILED: Final = COMPILED.of()


class Desk:
    """The schema as it is shown to some: open, or to who may neither read it nor be helped with its names."""

    def __init__(self, settings: Settings, schema: Schema, *, is_open: bool) -> None:
        self.documents = Documents(schema._schema, settings, is_open=is_open)  # noqa: SLF001 - graphql-core's schema has no other name
        self.compiler = Compiler(
            schema,
            hide_suggestions=not self.documents.is_open,
            most_operations=settings.graphql_cached_documents,
            most_fields=settings.graphql_planned_fields,
            refer=_count_fallback,
            passed=[CACHED],
        )
        self.documents.shelves.forgotten = self.compiler.forget


class Door:
    """Runs operations for callers. `process` is there once the application has started."""

    def __init__(self, settings: Settings, schema: Schema) -> None:
        self.settings = settings
        self._open = Desk(settings, schema, is_open=True)
        self._closed = Desk(settings, schema, is_open=False) if settings.introspection else self._open
        self.documents, self.compiler = self._open.documents, self._open.compiler
        self.schema = self.documents.schema
        self.subscribers = Subscribers(settings)
        self.crowds = Crowds(settings.address_max_connections)
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

    async def admit(
        self, asked: Asked, caller: Caller, viewer: "Viewer | Unauthenticated | None", kinds: Collection[OperationType] = ANY_KIND
    ) -> tuple[Prepared, Operation]:
        """Charge the caller and make an operation of one of these kinds ready.

        Raises `BadRequest`, `DocumentIsBad` and `RateLimited`, and then nothing runs.
        """
        operation = self.operation(caller, viewer)
        text = await self._text(asked, operation)
        prepared = self._desk(operation).documents.prepare(text, asked.operation_name, asked.variables, _origin(asked, operation))
        if prepared.kind not in kinds:
            raise _misplaced(prepared.kind)
        operation.charge = await self._charge(operation, prepared.cost)
        operation.is_query = prepared.kind is OperationType.QUERY
        operation.document = prepared.text
        return prepared, operation

    async def viewer_of(self, token: str, caller: Caller) -> Viewer:
        """Find out whom a token stands for; raises `Unauthenticated` and `RateLimited`.

        One that this process does not know is looked up in the database: its address pays for that, from a bucket of its own, and gets
        it back unless the token turns out to stand for nobody.
        """
        if (known := known_viewer(self.process.works, token)) is not None:
            return known
        charge = await self._charge(self.operation(caller, None), self.settings.graphql_unknown_points, stranger=CREDENTIAL)
        cost = 0
        try:
            return await viewer_of_token(self.process.works, token)
        except Unauthenticated:
            cost = charge.requested
            raise
        finally:
            self.process.works.rates.refund(charge, cost)

    async def _text(self, asked: Asked, operation: Operation) -> str:
        """Find the document. One that is not known yet is paid for before it is looked up or read, whatever becomes of it."""
        text = persisted.known(asked, operation)
        if text is None or not self._desk(operation).documents.keeps(text):
            await self._charge_reading(operation, asked.query if text is None else text)
        return await persisted.found(asked, operation) if text is None else text

    async def _charge(self, operation: Operation, points: int, *, stranger: str = STRANGER) -> Charge:
        try:
            return await self.process.works.rates.charge(operation.credential, operation.caller.address, points, stranger=stranger)
        except RateLimited as refused:
            THROTTLED.add(1, refused.bucket)
            raise

    async def _charge_reading(self, operation: Operation, text: str) -> None:
        if points := reading_points(text, self.settings):
            await self._charge(operation, points)

    async def turn_away(self, caller: Caller, viewer: Viewer | None) -> None:
        """Charge a caller for what is refused before its document is looked at; raises `RateLimited`."""
        await self._charge(self.operation(caller, viewer), max(1, self.settings.graphql_unknown_points))

    def _desk(self, operation: Operation) -> Desk:
        """Return the schema as this caller's tenant lets it be seen."""
        return self._closed if operation.credential is not None and operation.credential.schema_closed else self._open

    def compiled(self, prepared: Prepared, desk: Desk | None = None) -> CompiledOperation | None:
        """Return the compiled operation; None for those that graphql-core runs."""
        desk = desk or self._open
        if self.settings.execution == "reference":
            return None
        try:
            if desk.documents.keeps(prepared.text):
                return desk.compiler.compiled(prepared.text, prepared.document, prepared.operation)
            return desk.compiler.compile(prepared.document, prepared.operation)
        except Uncompilable as refused:
            _count_fallback(refused.reason)
            return None

    async def run(self, prepared: Prepared, operation: Operation, variables: dict[str, Any]) -> ExecutionResult:
        """Run a query or a mutation to its end, and give back what it did not cost."""
        running = self._changing if prepared.kind is OperationType.MUTATION else self._executed
        began = perf_counter()
        result = self._shown(await running(prepared, operation, variables), operation)
        outcome = "ok" if not result.errors else "failed" if result.data is None else "partial"
        OPERATIONS.record(perf_counter() - began, prepared.kind.value, outcome, code_of_result(result))
        if (charge := operation.charge) is not None:
            self.settle(operation, result, prepared.shares.of(charge.requested, result.data))
        return result

    def settle(self, operation: Operation, result: ExecutionResult, cost: int) -> None:
        """Give back what an operation did not cost, and say in its result what it did."""
        if (charge := operation.charge) is not None:
            self.process.works.rates.refund(charge, cost)
            kind = (OperationType.QUERY if operation.is_query else OperationType.MUTATION).value
            REQUESTED.add(charge.requested, kind)
            ACTUAL.add(charge.cost, kind)
            result.extensions = {**(result.extensions or {}), "cost": {"requested": charge.requested, "actual": charge.cost}}

    async def _changing(self, prepared: Prepared, operation: Operation, variables: dict[str, Any]) -> ExecutionResult:
        """Run a mutation. Whatever became of it, nobody is given what was kept before it once it is answered."""
        before = operation.credential
        try:
            return await self._executed(prepared, operation, variables)
        finally:
            for tenant_id in {one.tenant_id for one in (before, operation.credential) if one is not None}:
                await self.process.versions.renew(tenant_id)

    def _shown(self, result: ExecutionResult, operation: Operation) -> ExecutionResult:
        """Say no more of the schema than the caller's tenant lets be seen."""
        if result.errors and not self._desk(operation).documents.is_open:
            result.errors = veiled_result(result.errors)
        return result

    async def _executed(self, prepared: Prepared, operation: Operation, variables: dict[str, Any]) -> ExecutionResult:
        if (compiled := await self._planned(prepared, operation, variables)) is not None:
            _COMPILED.value += 1
            return await compiled.execute(operation, variables)
        result = execute(
            self.schema,
            prepared.document,
            context_value=operation,
            variable_values=variables,
            operation_name=_name(prepared),
            hide_suggestions=not self._desk(operation).documents.is_open,
        )
        return result if isinstance(result, ExecutionResult) else await result

    async def _planned(self, prepared: Prepared, operation: Operation, variables: dict[str, Any]) -> CompiledOperation | None:
        """Return the compiled operation. Each set of its switches needs a plan: who is signed in pays for one as for a new document.

        For whom nobody vouches none is made: graphql-core, which asks the guards before it looks any further, answers them.
        """
        desk = self._desk(operation)
        if operation.credential is None and not desk.documents.keeps(prepared.text):
            return None
        compiled = self.compiled(prepared, desk)
        if compiled is None or compiled.is_planned(variables):
            return compiled
        if operation.credential is None:
            return None
        await self._charge_reading(operation, prepared.text)
        return compiled

    async def follow(self, prepared: Prepared, operation: Operation, variables: dict[str, Any]) -> Subscription | ExecutionResult:
        """Begin a subscription; a result means that it could not begin."""
        assert prepared.kind is OperationType.SUBSCRIPTION
        if operation.charge is not None:  # of which nothing comes back
            REQUESTED.add(operation.charge.requested, prepared.kind.value)
            ACTUAL.add(operation.charge.cost, prepared.kind.value)
        executor = Executor.build(
            self.schema, prepared.document, context_value=operation, raw_variable_values=variables, operation_name=_name(prepared),
            hide_suggestions=not self._desk(operation).documents.is_open,
        )  # fmt: skip
        if isinstance(executor, list):
            return self._shown(ExecutionResult(data=None, errors=executor), operation)
        begun = create_source_event_stream(executor)
        source = begun if isinstance(begun, ExecutionResult | AsyncIterable) else await begun
        if isinstance(source, ExecutionResult):
            return source
        compiled = self.compiled(prepared, self._desk(operation))
        tail = None if compiled is None else compiled.tail(variables)
        return Subscription(source=source, executor=executor, context=operation, tail=tail)


def _origin(asked: Asked, operation: Operation) -> Origin:
    if asked.named is not None:
        return Origin.PUBLISHED
    return Origin.ANYBODY if operation.credential is None else Origin.MEMBER


def _misplaced(kind: OperationType) -> BadRequest:
    """Say where an operation of this kind belongs."""
    if kind is OperationType.SUBSCRIPTION:
        where = "Subscriptions are served over WebSocket (graphql-transport-ws) and as text/event-stream."
        return BadRequest(HTTPStatus.NOT_ACCEPTABLE, Code.NOT_ACCEPTABLE, where)
    return BadRequest(HTTPStatus.METHOD_NOT_ALLOWED, Code.METHOD_NOT_ALLOWED, "Mutations are sent by POST.", allow="POST")


def _count_fallback(reason: str) -> None:
    FALLBACKS.add(1, reason)


def _name(prepared: Prepared) -> str | None:
    return prepared.operation.name.value if prepared.operation.name else None

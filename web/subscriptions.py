"""A subscription that has begun: where its events come from, and what each of them looks like in its selection."""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Final, Protocol, runtime_checkable

import orjson
from graphql import ExecutionResult, Executor

from chat.followers import Sink
from chat.views import Told
from execution import Tail
from web.answers import answer, is_outage
from web.frames import Payload

LONGEST_OUTAGE: Final = 30.0
OUTAGE_PAUSE: Final = 0.5


@runtime_checkable
class Live(Protocol):
    """A source whose events are shared by all who follow it, and can reach a sink without a task being woken."""

    def told(self, sink: Sink | None = None) -> AsyncGenerator[Told, None]:
        """Yield the events that the sink does not take."""

    def dressed(self, told: Told) -> Any:
        """Return an event as the schema knows it."""


@runtime_checkable
class Common(Live, Protocol):
    """A live source of whose events much is the same to whoever is told them, though it must be looked up."""

    def for_all(self, told: Told) -> Any:
        """Return the context in which that is looked up."""

    def renew(self, told: Told) -> None:
        """Forget what could not be looked up."""


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """Makes the results of events; without a `tail` graphql-core makes each of them, and nothing is shared."""

    source: AsyncIterable[Any]
    executor: Executor[Any]
    context: Any
    tail: Tail | None = None

    def shared(self, source: Live, told: Told) -> Payload | None:
        """Return what all with this selection are told, or None where each must be told by itself."""
        tail = self.tail
        if tail is None:
            return None
        if (known := told.made.get(tail.key)) is None:
            body = _body(tail, source, told)
            # The tail stays with what it made: a key may be the identity of something that it keeps alive.
            known = told.made[tail.key] = (tail, None if body is None else Payload(body))
        payload: Payload | None = known[1]
        return payload

    async def told(self, source: Live, told: Told, request_id: str) -> Payload:
        """Return what is told of an event, made once for all for whom it is the same; it waits a while for a server that is away."""
        if (payload := self.shared(source, told)) is not None:
            return payload
        time = asyncio.get_running_loop().time
        until = time() + LONGEST_OUTAGE
        while True:
            found = await self._looked_up(source, told)
            if isinstance(found, Payload):
                return found
            if not isinstance(source, Common) or not is_outage(found) or time() > until:
                return payload_of(found, request_id)
            await asyncio.sleep(OUTAGE_PAUSE)
            source.renew(told)

    async def _looked_up(self, source: Live, told: Told) -> Payload | ExecutionResult:
        event = source.dressed(told)
        if self.tail is None or not isinstance(source, Common) or not self.tail.is_common(event):
            return await self.result(event)
        key = self.tail.key, "common"
        if (making := told.made.get(key)) is None:
            # In a task of its own: whoever asked first may go, and others wait for it.
            task = asyncio.create_task(self._made(self.tail, source.for_all(told), event), context=contextvars.Context())
            making = told.made[key] = (self.tail, task)
        made: Payload | ExecutionResult = await asyncio.shield(making[1])
        if isinstance(made, Payload):
            return made
        if told.made.get(key) is making:
            del told.made[key]
        return made if is_outage(made) else await self.result(event)

    async def _made(self, tail: Tail, context: Any, event: Any) -> Payload | ExecutionResult:
        result = await tail.execute(context, event)
        return result if result.errors else payload_of(result, "")

    async def result(self, event: Any) -> ExecutionResult:
        """Run the operation for one event."""
        if self.tail is not None:
            return await self.tail.execute(self.context, event)
        result: Any = self.executor.build_per_event_executor(event).execute_operation(serially=False)
        done: ExecutionResult = await result if isawaitable(result) else result
        return done


def payload_of(result: ExecutionResult, request_id: str) -> Payload:
    """Write a result."""
    return Payload(orjson.dumps(answer(result, request_id), default=str))


def _body(tail: Tail, source: Live, told: Told) -> bytes | None:
    try:
        return tail.shared(source.dressed(told))
    except Exception:  # noqa: BLE001 - whatever it is, the operation itself meets it and tells it
        return None

"""A subscription that has begun: where its events come from, and what each of them looks like in its selection."""

from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Protocol, runtime_checkable

import orjson
from graphql import ExecutionResult, Executor

from chat.followers import Sink
from chat.views import Told
from execution import Tail
from web.answers import answer
from web.frames import Payload


@runtime_checkable
class Live(Protocol):
    """A source whose events are shared by all who follow it, and can reach a sink without a task being woken."""

    def told(self, sink: Sink | None = None) -> AsyncGenerator[Told, None]:
        """Yield the events that the sink does not take."""

    def dressed(self, told: Told) -> Any:
        """Return an event as the schema knows it."""


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

"""One operation on a socket: answered once, or told of events until it ends."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Coroutine, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol

import orjson
from graphql import ExecutionResult, GraphQLError, OperationType

from auth.viewers import Viewer
from chat.views import Told
from errors import Code
from resolvers.operations import Caller, Operation
from web.answers import answer, count_refusal, refusal, safe_error
from web.closings import Closing
from web.documents import DocumentIsBad, Prepared
from web.door import Door
from web.frames import Payload
from web.metrics import EVENTS
from web.requests import Asked, BadRequest, well_formed
from web.subscriptions import Live, Subscription, payload_of

_TOLD: Final = EVENTS.of()


class Way(Protocol):
    """The way out to a client; `is_direct` where frames can be put without waiting, `crowded` while it reads too slowly."""

    crowded: bool

    @property
    def is_direct(self) -> bool: ...

    def put(self, frames: bytes) -> None:
        """Write frames, only where `is_direct` and not `crowded`."""

    async def tell(self, operation_id: str, payload: Payload) -> None:
        """Say `next`."""

    async def say(self, message: dict[str, Any]) -> None:
        """Say anything else."""


class Stream:
    """Says `next` for each result, then `complete`; `error` when the operation could not begin or broke."""

    def __init__(self, door: Door, writer: Way, caller: Caller, operation_id: str) -> None:
        self._door = door
        self._writer = writer
        self._caller = caller
        self._id = operation_id
        self._id_in_json = sys.intern(orjson.dumps(operation_id).decode())
        self._outlet: Outlet | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, payload: dict[str, Any] | None, viewer: Viewer | None) -> "asyncio.Task[None]":
        """Begin the operation that a client sent."""
        self._task = asyncio.create_task(self._serve(payload, viewer))
        return self._task

    async def turn_away(self, viewer: Viewer | None) -> None:
        """Refuse the operation as one too many: at once and not beside, so that no more is heard until the client has read that."""
        await self._whole(self._turned_away(viewer))

    def stop(self) -> None:
        """Say nothing more from this moment on."""
        if self._outlet is not None:
            self._outlet.close()
        if self._task is not None:
            self._task.cancel()

    async def follow(self, prepared: Prepared, operation: Operation, variables: dict[str, Any]) -> None:
        """Follow a subscription that was admitted already."""
        await self._whole(self._follow(prepared, operation, variables))

    async def _serve(self, payload: dict[str, Any] | None, viewer: Viewer | None) -> None:
        await self._whole(self._run(payload, viewer))

    async def _whole(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work, and say how it ended."""
        try:
            await work
        except Closing:
            raise
        except BadRequest as bad:
            await self._fail(refusal(bad.code, str(bad))["errors"])
        except DocumentIsBad as bad:
            await self._fail(answer(bad.result, "")["errors"])
        except CouldNotBegin as could_not:
            await self._fail(answer(could_not.result, self._caller.request_id)["errors"])
        except Exception as error:  # noqa: BLE001 - whatever breaks a subscription is told, masked, and breaks nothing else
            await self._fail([safe_error(GraphQLError(str(error), original_error=error), self._caller.request_id)])
        else:
            await self._writer.say({"type": "complete", "id": self._id})

    async def _turned_away(self, viewer: Viewer | None) -> None:
        await self._door.turn_away(self._caller, viewer)
        most = self._door.settings.socket_max_subscriptions
        raise BadRequest(HTTPStatus.BAD_REQUEST, Code.SUBSCRIPTION_LIMIT, f"A socket has at most {most} operations at once.")

    async def _asked(self, payload: dict[str, Any] | None, viewer: Viewer | None) -> Asked:
        try:
            return well_formed(payload)
        except BadRequest:
            await self._door.turn_away(self._caller, viewer)
            raise

    async def _fail(self, errors: list[dict[str, Any]]) -> None:
        count_refusal(errors)
        await self._writer.say({"type": "error", "id": self._id, "payload": errors})

    async def _run(self, payload: dict[str, Any] | None, viewer: Viewer | None) -> None:
        asked = await self._asked(payload, viewer)
        prepared, operation = await self._door.admit(asked, self._caller, viewer)
        if prepared.kind is not OperationType.SUBSCRIPTION:
            await self._next(await self._door.run(prepared, operation, asked.variables))
            return
        await self._follow(prepared, operation, asked.variables)

    async def _follow(self, prepared: Prepared, operation: Operation, variables: dict[str, Any]) -> None:
        with self._door.subscribers.one_more(operation.credential):
            begun = await self._door.follow(prepared, operation, variables)
            if isinstance(begun, ExecutionResult):
                raise CouldNotBegin(begun)
            await (self._tell_live(begun, begun.source) if isinstance(begun.source, Live) else self._tell(begun))

    async def _next(self, result: ExecutionResult) -> None:
        await self._writer.tell(self._id_in_json, payload_of(result, self._caller.request_id))

    async def _tell(self, subscription: Subscription) -> None:
        events = aiter(subscription.source)
        try:
            async for event in events:
                await self._next(await subscription.result(event))
                _TOLD.value += 1
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    async def _tell_live(self, subscription: Subscription, source: Live) -> None:
        """Bring what the outlet does not take: old events, those that must be looked up, and all that a slow client missed."""
        self._outlet = Outlet(subscription, source, self._writer, self._id_in_json)
        async with contextlib.aclosing(source.told(self._outlet)) as stream:
            async for told in stream:
                await self._writer.tell(self._id_in_json, await subscription.told(source, told, self._caller.request_id))
                _TOLD.value += 1


class CouldNotBegin(Exception):
    """A subscription was refused; the result says why."""

    def __init__(self, result: ExecutionResult) -> None:
        super().__init__("The subscription could not begin.")
        self.result = result


class Outlet:
    """Passes events on to a socket as they come, as long as they are the same for all and the client reads them."""

    __slots__ = ("_id", "_key", "_open", "_source", "_subscription", "_writer")

    def __init__(self, subscription: Subscription, source: Live, writer: Way, operation_id: str) -> None:
        self._subscription = subscription
        self._key = None if subscription.tail is None else subscription.tail.key
        self._source = source
        self._writer = writer
        self._id = operation_id
        self._open = subscription.tail is not None and writer.is_direct

    @property
    def crowded(self) -> bool:
        """Whether the client reads too slowly."""
        return self._writer.crowded

    def take(self, tolds: Sequence[Told]) -> int:
        """Pass on what can be, from the front; the end of a run is left to the coroutine that ends with it."""
        writer, key = self._writer, self._key
        if not self._open or writer.crowded:
            return 0
        frames = []
        for told in tolds:
            made = told.made.get(key)
            payload = self._subscription.shared(self._source, told) if made is None else made[1]
            if payload is None or told.is_last:
                break
            frames.append(payload.frames.get(self._id) or payload.frame(self._id))
        if frames:
            _TOLD.value += len(frames)
            writer.put(frames[0] if len(frames) == 1 else b"".join(frames))
        return len(frames)

    def close(self) -> None:
        """Take nothing more."""
        self._open = False

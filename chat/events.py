"""What happens in a run, as its log holds it: one dense `seq` a run, from 1."""

from typing import Any, Final
from uuid import UUID

import msgspec

from chat.contents import Part
from chat.routes import Taken, Tried
from inference.models import Usage


class RunEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What every event has; `at` is when it was written, in seconds since 1970."""

    seq: int
    at: float


class RunQueued(RunEvent, frozen=True, kw_only=True, tag="queued"):
    """The run waits for a worker behind `position` others of its tenant."""

    position: int


class RunStarted(RunEvent, frozen=True, kw_only=True, tag="started"):
    """A worker has taken it; the answer will be these messages. Without a route nobody could be asked."""

    message_ids: list[UUID]
    model: str
    route: Taken | None = None


class RouteChanged(RunEvent, frozen=True, kw_only=True, tag="route"):
    """An attempt failed and another one follows: it goes on with the text, or begins anew, or nothing had been said yet."""

    failed: Tried
    next: Taken
    continues: bool
    restarts: bool


class PartStarted(RunEvent, frozen=True, kw_only=True, tag="part"):
    """A part of a message begins; `kind` is `text` or `reasoning`."""

    message_id: UUID
    part_id: UUID
    kind: str


class TextDelta(RunEvent, frozen=True, kw_only=True, tag="text"):
    """More of a text part, from `offset` (in Unicode code points) on."""

    part_id: UUID
    offset: int
    text: str


class ReasoningDelta(RunEvent, frozen=True, kw_only=True, tag="reasoning"):
    """More of a reasoning part, from `offset` (in Unicode code points) on."""

    part_id: UUID
    offset: int
    text: str


class PartCompleted(RunEvent, frozen=True, kw_only=True, tag="completed"):
    """A part is whole."""

    part: Part


class UsageTick(RunEvent, frozen=True, kw_only=True, tag="usage"):
    """Tokens so far."""

    usage: Usage


class RunSnapshot(RunEvent, frozen=True, kw_only=True, tag="snapshot"):
    """Stands for all events up to `seq`, of which the log no longer has some; made for a reader, never written.

    `outputs` are the rows of the run's messages as they were saved with just this `seq`.
    """

    reason: str
    outputs: list[Any]


class Heartbeat(RunEvent, frozen=True, kw_only=True, tag="heartbeat"):
    """Nothing happened for a while since the event with this `seq`; made for a reader, never written."""


class RunFinished(RunEvent, frozen=True, kw_only=True, tag="finished"):
    """The last event."""

    status: str


Event = (
    RunQueued
    | RunStarted
    | RouteChanged
    | PartStarted
    | TextDelta
    | ReasoningDelta
    | PartCompleted
    | UsageTick
    | RunSnapshot
    | Heartbeat
    | RunFinished
)

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Event)


def encoded(event: Event) -> bytes:
    """Write an event for the log."""
    return _encoder.encode(event)


def decoded(data: bytes) -> Event:
    """Read an event of the log."""
    event: Event = _decoder.decode(data)
    return event

"""Whose turn it is in a chat: what happens to a message that comes while another is being answered.

The answers of one turn are made side by side. A run of a later turn waits until every run of the earlier ones has ended, so its model
reads what they said: a message that has to wait follows the answer before it, which it finds whole, or as far as it came.
"""

import enum
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from chat import records
from chat.acts import Act
from chat.dispatch import LAST_SEQ_UNBEGUN, Stopped
from chat.queues import Stop
from db.scopes import Row
from db.statements import runs
from db.tables.runs import Run
from errors import Conflict

_REASONS = {Stop.CANCEL: "USER_CANCEL", Stop.STEER: "STEERED"}


class Busy(enum.StrEnum):
    """What to do when the chat is being answered."""

    REJECT = "REJECT"
    QUEUE = "QUEUE"
    STEER = "STEER"
    CANCEL_CURRENT = "CANCEL_CURRENT"


_STOPS = {Busy.STEER: Stop.STEER, Busy.CANCEL_CURRENT: Stop.CANCEL}


class RunInProgress(Conflict):
    """The chat is being answered; `run` is the run that does it."""

    code = "RUN_IN_PROGRESS"

    def __init__(self, run: Row) -> None:
        super().__init__("The chat is being answered; wait for it or cancel it.")
        self.run = run


class Turn(NamedTuple):
    """The turn that new runs take, and the runs that were asked to stop for it."""

    number: int
    stopped: list[Stopped]


async def take_turn(act: Act, chat_id: UUID, busy: Busy = Busy.REJECT) -> Turn:
    """Find the turn of new runs in a chat, which the caller has locked; raises `RunInProgress` where they may not wait.

    STEER and CANCEL_CURRENT stop the answers whose turn it is; runs that wait behind them keep their place.
    """
    unended = await runs.open_by_chats(act.scope, act.tenant_id, [chat_id])
    if not unended:
        return Turn(1, [])
    if busy is Busy.REJECT:
        raise RunInProgress(unended[0])
    turns = [run["turn"] for run in unended]
    stopped = []
    if (how := _STOPS.get(busy)) is not None:
        asked = [await ask_to_stop(act, run, how) for run in unended if run["turn"] == min(turns)]
        stopped = [one for one in asked if one is not None]
    return Turn(max(turns) + 1, stopped)


async def ask_to_stop(act: Act, run: Row, how: Stop) -> Stopped | None:
    """Note that a run should stop, and end it where nobody has begun it; None when it had ended before."""
    asked = await runs.ask_to_stop(act.scope, act.tenant_id, run["id"], steer=how is Stop.STEER, patience=act.cancel_patience)
    if asked is None:
        return None
    if asked["status"] != "QUEUED":
        return Stopped(asked, how, unbegun=False, before=how is Stop.CANCEL and asked["cancelled_before"])
    values: dict[Any, Any] = {
        Run.status: "CANCELLED", Run.stop_reason: _REASONS[how], Run.finished_at: datetime.now(UTC), Run.last_seq: LAST_SEQ_UNBEGUN,
    }  # fmt: skip
    await runs.finish(act.scope, act.tenant_id, run["id"], epoch=asked["epoch"], values=values)
    await records.end_unbegun(act.scope, act.cipher, run["output_message_id"])
    await records.ended(act.scope, asked, "CANCELLED", by=act.viewer)
    return Stopped(asked, how, unbegun=True)

"""A question and the answers that are to be made of it: messages and runs are written together, and the chat goes on from the first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.policies.chats import can_read_chat
from chat import records
from chat.acts import Act
from chat.assistants import Content, opened_content, version_chosen, version_of_chat
from chat.branches import Joint, Place, places_after
from chat.choices import DEFAULT, Choice
from chat.claims import Made
from chat.contents import Part, plain_text, text_parts
from chat.contexts import check_fits, read_branch, room_among, wanted_length, window_of
from chat.records import Said
from db.scopes import Row
from db.statements import chats, messages, runs
from db.tables.runs import Run
from errors import NotFound
from events.facts import ChatUpdated, RunQueued, record


@dataclass(frozen=True, kw_only=True)
class Order:
    """How a question is to be answered: by these runs, side by side, each with its model, when it is their turn.

    What they begin with was said by the message `begins_as`. A version of an assistant that was chosen answers in place of the chat's.
    `choice` is what the viewer chose, and what it is checked with that the models can be asked.
    """

    run_ids: Sequence[UUID]
    turn: int
    choice: Choice
    models: Sequence[UUID | None] = DEFAULT
    routing_policy_id: UUID | None = None
    max_output_tokens: int | None = None
    background: bool = True
    continues: UUID | None = None
    begins_with: Sequence[Part] = ()
    begins_as: UUID | None = None
    assistant_version_id: UUID | None = None
    assistant_chosen: bool = False


class Sent(NamedTuple):
    """A message and the runs that answer it; `reused` when an earlier request with the same key did it."""

    chat: Row
    message: Row | None
    runs: list[Row]
    reused: bool


async def sent_before(act: Act, made: Made) -> Sent:
    """Read again what an earlier request with the same key did, as far as the viewer still sees it."""
    chat = await chats.by_id(act.scope, act.tenant_id, made.chat)
    if chat is None or not can_read_chat(act.viewer, chat):
        raise NotFound("The chat that this idempotency key was used for is gone.", path=("idempotencyKey",))
    message = None if made.message is None else await messages.by_id(act.scope, act.tenant_id, made.message)
    found = {run["id"]: run for run in await runs.by_ids(act.scope, act.tenant_id, made.runs)}
    return Sent(chat, message, [found[run_id] for run_id in made.runs if run_id in found], reused=True)


class Exchange(NamedTuple):
    """A question, and the runs that answer it now."""

    question: Row
    runs: list[Row]


def person_says(act: Act, message_id: UUID | None, place: Place, texts: Sequence[str], *, edited: bool = False) -> Said:
    """Make the message of a person."""
    return Said(
        id=message_id or uuid7(), place=place, role="USER", status="COMPLETE", parts=text_parts(list(texts)), author_id=act.viewer.user_id,
        edited_at=datetime.now(UTC) if edited else None,
    )  # fmt: skip


async def say(act: Act, chat_id: UUID, question: Said, order: Order | None) -> Exchange:
    """Write what a person says, and have it answered if there is an order."""
    if order is None:
        (row,) = await records.write(act.scope, act.cipher, chat_id, question, by=act.viewer)
        await chats.move_head(act.scope, act.tenant_id, chat_id, question.id)
        await record(act.scope, act.tenant_id, ChatUpdated(chat_id=chat_id), by=act.viewer)
        return Exchange(row, [])
    order = await _followed(act, chat_id, order, said=question)
    joint = Joint(question.id, question.place.branch_id, question.place.depth)
    places = await places_after(act.scope, act.tenant_id, chat_id, joint, len(order.run_ids), is_new=True)
    answers = _answers(places, order)
    row, *_ = await records.write(act.scope, act.cipher, chat_id, question, *answers, by=act.viewer)
    return Exchange(row, await _begin(act, chat_id, answers, order))


async def answer_again(act: Act, question: Row, order: Order) -> Exchange:
    """Have a question answered that has been there before; its other answers stay."""
    chat_id = question["chat_id"]
    order = await _followed(act, chat_id, order)
    places = await places_after(act.scope, act.tenant_id, chat_id, Joint.of(question), len(order.run_ids))
    answers = _answers(places, order)
    await records.write(act.scope, act.cipher, chat_id, *answers, by=act.viewer)
    return Exchange(question, await _begin(act, chat_id, answers, order))


async def _followed(act: Act, chat_id: UUID, order: Order, *, said: Said | None = None) -> Order:
    """Let the chosen assistant answer, or else the chat's: its version, and its model where nobody chose another.

    Raises what `version_chosen`, `Choice.check` and, for what is said now, `check_fits` raise.
    """
    if chosen := order.assistant_version_id:
        version: Row | None = await version_chosen(act.scope, act.viewer, chosen)
    else:
        version = await version_of_chat(act.scope, act.tenant_id, chat_id)
    if version is not None:
        models = tuple(model_id or version["model_id"] for model_id in order.models)
        order = replace(order, assistant_version_id=version["id"], assistant_chosen=chosen is not None, models=models)
    order.choice.check(order.models, order.routing_policy_id)
    await _check_fits(act, chat_id, order, None if version is None else opened_content(act.cipher, version), said)
    return order


async def _check_fits(act: Act, chat_id: UUID, order: Order, version: Content | None, said: Said | None) -> None:
    """Raise `ContextOverflow` where one of the models could not be given what is said, or the instructions alone."""
    settings = order.choice.settings
    wanted = wanted_length(order.max_output_tokens, version, settings)
    readers = (order.choice.readers(model_id, order.routing_policy_id) for model_id in order.models)
    limits = [room_among(some, wanted).limit for some in readers if some]
    if not limits:
        return
    text, limit = plain_text(said.parts) if said else "", min(limits)
    needed = check_fits(text, window_of([], version, act.cipher, limit=limit).before, limit=limit)
    if said is None or said.place.parent_id is None or needed <= limit // 2:
        return
    # A summary takes a quarter of what the model could be given that wrote it: the branch is read only for what is long.
    branch = await read_branch(act.scope, act.tenant_id, chat_id, said.place.parent_id, settings)
    check_fits(text, window_of(branch, version, act.cipher, limit=limit).before, limit=limit)


def terms_of(run: Row) -> dict[str, Any]:
    """Say on which terms a run was asked for, as an order names them; a chat's own assistant is none: it is followed to newer versions."""
    chosen = {"assistant_version_id": run["assistant_version_id"]} if run["assistant_chosen"] else {}
    return {"routing_policy_id": run["routing_policy_id"], "max_output_tokens": run["max_output_tokens"], **chosen}


def _answers(places: Sequence[Place], order: Order) -> list[Said]:
    parts = list(order.begins_with)
    return [
        Said(
            id=uuid7(),
            place=place,
            role="ASSISTANT",
            status="PENDING",
            run_id=run_id,
            model_id=model_id,
            parts=parts,
            copied_from_id=order.begins_as,
        )
        for run_id, model_id, place in zip(order.run_ids, order.models, places, strict=True)
    ]


async def _begin(act: Act, chat_id: UUID, answers: Sequence[Said], order: Order) -> list[Row]:
    made = [
        Run(
            tenant_id=act.tenant_id, id=answer.run_id, chat_id=chat_id, input_message_id=answer.place.parent_id,
            output_message_id=answer.id, created_by=act.viewer.user_id, turn=order.turn, max_output_tokens=order.max_output_tokens,
            background=order.background, continues_run_id=order.continues, model_id=answer.model_id,
            assistant_version_id=order.assistant_version_id, assistant_chosen=order.assistant_chosen,
            routing_policy_id=order.routing_policy_id,
        )
        for answer in answers
    ]  # fmt: skip
    rows = await runs.create(act.scope, *made)
    await record(act.scope, act.tenant_id, *(RunQueued(chat_id=chat_id, run_id=run["id"]) for run in rows), by=act.viewer)
    await chats.move_head(act.scope, act.tenant_id, chat_id, answers[0].id)
    return rows

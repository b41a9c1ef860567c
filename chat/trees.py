"""What a person does in a chat's tree: says something in another way, has it answered again, prefers an answer, goes to another branch.

Nothing here takes anything away: each of these adds a sibling or moves the head, and the old branch stays.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.viewers import Viewer
from chat.acts import Act, Acts
from chat.branches import place_after
from chat.choices import Choices
from chat.claims import Made
from chat.dispatch import Dispatch
from chat.drafts import check_texts
from chat.exchanges import Order, Sent, answer_again, person_says, say, sent_before, terms_of
from chat.locks import speakable, writable
from chat.turns import take_turn
from db.scopes import Row
from db.statements import chats, messages, runs
from db.tables.chats import Chat
from errors import Conflict, Invalid, NotFound
from events.facts import ChatUpdated, MessageUpdated, record
from settings import Settings


class Trees:
    """Grows the trees of chats and moves their heads, for viewers who may write in them."""

    def __init__(self, *, acts: Acts, dispatch: Dispatch, choices: Choices, settings: Settings) -> None:
        self._acts = acts
        self._dispatch = dispatch
        self._choices = choices
        self._settings = settings

    async def edit(  # noqa: PLR0913 - what an edit is
        self, viewer: Viewer, message_id: UUID, texts: Sequence[str], *, rerun: bool, expected_revision: int | None, key: str
    ) -> Sent:
        """Say something in another way: a sibling of the message, which is answered on the same terms unless `rerun` is off.

        Raises `Conflict` where somebody edited the same message meanwhile, if the editor says which revision they saw.
        """
        check_texts(texts, self._settings)
        choice = await self._choices.of(viewer)
        content = {"message": message_id.hex, "texts": list(texts), "rerun": rerun, "revision": expected_revision}
        async with self._acts.begun(viewer) as act:
            message, missing = await _known(act, message_id)
            made = Made(message["chat_id"], uuid7(), (uuid7(),) if rerun else ())
            if (earlier := await act.claimed("messageEdit", key, content, made)) is not None:
                return await sent_before(act, earlier)
            chat = await speakable(act.scope, viewer, message["chat_id"], missing)
            if message["role"] != "USER":
                raise Invalid("Only what a person said can be edited.", path=("messageId",), constraint="role=USER")
            revision = await messages.count_up(act.scope, act.tenant_id, message_id, expected_revision)
            if revision is None:
                raise await _edited_meanwhile(act, message_id)
            place = await place_after(act.scope, act.tenant_id, chat["id"], message["parent_id"])
            turn = await take_turn(act, chat["id"]) if rerun else None
            order = None if turn is None else Order(run_ids=made.runs, choice=choice, turn=turn.number, **await _terms_of(act, message))
            said = await say(act, chat["id"], person_says(act, made.message, place, texts, edited=True), order)
            position = await runs.queued_before(act.scope, act.tenant_id, made.runs[0]) if rerun else 0
        await self._dispatch.waits(act.cipher, said.runs, position)
        return Sent(chat, said.question, said.runs, reused=False)

    async def regenerate(
        self, viewer: Viewer, message_id: UUID, model_ids: Sequence[UUID], *, policy_id: UUID | None = None, key: str
    ) -> Sent:
        """Have a question answered again on the same terms, by other models or under another policy if they are named.

        The answer is a sibling of each that is there.
        """
        choice = await self._choices.of(viewer, model_ids, policy_id)
        content = {"message": message_id.hex, "models": [one.hex for one in model_ids]}
        content |= {} if policy_id is None else {"policy": policy_id.hex}
        async with self._acts.begun(viewer) as act:
            message, missing = await _known(act, message_id)
            made = Made(message["chat_id"], None, tuple(uuid7() for _ in choice.models))
            if (earlier := await act.claimed("messageRegenerate", key, content, made)) is not None:
                return await sent_before(act, earlier)
            chat = await speakable(act.scope, viewer, message["chat_id"], missing)
            turn = await take_turn(act, chat["id"])
            question = message if message["role"] == "USER" else await _question_of(act, message)
            terms = await _terms_of(act, message)
            terms |= {} if policy_id is None else {"routing_policy_id": policy_id}
            order = Order(run_ids=made.runs, models=choice.models, choice=choice, turn=turn.number, **terms)
            said = await answer_again(act, question, order)
            position = await runs.queued_before(act.scope, act.tenant_id, made.runs[0])
        await self._dispatch.waits(act.cipher, said.runs, position)
        return Sent(chat, said.question, said.runs, reused=False)

    async def prefer(self, viewer: Viewer, message_id: UUID) -> tuple[Row, Row]:
        """Prefer an answer to its siblings; the head follows to the end of its line, unless it is behind the answer already."""
        async with self._acts.begun(viewer) as act:
            message, missing = await _known(act, message_id)
            chat = await writable(act.scope, viewer, message["chat_id"], missing)
            if message["role"] != "ASSISTANT":
                raise Invalid("Only an answer can be preferred to others.", path=("messageId",), constraint="role=ASSISTANT")
            await messages.prefer(act.scope, act.tenant_id, message_id, message["parent_id"])
            preferred = MessageUpdated(chat_id=chat["id"], message_id=message_id)
            await record(act.scope, act.tenant_id, preferred, ChatUpdated(chat_id=chat["id"]), by=viewer)
            if not await _leads_to(act, message, chat):
                leaf_id = await messages.last_of_branch(act.scope, act.tenant_id, message["branch_id"])
                await chats.move_head(act.scope, act.tenant_id, chat["id"], leaf_id)
            message = await messages.by_id(act.scope, act.tenant_id, message_id) or message
            return message, await chats.by_id(act.scope, act.tenant_id, chat["id"]) or chat

    async def go_to(self, viewer: Viewer, chat_id: UUID, message_id: UUID, expected_revision: int | None) -> Row:
        """Let a chat go on from another message; raises `Conflict` with the current revision when somebody else was faster."""
        async with self._acts.begun(viewer) as act:
            chat = await writable(act.scope, viewer, chat_id)
            message = await messages.by_id(act.scope, act.tenant_id, message_id)
            if message is None or message["chat_id"] != chat_id:
                raise NotFound("There is no message with this id in the chat.", path=("messageId",))
            if expected_revision not in (None, chat["revision"]):
                raise Conflict("The chat was changed meanwhile.", path=("expectedRevision",), current_revision=chat["revision"])
            values: dict[Any, Any] = {Chat.head_message_id: message_id}
            await record(act.scope, act.tenant_id, ChatUpdated(chat_id=chat_id), by=viewer)
            return await chats.change(act.scope, act.tenant_id, chat_id, values) or chat


async def _known(act: Act, message_id: UUID) -> tuple[Row, NotFound]:
    """Read a message, and say what to raise where its chat is not the viewer's."""
    missing = NotFound("There is no Message with this id.", path=("messageId",))
    message = await messages.by_id(act.scope, act.tenant_id, message_id)
    if message is None:
        raise missing
    return message, missing


async def _question_of(act: Act, answer: Row) -> Row:
    question = await messages.by_id(act.scope, act.tenant_id, answer["parent_id"]) if answer["role"] == "ASSISTANT" else None
    if question is None or question["role"] != "USER":
        raise Invalid("Only a question can be answered again, and an answer to one.", path=("messageId",), constraint="role=USER")
    return question


async def _terms_of(act: Act, message: Row) -> dict[str, Any]:
    """Say on which terms an answer was made, or a question answered last: where its text may go, how long it may become, for whom it spoke.

    There are none where it was not answered; the runs of what a fork copied stay with the other chat.
    """
    found = await runs.of_message(act.scope, act.tenant_id, message["chat_id"], message["id"])
    return terms_of(found[-1]) if found else {}


async def _edited_meanwhile(act: Act, message_id: UUID) -> Conflict:
    message = await messages.by_id(act.scope, act.tenant_id, message_id)
    current = None if message is None else message["revision"]
    return Conflict("The message was edited meanwhile.", path=("expectedRevision",), current_revision=current)


async def _leads_to(act: Act, message: Row, chat: Row) -> bool:
    """Whether the chat's head lies behind a message, or is it."""
    asked, depth = (chat["id"], chat["head_message_id"]), message["depth"]
    pages = await messages.pages_of_branches(
        act.scope,
        act.tenant_id,
        [asked],
        newest_first=True,
        above=depth - 1,
        below=depth + 1,
        roles=None,
        limit=1,
    )
    return [row["id"] for row in pages.get(asked, [])] == [message["id"]]

"""A new chat that begins with what was said in another one: the messages are copied and encrypted anew, each for its own new row."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.policies.chats import can_read_chat
from auth.viewers import Viewer
from chat import records
from chat.acts import Act, Acts
from chat.assistants import AssistantIsNotReleased, usable_version
from chat.branches import place_after
from chat.claims import Made
from chat.contents import copied, opened
from chat.contexts import END
from chat.drafts import check_title
from chat.exchanges import Sent, sent_before
from chat.headings import opened_titles, sealed_title
from chat.records import GROWING, Copy
from chat.titles import PERSON
from db.scopes import Row
from db.statements import chats, messages
from db.tables.chats import Chat
from errors import Invalid, NotFound
from events.facts import ChatCreated, record
from knowledge import terms
from settings import Settings

# So many messages are decrypted and encrypted before whoever else waits for this process has a turn: 5 ms.
_AT_ONCE: Final = 200


class NoSuchMessage(NotFound):
    """The message is nothing to whoever wants to fork its chat."""

    def __init__(self) -> None:
        super().__init__("There is no Message with this id.", path=("messageId",))


class Forks:
    """Forks chats, for viewers who may read them: the new chat is theirs."""

    def __init__(self, *, acts: Acts, settings: Settings) -> None:
        self._acts = acts
        self._settings = settings

    async def fork(self, viewer: Viewer, message_id: UUID, title: str | None, *, key: str) -> Sent:
        """Begin a chat with everything from another one's first message to this one; the other stays as it is.

        People go on writing in the other chat meanwhile: it is locked at the end only, to see what was redacted in it since it was read.
        """
        check_title(title, self._settings)
        made = Made(uuid7())
        async with self._acts.begun(viewer) as act:
            if (earlier := await act.claimed("chatFork", key, {"message": message_id.hex, "title": title}, made)) is not None:
                return await sent_before(act, earlier)
            message, source = await self._source(act, message_id)
            await chats.create(
                act.scope,
                Chat(
                    tenant_id=act.tenant_id, id=made.chat, owner_id=viewer.user_id, forked_from_id=message_id,
                    assistant_id=await _kept_assistant(act, source),
                ),
            )  # fmt: skip
            copies = await _copied(act, made.chat, message)
            source = await _unchanged(act, source["id"], copies)
            values: dict[Any, Any] = {Chat.head_message_id: copies.ids[message_id], **await _titled(act, made.chat, title, source, copies)}
            chat = await chats.settle(act.scope, act.tenant_id, made.chat, values)
            await record(act.scope, act.tenant_id, ChatCreated(chat_id=made.chat), by=viewer)
        assert chat is not None, "it was written in this transaction"
        return Sent(chat, None, [], reused=False)

    async def _source(self, act: Act, message_id: UUID) -> tuple[Row, Row]:
        message = await messages.by_id(act.scope, act.tenant_id, message_id)
        source = None if message is None else await chats.by_id(act.scope, act.tenant_id, message["chat_id"])
        if message is None or source is None or not can_read_chat(act.viewer, source):
            raise NoSuchMessage
        most = self._settings.chat_fork_messages
        if message["depth"] >= most:
            raise Invalid(f"At most {most:,} messages can be copied.", path=("messageId",), constraint=f"max_messages={most}")
        return message, source


class Copies(NamedTuple):
    """The one branch of a new chat, and which messages of the other one lead to which of it."""

    branch_id: UUID
    ids: dict[UUID, UUID]


async def _copied(act: Act, chat_id: UUID, message: Row) -> Copies:
    """Copy what leads to a message, page by page; between pages others have their turn."""
    place = await place_after(act.scope, act.tenant_id, chat_id, None)
    copies = Copies(place.branch_id, {})
    parent_id: UUID | None = None
    async for rows in _path_to(act, message):
        said: list[Copy] = []
        for row in rows:
            copies.ids[row["id"]] = uuid7()
            parts = copied(opened(act.cipher, row["id"], row["content"]), copies.ids)
            said.append(Copy(row, copies.ids[row["id"]], parent_id, _status_of(row), parts))
            parent_id = said[-1].id
        await records.copy(act.scope, act.cipher, chat_id, place.branch_id, said)
    return copies


async def _path_to(act: Act, message: Row) -> AsyncIterator[list[Row]]:
    """Yield the messages that lead to one, the first ones first."""
    asked, above = (message["chat_id"], message["id"]), -1
    while above < message["depth"]:
        pages = await messages.pages_of_branches(
            act.scope, act.tenant_id, [asked], newest_first=False, above=above, below=END, roles=None, limit=_AT_ONCE
        )
        if asked not in pages:
            raise NoSuchMessage  # the chat was deleted meanwhile
        yield pages[asked]
        above = pages[asked][-1]["depth"]


def _status_of(row: Row) -> str:
    """What is still being said is said as far as it came; of a summary that would be nothing."""
    if row["status"] not in GROWING:
        return str(row["status"])
    return "FAILED" if row["role"] == "SUMMARY" else "INCOMPLETE"


async def _unchanged(act: Act, source_id: UUID, copies: Copies) -> Row:
    """Keep the other chat as it is until the end of the act, and redact in the copies what was redacted in it since it was read.

    Whoever redacts something of it after that finds the copies.
    """
    source = await chats.kept(act.scope, act.tenant_id, source_id)
    if source is None or not can_read_chat(act.viewer, source):
        raise NoSuchMessage
    for row in await messages.copies_to_redact(act.scope, act.tenant_id, copies.branch_id):
        await records.redact(act.scope, act.cipher, row["id"], by=row["redacted_by"])
    return source


async def _titled(act: Act, chat_id: UUID, title: str | None, source: Row, copies: Copies) -> dict[Any, Any]:
    """Call the new chat something: what its maker says, or what the other one is called by whom and from what."""
    if title is None:
        (kept,) = opened_titles(act.cipher, [source])
        if isinstance(kept, Exception):
            raise kept
        question_id = source["titled_from_id"]
        by, asked_id = source["titled_by"], copies.ids.get(question_id, question_id)
    else:
        kept, by, asked_id = title, PERSON, None
    if kept is not None:
        await terms.keep_titles(act.scope, act.cipher, {chat_id: kept})
    return {Chat.title: sealed_title(act.cipher, chat_id, kept), Chat.titled_by: by, Chat.titled_from_id: asked_id}


async def _kept_assistant(act: Act, source: Row) -> UUID | None:
    """Go on with the same assistant, where whoever forks may use it."""
    if source["assistant_id"] is not None:
        with contextlib.suppress(NotFound, AssistantIsNotReleased):
            await usable_version(act.scope, act.viewer, source["assistant_id"])
            return source["assistant_id"]  # type: ignore[no-any-return] # a row
    return None

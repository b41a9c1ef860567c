"""A new chat that begins with what was said in another one: the messages are copied and encrypted anew, each for its own new row."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.policies.chats import can_read_chat
from auth.viewers import Viewer
from chat import records
from chat.acts import Act, Acts
from chat.assistants import AssistantIsNotReleased, usable_version
from chat.branches import Place, place_after
from chat.claims import Made
from chat.contents import copied, opened
from chat.contexts import END
from chat.drafts import check_title
from chat.exchanges import Sent, sent_before
from chat.headings import opened_titles, sealed_title
from chat.records import Said
from chat.titles import PERSON
from db.scopes import Row
from db.statements import chats, messages
from db.tables.chats import Chat
from errors import Invalid, NotFound
from events.facts import ChatCreated, record
from knowledge import terms
from settings import Settings

_AT_ONCE: Final = 500
# What is still being said is said as far as it came.
_STATUSES: Final[dict[str, str]] = {"PENDING": "INCOMPLETE", "STREAMING": "INCOMPLETE"}


class Forks:
    """Forks chats, for viewers who may read them: the new chat is theirs."""

    def __init__(self, *, acts: Acts, settings: Settings) -> None:
        self._acts = acts
        self._settings = settings

    async def fork(self, viewer: Viewer, message_id: UUID, title: str | None, *, key: str) -> Sent:
        """Begin a chat with everything from another one's first message to this one; the other stays as it is."""
        check_title(title, self._settings)
        made = Made(uuid7())
        async with self._acts.begun(viewer) as act:
            if (earlier := await act.claimed("chatFork", key, {"message": message_id.hex, "title": title}, made)) is not None:
                return await sent_before(act, earlier)
            message, source = await self._source(act, message_id)
            kept = title if title is not None else _opened_title(act, source)
            await chats.create(
                act.scope,
                Chat(
                    tenant_id=act.tenant_id, id=made.chat, owner_id=viewer.user_id, title=sealed_title(act.cipher, made.chat, kept),
                    titled_by=source["titled_by"] if title is None else PERSON,
                    forked_from_id=message_id, assistant_id=await _kept_assistant(act, source),
                ),
            )  # fmt: skip
            if kept is not None:
                await terms.keep_titles(act.scope, act.cipher, {made.chat: kept})
            place = await place_after(act.scope, act.tenant_id, made.chat, None)
            copies: dict[UUID, UUID] = {}
            async for rows in _path_to(act, message):
                said = _copies(act, rows, place, copies)
                await records.write(act.scope, act.cipher, made.chat, *said, by=None)
                place = Place(place.branch_id, said[-1].place.depth + 1, said[-1].id)
            assert place.parent_id is not None, "a path has at least the message that it leads to"
            await chats.move_head(act.scope, act.tenant_id, made.chat, place.parent_id)
            await record(act.scope, act.tenant_id, ChatCreated(chat_id=made.chat), by=viewer)
            chat = await chats.by_id(act.scope, act.tenant_id, made.chat)
        assert chat is not None, "it was written in this transaction"
        return Sent(chat, None, [], reused=False)

    async def _source(self, act: Act, message_id: UUID) -> tuple[Row, Row]:
        message = await messages.by_id(act.scope, act.tenant_id, message_id)
        source = None if message is None else await chats.kept(act.scope, act.tenant_id, message["chat_id"])
        if message is None or source is None or not can_read_chat(act.viewer, source):
            raise NotFound("There is no Message with this id.", path=("messageId",))
        most = self._settings.chat_fork_messages
        if message["depth"] >= most:
            raise Invalid(f"At most {most:,} messages can be copied.", path=("messageId",), constraint=f"max_messages={most}")
        return message, source


async def _kept_assistant(act: Act, source: Row) -> UUID | None:
    """Go on with the same assistant, where whoever forks may use it."""
    if source["assistant_id"] is not None:
        with contextlib.suppress(NotFound, AssistantIsNotReleased):
            await usable_version(act.scope, act.viewer, source["assistant_id"])
            return source["assistant_id"]  # type: ignore[no-any-return] # a row
    return None


def _opened_title(act: Act, chat: Row) -> str | None:
    (title,) = opened_titles(act.cipher, [chat])
    if isinstance(title, Exception):
        raise title
    return title


async def _path_to(act: Act, message: Row) -> AsyncIterator[list[Row]]:
    """Yield the messages that lead to one, the first ones first."""
    asked, above = (message["chat_id"], message["id"]), -1
    while above < message["depth"]:
        pages = await messages.pages_of_branches(
            act.scope, act.tenant_id, [asked], newest_first=False, above=above, below=END, roles=None, limit=_AT_ONCE
        )
        yield pages[asked]
        above = pages[asked][-1]["depth"]


def _copies(act: Act, rows: Sequence[Row], place: Place, copies: dict[UUID, UUID]) -> list[Said]:
    """Say the same again from a place on, by the same people and models; the runs stay with the other chat. `copies` grows."""
    said: list[Said] = []
    for row in rows:
        copies[row["id"]] = uuid7()
        copy = Said(
            id=copies[row["id"]], place=place, role=row["role"], status=_STATUSES.get(str(row["status"])) or row["status"],
            parts=copied(opened(act.cipher, row["id"], row["content"]), copies), author_id=row["author_id"], model_id=row["model_id"],
            created_at=row["created_at"], edited_at=row["edited_at"], copied_from_id=row["id"],
        )  # fmt: skip
        said.append(copy)
        place = Place(place.branch_id, place.depth + 1, copy.id)
    return said

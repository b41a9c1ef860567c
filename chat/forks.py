"""A new chat that begins with what was said in another one: the messages are copied and encrypted anew, each for its own new row.

Facts are told when every older writing transaction has ended, so none of a fork's is long: until its last one the new chat is nobody's.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from piccolo.querystring import QueryString
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
from chat.unfinished import Unfinished, await_unfinished
from db.scopes import Row
from db.statements import chats, messages
from db.tables.chats import Chat
from errors import Invalid, NotFound, Unavailable
from events.facts import ChatCreated, record
from events.jobs import Jobs
from knowledge import terms
from settings import Settings

# So many messages are read at once, and so many bytes of them copied in one transaction: others wait for neither.
_AT_ONCE: Final = 100
_MOST_BYTES: Final = 262_144


class NoSuchMessage(NotFound):
    """The message is nothing to whoever wants to fork its chat."""

    def __init__(self) -> None:
        super().__init__("There is no Message with this id.", path=("messageId",))


class ForkTakesTooLong(Unavailable):
    """The copy was not finished in time, and there will be none."""

    def __init__(self) -> None:
        super().__init__("The fork takes too long now; try again later.")


@dataclass
class Copies:
    """A chat that is being made of another one: its one branch, which messages lead to which of it, and the job that takes it away."""

    chat_id: UUID
    branch_id: UUID
    job_id: UUID
    ids: dict[UUID, UUID] = field(default_factory=dict)
    last_id: UUID | None = None


class Forks:
    """Forks chats, for viewers who may read them: the new chat is theirs."""

    def __init__(self, *, acts: Acts, jobs: Jobs, unfinished: Unfinished, settings: Settings) -> None:
        self._acts = acts
        self._jobs = jobs
        self._unfinished = unfinished
        self._settings = settings

    async def fork(self, viewer: Viewer, message_id: UUID, title: str | None, *, key: str) -> Sent:
        """Begin a chat with everything from another one's first message to this one; the other stays as it is.

        People go on writing in the other chat meanwhile: it is locked at the end only, to see what was redacted in it since it was read.
        """
        check_title(title, self._settings)
        made = Made(uuid7())
        claim = ("chatFork", key, {"message": message_id.hex, "title": title}, made)
        async with self._acts.begun(viewer) as act:
            if (earlier := await act.made_before(*claim)) is not None:
                return await sent_before(act, earlier)
            message, source = await self._source(act, message_id)
            copies = await self._begun(act, made.chat, message, source)
        try:
            await self._copy(viewer, copies, message)
            async with self._acts.begun(viewer) as act:
                if (earlier := await act.claimed(*claim)) is None:
                    chat = await _finished(act, copies, message, title)
                    await self._jobs.withdraw(act.scope, act.tenant_id, copies.job_id)
                    sent = Sent(chat, None, [], reused=False)
                else:
                    sent = await sent_before(act, earlier)
        except Exception:
            await self._give_up(viewer, copies)
            raise
        if sent.reused:
            await self._give_up(viewer, copies)
        return sent

    async def _source(self, act: Act, message_id: UUID) -> tuple[Row, Row]:
        message = await messages.by_id(act.scope, act.tenant_id, message_id)
        source = None if message is None else await chats.by_id(act.scope, act.tenant_id, message["chat_id"])
        if message is None or source is None or not can_read_chat(act.viewer, source):
            raise NoSuchMessage
        most = self._settings.chat_fork_messages
        if message["depth"] >= most:
            raise Invalid(f"At most {most:,} messages can be copied.", path=("messageId",), constraint=f"max_messages={most}")
        return message, source

    async def _begun(self, act: Act, chat_id: UUID, message: Row, source: Row) -> Copies:
        """Begin a chat of nobody, which is gone after a while if nobody finishes it."""
        chat = Chat(
            tenant_id=act.tenant_id, id=chat_id, owner_id=chats.NOBODY, forked_from_id=message["id"],
            assistant_id=await _kept_assistant(act, source),
        )  # fmt: skip
        await chats.create(act.scope, chat)
        place = await place_after(act.scope, act.tenant_id, chat_id, None)
        seconds = 2 * self._settings.chat_fork_seconds
        job = await await_unfinished(self._jobs, act.scope, act.tenant_id, chat_id, seconds=seconds)
        return Copies(chat_id, place.branch_id, job["id"])

    async def _give_up(self, viewer: Viewer, copies: Copies) -> None:
        """Take away what was copied, unless it is somebody's: of a commit nobody may have heard."""
        with contextlib.suppress(Unavailable):  # then the job does it
            await self._unfinished.take_away(viewer.tenant_id, copies.chat_id)

    async def _copy(self, viewer: Viewer, copies: Copies, message: Row) -> None:
        """Copy what leads to a message, each portion in a transaction of its own."""
        clock = asyncio.get_running_loop()
        ends = clock.time() + self._settings.chat_fork_seconds
        async with contextlib.aclosing(self._path_to(viewer, message)) as path:
            async for rows in path:
                for portion in _portions(rows):
                    if clock.time() > ends:
                        raise ForkTakesTooLong
                    async with self._acts.begun(viewer) as act:
                        await _copied(act, copies, portion)

    async def _path_to(self, viewer: Viewer, message: Row) -> AsyncGenerator[list[Row], None]:
        """Yield the messages that lead to one, the first ones first."""
        asked, above = (message["chat_id"], message["id"]), -1
        while above < message["depth"]:
            async with self._acts.begun(viewer) as act:
                pages = await messages.pages_of_branches(
                    act.scope, act.tenant_id, [asked], newest_first=False, above=above, below=END, roles=None, limit=_AT_ONCE
                )
            if asked not in pages:
                raise NoSuchMessage  # the chat was deleted meanwhile
            yield pages[asked]
            above = pages[asked][-1]["depth"]


def _portions(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Divide messages into what is copied at once: few bytes, or one message."""
    portion: list[Row] = []
    size = 0
    for row in rows:
        size += len(row["content"])
        if portion and size > _MOST_BYTES:
            yield portion
            portion, size = [], len(row["content"])
        portion.append(row)
    yield portion


async def _copied(act: Act, copies: Copies, rows: Sequence[Row]) -> None:
    """Copy messages; nothing is written before all of them are encrypted."""
    said: list[Copy] = []
    for row in rows:
        copies.ids[row["id"]] = uuid7()
        parts = copied(opened(act.cipher, row["id"], row["content"]), copies.ids)
        said.append(Copy(row, copies.ids[row["id"]], copies.last_id, _status_of(row), parts))
        copies.last_id = said[-1].id
    await records.copy(act.scope, act.cipher, copies.chat_id, copies.branch_id, said)


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


class Heading(NamedTuple):
    """What a chat is called, by whom, and from which question."""

    title: str | None
    by: str | None
    question_id: UUID | None


async def _finished(act: Act, copies: Copies, message: Row, title: str | None) -> Row:
    """Make the copy the viewer's, as if it were begun now."""
    source = await _unchanged(act, message["chat_id"], copies)
    heading = Heading(title, PERSON, None) if title is not None else _heading_of(act, source, copies)
    chat = await chats.settle(
        act.scope,
        act.tenant_id,
        copies.chat_id,
        {
            Chat.owner_id: act.viewer.user_id, Chat.head_message_id: copies.ids[message["id"]],
            Chat.created_at: QueryString("now()"), Chat.updated_at: QueryString("now()"),
            Chat.title: sealed_title(act.cipher, copies.chat_id, heading.title), Chat.titled_by: heading.by,
            Chat.titled_from_id: heading.question_id,
        },
    )  # fmt: skip
    # Whoever takes it away locks it first, so from here on it is whole or not.
    if chat is None or await messages.count_of_branch(act.scope, act.tenant_id, copies.branch_id) < len(copies.ids):
        raise ForkTakesTooLong
    if heading.title is not None:
        await terms.keep_titles(act.scope, act.cipher, {copies.chat_id: heading.title})
    await record(act.scope, act.tenant_id, ChatCreated(chat_id=copies.chat_id), by=act.viewer)
    return chat


def _heading_of(act: Act, source: Row, copies: Copies) -> Heading:
    """Say what the other chat is called."""
    (kept,) = opened_titles(act.cipher, [source])
    if isinstance(kept, Exception):
        raise kept
    question_id = source["titled_from_id"]
    return Heading(kept, source["titled_by"], copies.ids.get(question_id, question_id))


async def _kept_assistant(act: Act, source: Row) -> UUID | None:
    """Go on with the same assistant, where whoever forks may use it."""
    if source["assistant_id"] is not None:
        with contextlib.suppress(NotFound, AssistantIsNotReleased):
            await usable_version(act.scope, act.viewer, source["assistant_id"])
            return source["assistant_id"]  # type: ignore[no-any-return] # a row
    return None

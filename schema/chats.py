"""Chats: conversations, and beginning, changing and deleting them."""

import enum
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

import msgspec
import strawberry
from strawberry.scalars import JSON

from chat.drafts import ChatChange, ChatDraft, Draft
from db.scopes import Row
from errors import Invalid
from events.facts import ChatCreated, ChatDeleted, ChatUpdated, MessageCreated, RunQueued
from loaders.pages import Page
from resolvers import assistants, chats, messages, usages, users
from resolvers.operations import Operation
from schema.assistants import Assistant
from schema.branches import Branch, branches_of_chats
from schema.caching import KeptFor
from schema.connections import After, Before, Connection, First, Last, asked
from schema.contexts import ContextWindow, context_of_chat
from schema.errors import Payload
from schema.exports import ChatExport, exports_of_chats
from schema.fields import Columns, Idempotent, Info, batch, column, mutation, name_of, names_of, query
from schema.ids import global_id, local_id
from schema.links import link, visible
from schema.messages import MODEL_IDS, Message, MessageRole, PartInput, models_of, texts_of
from schema.nodes import Node
from schema.participants import ChatParticipant, participants_of_chats
from schema.runs import Run, active_runs, runs_of_chats
from schema.shares import ChatShare, shares_of_chats
from schema.spans import TimeRange
from schema.usage import UsageTotals
from schema.users import User


@strawberry.enum(description="Who may read a chat.")
class Visibility(enum.Enum):
    PRIVATE = strawberry.enum_value("PRIVATE", description="Whoever began it. Participants are remembered, and see nothing of it.")
    SHARED = strawberry.enum_value("SHARED", description="Its participants.")
    TENANT = strawberry.enum_value(
        "TENANT", description="Every member of the tenant who may read chats; its participants may do what their role says."
    )


async def _messages(  # noqa: PLR0913 - the arguments of the field
    operation: Operation,
    rows: Sequence[Row],
    needed: Columns | None,
    first: First = None,
    last: Last = None,
    after: After = None,
    before: Before = None,
    leaf: Annotated[
        strawberry.ID | None,
        strawberry.argument(
            description="The message that the branch ends with; without it, the head. One of another chat gives an empty page."
        ),
    ] = None,
    roles: Annotated[list[MessageRole] | None, strawberry.argument(description="Only messages in which one of these speaks.")] = None,
) -> list[Page | Exception]:
    leaf_id = None if leaf is None else local_id(leaf, "Message", path=["leaf"])
    arguments = asked(operation, first=first, last=last, after=after, before=before)
    return await messages.pages_of_chats(operation, rows, arguments, leaf_id=leaf_id, roles=names_of(roles), columns=needed)


@strawberry.type(description="A conversation.")
class Chat(Node):
    title: str | None = batch(
        chats.titles, needs=chats.TITLE, common=True, description="What it is called; null until somebody gives it a title."
    )
    visibility: Visibility = column("visibility", convert=Visibility, description="Who may read it.")
    metadata: JSON | None = batch(
        chats.metadata, needs=chats.METADATA, common=True, description="Whatever the client that made it keeps with it."
    )
    created_at: datetime = column("created_at", description="When it was begun.")
    updated_at: datetime = column("updated_at", description="When somebody last said something in it or changed it.")
    archived_at: datetime | None = column("archived_at", description="When it was put into the archive; null outside of it.")
    participants: Connection[ChatParticipant] = batch(
        participants_of_chats,
        needs=["id"],
        scopes=["chats:read"],
        multipliers=["first"],
        description="Whom it is shared with, its owner aside, who came first of all first.",
    )
    shares: list[ChatShare] = batch(
        shares_of_chats,
        needs=["id", *chats.ACTIONS],
        scopes=["chats:read"],
        description="The links that show it to others, the oldest first, for its owners; nobody else sees any.",
    )
    pinned_at: datetime | None = column(
        "pinned_at",
        description="When its owner pinned it; null where it is not pinned. Lists keep their order: ask for the pinned ones with `pinned`.",
    )
    export: ChatExport = batch(
        exports_of_chats,
        needs=["id"],
        scopes=["chats:read"],
        cost=500,
        description="It as a text to take away, of at most 10000 messages and about 8 MiB; in parts where there is more.",
    )
    owner: User | None = visible(
        users.visible_by_ids,
        column="owner_id",
        description="Whose it is; null where they have left or you may not see the tenant's members.",
    )
    assistant: Assistant | None = visible(
        assistants.visible_by_ids,
        column="assistant_id",
        description="Whose instructions answers follow; null without one, or where you are not given it.",
    )
    head: Message | None = link(
        "message_by_id",
        column="head_message_id",
        description="The message after which the chat goes on; null while it is empty.",
    )
    forked_from: Message | None = visible(
        messages.visible_by_ids,
        column="forked_from_id",
        description="The message that it was forked from; null for a chat of its own, and where you may not see that message's chat.",
    )
    messages: Connection[Message] = batch(
        _messages,
        needs=["id", "head_message_id"],
        scopes=["chats:read"],
        multipliers=["first", "last"],
        description="The messages of one branch, from the first one to the leaf.",
    )
    branches: Connection[Branch] = batch(
        branches_of_chats,
        needs=["id"],
        scopes=["chats:read"],
        multipliers=["first"],
        description="The ways that the conversation has taken, the newest first: one for each message that nothing follows.",
    )
    runs: Connection[Run] = batch(
        runs_of_chats,
        needs=["id"],
        scopes=["chats:read"],
        multipliers=["first"],
        description="The runs that answer or answered in it, the newest first.",
    )
    active_runs: list[Run] = batch(
        active_runs, needs=["id"], scopes=["chats:read"], description="The runs that answer in it now, the oldest first."
    )
    usage: UsageTotals = batch(
        usages.of_chats,
        needs=["id"],
        scopes=["chats:read"],
        cost=20,
        description="What was used in it by all answers, titles and summaries, of branches that were left too; what goes on counts "
        "when it has ended.",
    )
    context: ContextWindow = query(
        context_of_chat,
        scopes=["chats:read"],
        cost=20,
        kept_for=KeptFor.NOBODY,
        description="What a model would be given for the next answer.",
    )
    revision: int = column("revision", description="Counts its changes, for `expectedRevision`; messages do not count.")
    viewer_can: list[str] = batch(
        chats.actions,
        needs=chats.ACTIONS,
        description="What you may do with it: some of `read`, `comment`, `write`, `manage` and `delete`.",
    )

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await chats.by_id(operation, id, columns))


@strawberry.input(description="A first message.")
class MessageDraftInput:
    content: list[PartInput] = strawberry.field(description="What to say: 1 to 32 parts, together at most 131072 bytes of UTF-8.")
    model_ids: list[strawberry.ID] | None = strawberry.field(description=MODEL_IDS, default=None)


@strawberry.input(description="A chat to begin.", directives=[Idempotent()])
class ChatCreateInput:
    idempotency_key: str = strawberry.field(
        description="Makes a retry safe for 24 hours: the same key with the same input makes one chat. 1 to 255 characters."
    )
    title: str | None = strawberry.field(description="What to call it: 1 to 200 characters.", default=None)
    visibility: Visibility = strawberry.field(description="Who may read it.", default=Visibility.PRIVATE)
    assistant_id: strawberry.ID | None = strawberry.field(
        description="An assistant that you may use: its released version answers in the chat, always the latest one.", default=None
    )
    first_message: MessageDraftInput | None = strawberry.field(description="What to say in it at once.", default=None)
    metadata: JSON | None = strawberry.field(description="Whatever you want to keep with it: at most 16384 bytes of JSON.", default=None)


@strawberry.type(description="The chat that was begun.")
class ChatCreatePayload(Payload):
    chat: Chat | None = strawberry.field(description="The chat.", default=None)
    run: Run | None = strawberry.field(
        description="The run that answers the first message, where there is one; the first of several.", default=None
    )
    message: Message | None = strawberry.field(description="The first message, where there is one.", default=None)
    runs: list[Run] | None = strawberry.field(
        description="All runs that answer the first message, one for each model; `runEvents` tells what they say.", default=None
    )
    reused: bool | None = strawberry.field(description="Whether an earlier request with the same key did it.", default=None)


@strawberry.input(description="A change to a chat. What is left out stays as it is.")
class ChatUpdateInput:
    chat_id: strawberry.ID = strawberry.field(description="The chat.")
    title: strawberry.Maybe[str | None] = strawberry.field(
        description="Another title of 1 to 200 characters; null removes it.", default=None
    )
    visibility: strawberry.Maybe[Visibility | None] = strawberry.field(description="Who may read it from now on; never null.", default=None)
    archived: strawberry.Maybe[bool | None] = strawberry.field(description="Whether it belongs into the archive; never null.", default=None)
    pinned: strawberry.Maybe[bool | None] = strawberry.field(
        description="Whether it is pinned in its owner's list; never null.", default=None
    )
    metadata: strawberry.Maybe[JSON | None] = strawberry.field(
        description="Other metadata of at most 16384 bytes of JSON, in place of all that there was; null removes it.", default=None
    )
    expected_revision: int | None = strawberry.field(
        description="The revision that the change is made for; another one is a conflict. Without it the change is made in any case.",
        default=None,
    )


@strawberry.type(description="The chat after the change.")
class ChatUpdatePayload(Payload):
    chat: Chat | None = strawberry.field(description="The chat as it is now.", default=None)


@strawberry.input(description="A chat to delete.")
class ChatDeleteInput:
    chat_id: strawberry.ID = strawberry.field(description="The chat.")


@strawberry.type(description="The chat that was deleted.")
class ChatDeletePayload(Payload):
    deleted_id: strawberry.ID | None = strawberry.field(description="Id of the chat, which is gone.", default=None)


async def _chats(  # noqa: PLR0913 - the arguments of the field
    operation: Operation,
    roots: Sequence[object],  # noqa: ARG001 - a batch's: the query's one root
    needed: Columns | None,
    first: First = None,
    last: Last = None,
    after: After = None,
    before: Before = None,
    *,
    archived: Annotated[bool, strawberry.argument(description="Whether to list the archive instead.")] = False,
    shared_with_me: Annotated[
        bool,
        strawberry.argument(
            description="Whether to list the chats that other members share with you or show to the tenant instead of your own."
        ),
    ] = False,
    pinned: Annotated[
        bool | None, strawberry.argument(description="Only your chats that are pinned, or only those that are not; without it, all.")
    ] = None,
    assistant_id: Annotated[
        strawberry.ID | None, strawberry.argument(description="Only your chats that this assistant answers in.")
    ] = None,
    updated_between: Annotated[TimeRange | None, strawberry.argument(description="Only chats whose last change lies in this span.")] = None,
) -> list[Page]:
    page = await chats.page(
        operation,
        asked(operation, first=first, last=last, after=after, before=before),
        archived=archived,
        pinned=pinned,
        shown_by_others=shared_with_me,
        assistant_id=None if assistant_id is None else local_id(assistant_id, "Assistant", path=["assistantId"]),
        since=None if updated_between is None else updated_between.from_,
        until=None if updated_between is None else updated_between.to,
        columns=needed,
    )
    return [page]


async def _create(info: Info, input: Annotated[ChatCreateInput, strawberry.argument(description="The chat.")]) -> ChatCreatePayload:
    first = input.first_message
    draft = ChatDraft(
        title=input.title,
        visibility=name_of(input.visibility),
        metadata=input.metadata,
        assistant_id=None if input.assistant_id is None else local_id(input.assistant_id, "Assistant", path=["assistantId"]),
        first_message=None if first is None else Draft(texts=texts_of(first.content), model_ids=models_of(first.model_ids, "firstMessage")),
    )
    sent = await chats.create(info.context, draft, key=input.idempotency_key)
    begun = [Run(row=run) for run in sent.runs]
    return ChatCreatePayload(
        chat=Chat.of(sent.chat), run=begun[0] if begun else None, message=Message.of(sent.message), runs=begun, reused=sent.reused
    )


def _given(field: strawberry.Some[Any] | None) -> Any:
    return msgspec.UNSET if field is None else field.value


def _given_value(field: strawberry.Some[Any] | None, name: str) -> Any:
    """Read a field that may be left out, but is never null."""
    if (value := _given(field)) is None:
        raise Invalid(f"`{name}` cannot be null; leave it out.", path=[name], constraint="not_null")
    return value


async def _update(info: Info, input: Annotated[ChatUpdateInput, strawberry.argument(description="The change.")]) -> ChatUpdatePayload:
    visibility = _given_value(input.visibility, "visibility")
    change = ChatChange(
        title=_given(input.title),
        visibility=visibility if visibility is msgspec.UNSET else name_of(visibility),
        metadata=_given(input.metadata),
        archived=_given_value(input.archived, "archived"),
        pinned=_given_value(input.pinned, "pinned"),
        expected_revision=input.expected_revision,
    )
    return ChatUpdatePayload(chat=Chat.of(await chats.change(info.context, local_id(input.chat_id, "Chat", path=["chatId"]), change)))


async def _delete(info: Info, input: Annotated[ChatDeleteInput, strawberry.argument(description="The chat.")]) -> ChatDeletePayload:
    chat_id = local_id(input.chat_id, "Chat", path=["chatId"])
    await chats.delete(info.context, chat_id)
    return ChatDeletePayload(deleted_id=strawberry.ID(global_id("Chat", chat_id)))


@strawberry.type
class Query:
    chats: Connection[Chat] = batch(
        _chats,
        scopes=["chats:read"],
        multipliers=["first", "last"],
        description="Your chats, or those that others share with you, the last changed first.",
    )


@strawberry.type
class Mutation:
    chat_create: ChatCreatePayload = mutation(
        _create,
        payload=ChatCreatePayload,
        scopes=["chats:write"],
        emits=[ChatCreated, MessageCreated, RunQueued],
        description="Begin a chat, and say something in it if you like.",
    )
    chat_update: ChatUpdatePayload = mutation(
        _update,
        payload=ChatUpdatePayload,
        scopes=["chats:write"],
        emits=[ChatUpdated],
        description="Change a chat. Title and metadata need an editor; visibility, archive and pin an owner.",
    )
    chat_delete: ChatDeletePayload = mutation(
        _delete,
        payload=ChatDeletePayload,
        scopes=["chats:delete"],
        emits=[ChatDeleted],
        description="Delete a chat of yours with all that was said in it, for good. An answer that is being made stops.",
    )

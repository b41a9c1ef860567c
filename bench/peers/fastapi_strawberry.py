"""FastAPI with Strawberry, DataLoaders and asyncpg; who asks is in the headers."""

import contextlib
import enum
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Self
from uuid import UUID

import asyncpg
import strawberry
from fastapi import FastAPI, Request
from strawberry.dataloader import DataLoader
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.fastapi import BaseContext, GraphQLRouter

from bench.peers.reading import open_pool, parts, rows, title


class Context(BaseContext):
    """One request: who asks, and what is loaded for them."""

    def __init__(self, pool: asyncpg.Pool, tenant_id: str, user_id: str) -> None:
        super().__init__()
        self.pool = pool
        self.tenant_id = tenant_id
        self.user_id = user_id

    @cached_property
    def messages(self) -> DataLoader[tuple[UUID, UUID, int], list[asyncpg.Record]]:
        return DataLoader(self._messages)

    async def _messages(self, keys: list[tuple[UUID, UUID, int]]) -> list[list[asyncpg.Record]]:
        pages: list[list[asyncpg.Record]] = [[] for _ in keys]
        chats, leaves = [key[0] for key in keys], [key[1] for key in keys]
        for row in await rows(self.pool, self.tenant_id, "messages", chats, leaves, keys[0][2]):
            pages[row["ordinal"] - 1].append(row)
        return pages


Info = strawberry.Info[Context, None]


@strawberry.enum
class MessageRole(enum.Enum):
    SYSTEM = "SYSTEM"
    USER = "USER"
    ASSISTANT = "ASSISTANT"
    TOOL = "TOOL"


@strawberry.type
class TextPart:
    id: strawberry.ID
    text: str


@strawberry.type
class ReasoningPart:
    id: strawberry.ID
    text: str


@strawberry.type
class NoticePart:
    id: strawberry.ID
    kind: str
    text: str


MessagePart = Annotated[TextPart | ReasoningPart | NoticePart, strawberry.union("MessagePart")]


@strawberry.interface
class Node:
    id: strawberry.ID


@strawberry.type
class Message(Node):
    row: strawberry.Private[Any]
    role: MessageRole
    created_at: datetime

    @strawberry.field
    def parts(self, info: Info) -> list[MessagePart]:
        return [TextPart(id=strawberry.ID(part.id), text=part.text) for part in parts(info.context.tenant_id, self.row)]

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        return cls(id=strawberry.ID(f"msg_{row['id'].hex}"), row=row, role=MessageRole(row["role"]), created_at=row["created_at"])


@strawberry.type
class MessageConnection:
    nodes: list[Message]


@strawberry.type
class Chat(Node):
    row: strawberry.Private[Any]
    created_at: datetime
    updated_at: datetime

    @strawberry.field
    def title(self, info: Info) -> str | None:
        return title(info.context.tenant_id, self.row)

    @strawberry.field
    async def messages(self, info: Info, last: int) -> MessageConnection:
        found = await info.context.messages.load((self.row["id"], self.row["head_message_id"], last))
        return MessageConnection(nodes=[Message.of(row) for row in found])

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        return cls(id=strawberry.ID(f"chat_{row['id'].hex}"), row=row, created_at=row["created_at"], updated_at=row["updated_at"])


@strawberry.type
class ChatConnection:
    nodes: list[Chat]


@strawberry.type
class Query:
    @strawberry.field
    async def chats(self, info: Info, first: int) -> ChatConnection:
        context = info.context
        found = await rows(context.pool, context.tenant_id, "chats", UUID(context.user_id), first)
        return ChatConnection(nodes=[Chat.of(row) for row in found])

    @strawberry.field
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        context = info.context
        found = await rows(context.pool, context.tenant_id, "chat", UUID(id.removeprefix("chat_")), UUID(context.user_id))
        return Chat.of(found[0]) if found else None


@dataclass
class State:
    """What the process holds."""

    pool: asyncpg.Pool | None = None


state = State()


@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    state.pool = await open_pool()
    yield
    await state.pool.close()


def context_of(request: Request) -> Context:
    assert state.pool is not None
    return Context(state.pool, request.headers["x-tenant"], request.headers["x-user"])


schema = strawberry.Schema(Query, types=[Chat, Message], extensions=[ParserCache, ValidationCache])
app = FastAPI(lifespan=lifespan)
app.include_router(GraphQLRouter(schema, context_getter=context_of), prefix="/graphql")

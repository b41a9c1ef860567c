"""What is asked, in the words of PENNY and its like, of PostGraphile, and of an endpoint made for it; and what was answered."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from bench.worlds import Person

POST = (
    "POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\naccept: application/json\r\n"
    "{headers}content-length: {length}\r\n\r\n"
)
GET = "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n"
MESSAGES = "messages(last: %d) { nodes { id role createdAt parts { ... on TextPart { text } } } }"
ONE_CHAT = "query ($id: ID!) { node(id: $id) { ... on Chat { id title createdAt updatedAt } } }"
VIEWER = "{ viewer { user { id name email } } }"
MANY_ROWS = """
query ($tenant: UUID!, $user: UUID!) {
  allChats(first: %d, condition: {tenantId: $tenant, ownerId: $user, archivedAt: null}, orderBy: [UPDATED_AT_DESC, ROW_ID_DESC]) {
    nodes { rowId openTitle %s %s }
  }
}"""
MESSAGE_ROWS = "messagesByTenantIdAndChatId(last: %d, orderBy: [DEPTH_ASC]) { nodes { rowId role createdAt text } }"
ONE_ROW = """
query ($tenant: UUID!, $id: UUID!) {
  chatByTenantIdAndRowId(tenantId: $tenant, rowId: $id) { rowId openTitle createdAt updatedAt }
}"""


@dataclass(frozen=True)
class Operation:
    """A read: the `first` chats with their `last` messages, one chat by its id (`first` is 0), or the viewer."""

    name: str
    title: str
    first: int = 0
    last: int = 0
    viewer: bool = False

    @property
    def fields(self) -> str:
        """The times of a chat; of a hundred only one is shown, as in a list."""
        return "createdAt updatedAt" if self.last or not self.first else "updatedAt"


TWENTY = Operation("twenty", "20 chats with 10 messages each", first=20, last=10)
HUNDRED = Operation("hundred", "100 chats", first=100)
ONE = Operation("one", "one chat by id")
WHO = Operation("viewer", "the viewer", viewer=True)
COMPARED = (TWENTY, HUNDRED, ONE)

Asking = Callable[[Operation, Person, UUID], bytes]


def as_penny(operation: Operation, person: Person, chat_id: UUID) -> bytes:
    """Ask as somebody who has signed in."""
    return _posted(*_graphql(operation, chat_id), {"authorization": f"Bearer {person.token}"})


def as_peer(operation: Operation, person: Person, chat_id: UUID) -> bytes:
    """Ask the same; a peer takes the caller's word on who they are."""
    return _posted(*_graphql(operation, chat_id), _trusted(person))


def as_postgraphile(operation: Operation, person: Person, chat_id: UUID) -> bytes:
    tenant = {"tenant": str(person.tenant_id)}
    if not operation.first:
        return _posted(ONE_ROW, tenant | {"id": str(chat_id)}, _trusted(person))
    messages = MESSAGE_ROWS % operation.last if operation.last else ""
    query = MANY_ROWS % (operation.first, operation.fields, messages)
    return _posted(query, tenant | {"user": str(person.user_id)}, _trusted(person))


def by_hand(operation: Operation, person: Person, chat_id: UUID) -> bytes:
    last = f"&last={operation.last}" if operation.last else ""
    path = f"/chats?first={operation.first}{last}" if operation.first else f"/chat?id=chat_{chat_id.hex}"
    return GET.format(path=path, headers=_lines(_trusted(person))).encode()


def constant(operation: Operation, person: Person, chat_id: UUID) -> bytes:  # noqa: ARG001 - whoever asks, for whatever
    """Ask for as many bytes as an answer has, about."""
    size = operation.first * (120 + operation.last * 430) or 140
    return GET.format(path=f"/constant?{size}", headers="").encode()


def _graphql(operation: Operation, chat_id: UUID) -> tuple[str, dict[str, str]]:
    if operation.viewer:
        return VIEWER, {}
    if not operation.first:
        return ONE_CHAT, {"id": f"chat_{chat_id.hex}"}
    messages = MESSAGES % operation.last if operation.last else ""
    return f"{{ chats(first: {operation.first}) {{ nodes {{ id title {operation.fields} {messages} }} }} }}", {}


def _posted(query: str, variables: Mapping[str, str], headers: Mapping[str, str]) -> bytes:
    body = json.dumps({"query": query, "variables": variables}).encode()
    return POST.format(headers=_lines(headers), length=len(body)).encode() + body


def _trusted(person: Person) -> dict[str, str]:
    return {"x-tenant": str(person.tenant_id), "x-user": str(person.user_id)}


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def content(body: bytes) -> list[Any]:
    """What an answer says, whatever its fields are called and however its times and ids are spelled."""
    data = json.loads(body)["data"]
    chats = data.get("chats") or data.get("allChats")
    one = data.get("node") or data.get("chatByTenantIdAndRowId")
    return [_chat(chat) for chat in (chats["nodes"] if chats else [one])]


def _chat(chat: dict[str, Any]) -> list[Any]:
    times = [_time(chat[name]) for name in ("createdAt", "updatedAt") if name in chat]
    page = chat.get("messages") or chat.get("messagesByTenantIdAndChatId") or {"nodes": []}
    return [_id(chat), chat.get("title") or chat.get("openTitle"), times, [_message(one) for one in page["nodes"]]]


def _message(message: dict[str, Any]) -> list[Any]:
    text = message["text"] if "text" in message else "".join(part["text"] for part in message["parts"])
    return [_id(message), message["role"], _time(message["createdAt"]), text]


def _id(row: dict[str, Any]) -> str:
    return str(UUID(row["rowId"])) if "rowId" in row else str(UUID(row["id"].rpartition("_")[2]))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)

"""The world that is measured: who is in it, which chats are theirs, and by which keys their words can be read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import UUID


@dataclass(frozen=True)
class Size:
    """How much there is: tenants, chats of each, messages of each chat."""

    tenants: int
    chats: int
    messages: int

    @property
    def name(self) -> str:
        return f"{self.tenants}x{self.chats}x{self.messages}"


@dataclass(frozen=True)
class Person:
    """Somebody with a tenant of their own, signed in, and their chats; `key` is the tenant's data key of version 1, in hex."""

    tenant_id: UUID
    user_id: UUID
    token: str
    key: str
    chat_ids: tuple[UUID, ...]

    @classmethod
    def read(cls, given: dict[str, Any]) -> Self:
        chat_ids = tuple(map(UUID, given["chat_ids"]))
        return cls(UUID(given["tenant_id"]), UUID(given["user_id"]), given["token"], given["key"], chat_ids)

    def written(self) -> dict[str, Any]:
        chat_ids = [str(chat_id) for chat_id in self.chat_ids]
        return {"tenant_id": str(self.tenant_id), "user_id": str(self.user_id), "token": self.token, "key": self.key, "chat_ids": chat_ids}


def read(file: Path) -> list[Person]:
    """Read what `write` wrote."""
    return [Person.read(one) for one in json.loads(file.read_text())]


def write(people: list[Person], file: Path) -> None:
    """Write the people for later runs and, beside them, `keys.json`: each tenant's data key for the peers, who have no keyring."""
    file.write_text(json.dumps([person.written() for person in people]))
    file.with_name("keys.json").write_text(json.dumps({str(person.tenant_id): person.key for person in people}))

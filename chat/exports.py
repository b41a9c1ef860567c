"""A chat as a text to take away: the whole tree as JSON in a form of ours, or one branch as Markdown. `docs/exports.md` describes both."""

from collections.abc import AsyncIterator
from datetime import UTC
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from auth.policies.chats import can_read_chat
from auth.viewers import Viewer
from chat.contents import NoticePart, Part, ReasoningPart, SummaryPart, TextPart, opened
from chat.contexts import END
from chat.headings import opened_metadata, opened_titles
from db.scopes import Reads, Row
from db.statements import chats, messages, runs, users
from errors import Invalid, NotFound
from settings import Settings

FORMAT: Final = "penny.chat"
VERSION: Final = 1
PAGE: Final = 500
_SPEAKERS: Final = {"ASSISTANT": "Assistant", "SUMMARY": "Summary", "SYSTEM": "System", "TOOL": "Tool"}
_QUOTED: Final = ("notice", "summary")


class Export(NamedTuple):
    """A text and what to call it."""

    name: str
    media_type: str
    text: str


class Exports:
    """Writes chats out for whoever may read them; another person's name is in it for those who may see the members."""

    def __init__(self, *, keyring: Keyring, settings: Settings) -> None:
        self._keyring = keyring
        self._settings = settings

    async def as_json(self, reads: Reads, viewer: Viewer, chat_id: UUID, leaf_id: UUID | None) -> Export:
        """Write all messages of a chat, or those of one branch."""
        cipher, chat, title = await self._heading(reads, viewer, chat_id)
        pages = self._tree(reads, chat) if leaf_id is None else self._branch(reads, chat, leaf_id)
        written = [one async for page in pages for one in await self._described(reads, viewer, cipher, page)]
        whole = {
            "format": FORMAT,
            "version": VERSION,
            "chat": {
                "id": chat["id"], "title": title, "metadata": opened_metadata(cipher, chat), "createdAt": chat["created_at"],
                "updatedAt": chat["updated_at"], "headMessageId": chat["head_message_id"],
            },
            "messages": written,
        }  # fmt: skip
        return Export(f"chat-{chat_id.hex}.json", "application/json", msgspec.json.encode(whole, enc_hook=str).decode())

    async def as_markdown(self, reads: Reads, viewer: Viewer, chat_id: UUID, leaf_id: UUID | None) -> Export:
        """Write one branch: the one that ends with the leaf, or with the head."""
        cipher, chat, title = await self._heading(reads, viewer, chat_id)
        leaf_id = leaf_id or chat["head_message_id"]
        pieces = [f"# {_one_line(title) or 'Chat'}"]
        if leaf_id is not None:
            async for page in self._branch(reads, chat, leaf_id):
                pieces += [_section(one) for one in await self._described(reads, viewer, cipher, page)]
        return Export(f"chat-{chat_id.hex}.md", "text/markdown", "\n\n".join(pieces) + "\n")

    async def _heading(self, reads: Reads, viewer: Viewer, chat_id: UUID) -> tuple[TenantCipher, Row, str | None]:
        cipher = await self._keyring.cipher(viewer.tenant_id)
        async with reads.reading(viewer.tenant_id) as scope:
            chat = await chats.by_id(scope, viewer.tenant_id, chat_id)
        if chat is None or not can_read_chat(viewer, chat):
            raise NotFound("There is no Chat with this id.")
        (title,) = opened_titles(cipher, [chat])
        if isinstance(title, Exception):
            raise title
        return cipher, chat, title

    async def _tree(self, reads: Reads, chat: Row) -> AsyncIterator[list[Row]]:
        """Read all messages of a chat, in the order in which they were begun."""
        beyond: UUID | None = None
        read, more = 0, True
        while more:
            async with reads.reading(chat["tenant_id"]) as scope:
                page = await messages.page_of_chat(scope, chat["tenant_id"], chat["id"], beyond=beyond, limit=PAGE)
            read, more = self._counted(read, page), len(page) == PAGE
            beyond = page[-1]["id"] if page else None
            yield page

    async def _branch(self, reads: Reads, chat: Row, leaf_id: UUID) -> AsyncIterator[list[Row]]:
        """Read the messages that lead to a leaf, the first one first."""
        branch, depth = (chat["id"], leaf_id), -1
        read, more = 0, True
        while more:
            async with reads.reading(chat["tenant_id"]) as scope:
                found = await messages.pages_of_branches(
                    scope, chat["tenant_id"], [branch], newest_first=False, above=depth, below=END, roles=None, limit=PAGE
                )
            page = found.get(branch, [])
            if not page and not read:
                raise NotFound("There is no message with this id in the chat.", path=("leaf",))
            read, more = self._counted(read, page), len(page) == PAGE
            depth = page[-1]["depth"] if page else depth
            yield page

    def _counted(self, read: int, page: list[Row]) -> int:
        most = self._settings.export_max_messages
        if read + len(page) > most:
            message = f"More than {most:,} messages cannot be exported at once; export single branches."
            raise Invalid(message, path=("leaf",), constraint=f"max_items={most}")
        return read + len(page)

    async def _described(self, reads: Reads, viewer: Viewer, cipher: TenantCipher, page: list[Row]) -> list[dict[str, Any]]:
        """Say of each message what both formats tell."""
        authors = {row["author_id"] for row in page if row["author_id"] is not None}
        if not viewer.may("members:read"):
            authors &= {viewer.user_id}
        async with reads.reading(viewer.tenant_id) as scope:
            names = await users.names(scope, authors)
            made = await runs.by_ids(scope, viewer.tenant_id, [row["run_id"] for row in page if row["run_id"]], frozenset({"model"}))
        models = {run["id"]: run["model"] for run in made}
        return [_description(cipher, row, names, models) for row in page]


def _description(cipher: TenantCipher, row: Row, names: dict[UUID, str], models: dict[UUID, str | None]) -> dict[str, Any]:
    parts = [_part(part) for part in opened(cipher, row["id"], row["content"])]
    return {
        "id": row["id"], "parentId": row["parent_id"], "role": row["role"], "author": names.get(row["author_id"]),
        "model": models.get(row["run_id"]), "status": row["status"], "createdAt": row["created_at"], "parts": parts,
    }  # fmt: skip


def _part(part: Part) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ReasoningPart():
            return {"type": "reasoning", "text": part.text}
        case NoticePart():
            return {"type": "notice", "kind": part.kind, "text": part.text}
        case SummaryPart():
            return {"type": "summary", "coversThrough": part.covers_through, "text": part.text}


def _section(message: dict[str, Any]) -> str:
    """Write a message for people: who speaks and when, then the text; a model's thoughts are left out."""
    speaker = _one_line(message["author"] or message["model"]) or _SPEAKERS.get(message["role"], "Somebody")
    at = message["createdAt"].astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    said = [_quoted(part["text"]) if part["type"] in _QUOTED else part["text"] for part in message["parts"] if part["type"] != "reasoning"]
    return "\n\n".join([f"## {speaker}, {at}", *said])


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())

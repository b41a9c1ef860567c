"""A chat as a text to take away: the whole tree as JSON in a form of ours, or one branch as Markdown. `docs/exports.md` describes both."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from auth.policies.chats import can_read_chat
from auth.viewers import Viewer
from chat.contents import NoticePart, Part, ReasoningPart, SummaryPart, TextPart, opened
from chat.contexts import BEGINNING, END
from chat.headings import opened_metadata, opened_titles
from db.scopes import Reads, Row
from db.statements import chats, messages, runs, users
from errors import Invalid, NotFound
from settings import Settings

FORMAT: Final = "penny.chat"
VERSION: Final = 1
# Of the longest messages a page is 13 MB.
PAGE: Final = 100
_SPEAKERS: Final = {"ASSISTANT": "Assistant", "SUMMARY": "Summary", "SYSTEM": "System", "TOOL": "Tool"}
_QUOTED: Final = ("notice", "summary")


class ExportIsTooLong(Invalid):
    """All of it is more than one text may be."""

    def __init__(self, constraint: str) -> None:
        super().__init__(
            "This is too long for one export: ask for it in parts, or for single branches.", path=("inParts",), constraint=constraint
        )


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What somebody wants of a chat: all of it, or the branch to a leaf; at once, or a part that begins beyond a message."""

    as_json: bool
    leaf_id: UUID | None = None
    in_parts: bool = False
    beyond: UUID | int | None = None

    @property
    def is_tree(self) -> bool:
        """Whether the whole tree is wanted: its messages come by their ids, those of a branch by their depths."""
        return self.as_json and self.leaf_id is None


class Export(NamedTuple):
    """A text and what to call it, and the wish for what comes after it; None where that is all."""

    name: str
    media_type: str
    text: str
    rest: Wish | None


class _Written(NamedTuple):
    """The messages of an export, each as it is written there, and the wish for those after them."""

    pieces: list[bytes]
    rest: Wish | None


class Exports:
    """Writes chats out for whoever may read them; another person's name is in it for those who may see the members."""

    def __init__(self, *, keyring: Keyring, settings: Settings) -> None:
        self._keyring = keyring
        self._settings = settings

    async def write(self, reads: Reads, viewer: Viewer, chat_id: UUID, wish: Wish) -> Export:
        """Write what is wanted; raises `ExportIsTooLong` where it is more than one text may be, and not wanted in parts."""
        cipher, chat, title = await self._heading(reads, viewer, chat_id)
        written = await self._written(reads, viewer, cipher, chat, wish)
        if not wish.as_json:
            heading = [] if wish.beyond is not None else [f"# {_one_line(title) or 'Chat'}".encode()]
            text = b"\n\n".join([*heading, *written.pieces]).decode() + "\n"
            return Export(f"chat-{chat_id.hex}.md", "text/markdown", text, written.rest)
        whole = {
            "format": FORMAT,
            "version": VERSION,
            "chat": {
                "id": chat["id"], "title": title, "metadata": opened_metadata(cipher, chat), "createdAt": chat["created_at"],
                "updatedAt": chat["updated_at"], "headMessageId": chat["head_message_id"],
            },
            "messages": [msgspec.Raw(piece) for piece in written.pieces],
        }  # fmt: skip
        return Export(f"chat-{chat_id.hex}.json", "application/json", _json(whole).decode(), written.rest)

    async def _written(self, reads: Reads, viewer: Viewer, cipher: TenantCipher, chat: Row, wish: Wish) -> _Written:
        """Write messages until there are no more, or no more fit."""
        write, pieces, size = _json if wish.as_json else _section, list[bytes](), 0
        leaf_id = None if wish.is_tree else wish.leaf_id or chat["head_message_id"]
        if not wish.is_tree and leaf_id is None:
            return _Written([], None)
        pages = self._tree(reads, chat, wish.beyond) if leaf_id is None else self._branch(reads, chat, leaf_id, wish.beyond)
        full, beyond = None, wish.beyond
        async for page in pages:
            for row, one in zip(page, await self._described(reads, viewer, cipher, page), strict=True):
                if full is not None:
                    if not wish.in_parts:
                        raise ExportIsTooLong(full)
                    return _Written(pieces, replace(wish, leaf_id=leaf_id, beyond=beyond))
                pieces.append(write(one))
                size, beyond = size + len(pieces[-1]), row["id"] if wish.is_tree else row["depth"]
                full = self._full(len(pieces), size)
        return _Written(pieces, None)

    def _full(self, count: int, size: int) -> str | None:
        """Name the limit that an export has come to."""
        most, longest = self._settings.export_max_messages, self._settings.export_max_bytes
        if count >= most:
            return f"max_items={most}"
        return f"max_bytes={longest}" if size >= longest else None

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

    async def _tree(self, reads: Reads, chat: Row, beyond: Any) -> AsyncIterator[list[Row]]:
        """Read all messages of a chat beyond one, in the order in which they were begun."""
        more = True
        while more:
            async with reads.reading(chat["tenant_id"]) as scope:
                page = await messages.page_of_chat(scope, chat["tenant_id"], chat["id"], beyond=beyond, limit=PAGE)
            more = len(page) == PAGE
            beyond = page[-1]["id"] if page else None
            yield page

    async def _branch(self, reads: Reads, chat: Row, leaf_id: UUID, beyond: Any) -> AsyncIterator[list[Row]]:
        """Read the messages that lead to a leaf beyond a depth, the first one first."""
        branch, depth = (chat["id"], leaf_id), BEGINNING if beyond is None else beyond
        more = True
        while more:
            async with reads.reading(chat["tenant_id"]) as scope:
                found = await messages.pages_of_branches(
                    scope, chat["tenant_id"], [branch], newest_first=False, above=depth, below=END, roles=None, limit=PAGE
                )
            page = found.get(branch, [])
            if not page and depth == BEGINNING:
                raise NotFound("There is no message with this id in the chat.", path=("leaf",))
            more = len(page) == PAGE
            depth = page[-1]["depth"] if page else depth
            yield page

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


def _json(value: dict[str, Any]) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)


def _section(message: dict[str, Any]) -> bytes:
    """Write a message for people: who speaks and when, then the text; a model's thoughts are left out."""
    speaker = _one_line(message["author"] or message["model"]) or _SPEAKERS.get(message["role"], "Somebody")
    at = message["createdAt"].astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    said = [_quoted(part["text"]) if part["type"] in _QUOTED else part["text"] for part in message["parts"] if part["type"] != "reasoning"]
    return "\n\n".join([f"## {speaker}, {at}", *said]).encode()


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())

"""What somebody wants to say, begin or change, and the rules that it keeps."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from chat.turns import Busy
from errors import Invalid
from settings import Settings


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What somebody wants to say."""

    texts: Sequence[str]
    parent_id: UUID | None = None
    if_busy: Busy = Busy.REJECT
    model_ids: Sequence[UUID] = ()
    routing_policy_id: UUID | None = None
    max_output_tokens: int | None = None
    background: bool = True
    assistant_version_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class ChatDraft:
    """A chat that somebody wants to begin."""

    title: str | None = None
    visibility: str = "PRIVATE"
    metadata: Any = None
    assistant_id: UUID | None = None
    first_message: Draft | None = None


@dataclass(frozen=True, kw_only=True)
class ChatChange:
    """What to change of a chat; `UNSET` leaves a field as it is, None clears it."""

    title: str | msgspec.UnsetType | None = msgspec.UNSET
    visibility: str | msgspec.UnsetType = msgspec.UNSET
    metadata: Any = msgspec.UNSET
    archived: bool | msgspec.UnsetType = msgspec.UNSET
    pinned: bool | msgspec.UnsetType = msgspec.UNSET
    expected_revision: int | None = None

    @property
    def needs_owner(self) -> bool:
        """Whether it changes who sees the chat and where, and not only what stands over it."""
        return any(given is not msgspec.UNSET for given in (self.visibility, self.archived, self.pinned))


def check_title(title: str | None, settings: Settings) -> None:
    """Raise `Invalid` for a title that breaks a rule."""
    most = settings.chat_title_max_length
    if title is not None and (not 0 < len(title.strip()) <= most or any(unicodedata.category(letter) == "Cc" for letter in title)):
        raise Invalid(f"A title has 1 to {most} characters and no control characters.", path=("title",), constraint=f"length=1..{most}")


def check_texts(texts: Sequence[str], settings: Settings, *, path: Sequence[str] = ("content",)) -> None:
    """Raise `Invalid` for a message that breaks a rule."""
    parts, most = settings.message_max_parts, settings.message_max_bytes
    if not 1 <= len(texts) <= parts:
        raise Invalid(f"A message has 1 to {parts} parts.", path=path, constraint=f"parts=1..{parts}")
    if not any(text.strip() for text in texts):
        raise Invalid("The message is empty.", path=path, constraint="not_empty")
    if sum(len(text.encode()) for text in texts) > most:
        raise Invalid(f"The message is longer than {most:,} bytes.", path=path, constraint=f"max_bytes={most}")
    if any("\x00" in text for text in texts):
        raise Invalid("The message contains a NUL character.", path=path, constraint="no_nul")


def check_length(tokens: int | None) -> None:
    """Raise `Invalid` for a longest answer of no length."""
    if tokens is not None and tokens < 1:
        raise Invalid("An answer has at least one token.", path=("maxOutputTokens",), constraint="min=1")

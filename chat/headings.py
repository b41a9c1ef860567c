"""What stands over a chat, its title and metadata: encrypted for its row, and read again."""

import math
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from auth.encryption.ciphers import TenantCipher
from db.scopes import Row
from errors import Invalid
from settings import Settings

METADATA_LEVELS: Final = 32


def sealed_title(cipher: TenantCipher, chat_id: UUID, title: str | None) -> bytes | None:
    """Encrypt a chat's title for its row."""
    return None if title is None else cipher.encrypt("chats", "title", chat_id, title.strip().encode())


def opened_titles(cipher: TenantCipher, chats: Sequence[Row]) -> list[str | Exception | None]:
    """Decrypt the titles of chats; in the place of one that is unreadable stands why."""
    titled = [(chat["id"], chat["title"]) for chat in chats if chat["title"] is not None]
    contents = iter(cipher.decrypt_many("chats", "title", titled))
    found = (None if chat["title"] is None else next(contents) for chat in chats)
    return [content.decode() if isinstance(content, bytes) else content for content in found]


def sealed_metadata(cipher: TenantCipher, chat_id: UUID, metadata: Any, settings: Settings) -> bytes | None:
    """Encrypt a chat's metadata for its row; raises `Invalid` for what breaks a rule."""
    if metadata is None:
        return None
    if not _is_plain(metadata):
        message = f"Metadata has at most {METADATA_LEVELS} levels, finite numbers, and whole numbers of at most 64 bits."
        raise Invalid(message, path=("metadata",), constraint="plain_json")
    written, most = msgspec.json.encode(metadata), settings.metadata_max_bytes
    if len(written) > most:
        raise Invalid(f"The metadata is longer than {most:,} bytes of JSON.", path=("metadata",), constraint=f"max_bytes={most}")
    return cipher.encrypt("chats", "metadata", chat_id, written)


def opened_metadata(cipher: TenantCipher, chat: Row) -> Any:
    """Decrypt a chat's metadata."""
    return None if chat["metadata"] is None else msgspec.json.decode(cipher.decrypt("chats", "metadata", chat["id"], chat["metadata"]))


def _is_plain(value: Any, levels: int = METADATA_LEVELS) -> bool:
    """Whether a JSON value can be written again for every reader: no depth, number or text that some encoder refuses."""
    if isinstance(value, dict):
        return levels > 0 and all(_is_plain(key, levels - 1) and _is_plain(inner, levels - 1) for key, inner in value.items())
    if isinstance(value, list):
        return levels > 0 and all(_is_plain(inner, levels - 1) for inner in value)
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or -(2**63) <= value < 2**63

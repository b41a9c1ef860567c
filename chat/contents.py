"""What a message holds: its parts, kept as one encrypted document, so that a message costs one decryption."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from auth.encryption.ciphers import TenantCipher


class TextPart(msgspec.Struct, frozen=True, tag="text"):
    """Text for people, in Markdown where a model wrote it. One that is incomplete broke off, and was begun anew after it."""

    id: UUID
    text: str
    incomplete: bool = False


class ReasoningPart(msgspec.Struct, frozen=True, tag="reasoning"):
    """What a model thought aloud before its answer."""

    id: UUID
    text: str
    incomplete: bool = False


class NoticePart(msgspec.Struct, frozen=True, tag="notice"):
    """What PENNY itself has to say of the answer, such as why it ended early."""

    id: UUID
    kind: str
    text: str


class SummaryPart(msgspec.Struct, frozen=True, tag="summary"):
    """What was said up to a message, in short: a model is given it in place of all that it covers."""

    id: UUID
    text: str
    covers_through: UUID
    tokens_saved: int


Part = TextPart | ReasoningPart | NoticePart | SummaryPart

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[Part])


def text_parts(texts: list[str]) -> list[Part]:
    """Make the parts of a message that somebody wrote."""
    return [TextPart(uuid7(), text) for text in texts]


def copied(parts: Sequence[Part], messages: Mapping[UUID, UUID] | None = None) -> list[Part]:
    """Say the same in parts of another message, which have ids of their own; `messages` leads from those they name to copies of them."""
    return [_copied(part, messages or {}) for part in parts]


def _copied(part: Part, messages: Mapping[UUID, UUID]) -> Part:
    if isinstance(part, SummaryPart):
        return msgspec.structs.replace(part, id=uuid7(), covers_through=messages.get(part.covers_through, part.covers_through))
    return msgspec.structs.replace(part, id=uuid7())


def summary_of(parts: Sequence[Part]) -> SummaryPart | None:
    """Return the summary that a message holds."""
    return next((part for part in parts if isinstance(part, SummaryPart)), None)


def plain_text(parts: list[Part]) -> str:
    """Return what a model is given of a message: its texts, without thoughts, notices and what broke off and was begun anew."""
    return "\n\n".join(part.text for part in parts if isinstance(part, TextPart) and not part.incomplete)


def plain_texts(cipher: TenantCipher, messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Decrypt what messages' rows say; one that is unreadable says nothing."""
    return [plain_text(parts) if isinstance(parts, list) else "" for parts in opened_many(cipher, messages)]


def sealed(cipher: TenantCipher, message_id: UUID, parts: list[Part]) -> bytes:
    """Encrypt a message's parts for its row."""
    return cipher.encrypt("messages", "content", message_id, _encoder.encode(parts))


def opened_many(cipher: TenantCipher, messages: Sequence[Mapping[str, Any]]) -> list[list[Part] | Exception]:
    """Decrypt the parts of messages' rows; in the place of one that is unreadable stands why."""
    contents = cipher.decrypt_many("messages", "content", [(message["id"], message["content"]) for message in messages])
    return [content if isinstance(content, Exception) else _decoded(content) for content in contents]


def _decoded(content: bytes) -> list[Part] | Exception:
    try:
        return _decoder.decode(content)
    except msgspec.MsgspecError as error:
        return error


def opened(cipher: TenantCipher, message_id: UUID, content: bytes) -> list[Part]:
    """Decrypt a message's parts; raises `ContentIsUnreadable`."""
    return _decoder.decode(cipher.decrypt("messages", "content", message_id, content))

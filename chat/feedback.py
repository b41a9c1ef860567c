"""What people think of answers: a rating for everybody to count, tags and a comment that only their author reads."""

from typing import Final
from uuid import UUID

import msgspec

from auth.encryption.ciphers import TenantCipher
from auth.policies.chats import can_comment_chat
from auth.viewers import Viewer
from chat.acts import Acts
from chat.locks import visible
from db.scopes import Row
from db.statements import feedback, messages
from db.tables.feedback import Feedback
from errors import Conflict, Invalid, NotFound, PermissionDenied
from events.facts import MessageRated, record
from settings import Settings

RATINGS: Final = (-1, 0, 1)


class OnlyAnswersAreRated(Conflict):
    """The message was written by a person, or there is nothing left of it."""

    def __init__(self) -> None:
        super().__init__("Only a model's answer can be rated, as long as its content is there.", path=("messageId",))


class Opinion(msgspec.Struct, frozen=True):
    """What somebody thinks of an answer."""

    rating: int = 0
    tags: list[str] = msgspec.field(default_factory=list)
    comment: str | None = None


class _Words(msgspec.Struct, frozen=True):
    """What of an opinion is kept encrypted."""

    tags: list[str]
    comment: str | None


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Words)


class Opinions:
    """Keeps one opinion of each person on each answer."""

    def __init__(self, *, acts: Acts, settings: Settings) -> None:
        self._acts = acts
        self._settings = settings

    async def put(self, viewer: Viewer, message_id: UUID, opinion: Opinion) -> Row:
        """Keep the viewer's opinion in place of an earlier one, an empty one by forgetting it; returns the message."""
        self._check(opinion)
        missing = NotFound("There is no Message with this id.", path=("messageId",))
        async with self._acts.begun(viewer) as act:
            message = await messages.by_id(act.scope, act.tenant_id, message_id)
            if message is None:
                raise missing
            chat = await visible(act.scope, viewer, message["chat_id"], missing)
            if not can_comment_chat(viewer, chat):
                raise PermissionDenied("Only who may comment on the chat rates its answers.", required_scopes=("chats:write",))
            # Read again behind the lock: it may have been redacted meanwhile.
            message = await messages.by_id(act.scope, act.tenant_id, message_id)
            if message is None or message["role"] != "ASSISTANT" or message["status"] == "REDACTED":
                raise OnlyAnswersAreRated
            if opinion == Opinion():
                await feedback.remove(act.scope, act.tenant_id, message_id, viewer.user_id)
            else:
                content = act.cipher.encrypt("feedback", "content", _place(message_id, viewer.user_id), _encoder.encode(_words(opinion)))
                row = Feedback(
                    tenant_id=act.tenant_id, message_id=message_id, user_id=viewer.user_id, rating=opinion.rating, content=content
                )
                await feedback.put(act.scope, row)
            await record(act.scope, act.tenant_id, MessageRated(chat_id=message["chat_id"], message_id=message_id), by=viewer)
            return message

    def _check(self, opinion: Opinion) -> None:
        most, longest = self._settings.feedback_max_tags, self._settings.feedback_tag_max_length
        if opinion.rating not in RATINGS:
            raise Invalid("A rating is -1, 0 or 1.", path=("rating",), constraint="range=-1..1")
        if len(opinion.tags) > most or len({*opinion.tags}) != len(opinion.tags):
            raise Invalid(f"At most {most} tags, each once.", path=("tags",), constraint=f"max_items={most}")
        if any(not 0 < len(tag.strip()) <= longest for tag in opinion.tags):
            raise Invalid(f"A tag has 1 to {longest} characters.", path=("tags",), constraint=f"length=1..{longest}")
        most = self._settings.feedback_max_bytes
        if opinion.comment is not None and not 0 < len(opinion.comment.encode()) <= most:
            raise Invalid(f"A comment has 1 to {most:,} bytes.", path=("comment",), constraint=f"max_bytes={most}")


def opened_opinion(cipher: TenantCipher, row: Row) -> Opinion:
    """Decrypt an opinion's row; raises `ContentIsUnreadable`."""
    words = _decoder.decode(cipher.decrypt("feedback", "content", _place(row["message_id"], row["user_id"]), row["content"]))
    return Opinion(row["rating"], words.tags, words.comment)


def _words(opinion: Opinion) -> _Words:
    return _Words(opinion.tags, opinion.comment)


def _place(message_id: UUID, user_id: UUID) -> str:
    """Name what an opinion is encrypted for; asyncpg's ids print like all others."""
    return f"{message_id}:{user_id}"

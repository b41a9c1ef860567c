"""What a model is given: the assistant's instructions, the latest summary, and the messages after what it covers, as many as fit."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from auth.encryption.ciphers import TenantCipher
from chat.assistants import Content
from chat.contents import Part, SummaryPart, opened, plain_text, summary_of
from db.scopes import Reading, Row
from db.statements import messages
from errors import Conflict
from inference.deployments import Model
from inference.models import ModelMessage, ModelRequest
from settings import Settings

_ROLES: Final = {"USER": "user", "ASSISTANT": "assistant", "SYSTEM": "system"}
_IN_SHORT: Final = "What was said before, in short:\n\n"
# OpenAI's rule of thumb for English; a message costs four tokens more than its text.
BYTES_PER_TOKEN: Final = 4
MESSAGE_TOKENS: Final = 4
BEGINNING, END = -1, 2_147_483_647


class ContextOverflow(Conflict):
    """What was said is longer than any model that may be asked could read beside its answer, were there nothing else."""

    code = "CONTEXT_OVERFLOW"

    def __init__(self, *, limit_tokens: int, requested_tokens: int) -> None:
        super().__init__(
            f"The message takes about {requested_tokens:,} tokens, and {limit_tokens:,} can be read beside an answer.", path=("content",)
        )
        self.limit_tokens = limit_tokens
        self.requested_tokens = requested_tokens


class Heard(NamedTuple):
    """A message of a branch, decrypted."""

    id: UUID
    role: str
    parts: list[Part]

    @property
    def said(self) -> ModelMessage | None:
        """The message as a model is given it; None where it holds nothing for one."""
        text = plain_text(self.parts)
        return ModelMessage(_ROLES[self.role], text) if text and self.role in _ROLES else None  # type: ignore[arg-type] # the literals


class Window(NamedTuple):
    """What of a branch a model is given: `told` before all, the summary, and what was `heard` after that which it covers.

    The oldest of what was heard gives way where all is more than `limit` tokens.
    """

    told: tuple[ModelMessage, ...]
    summary: SummaryPart | None
    heard: tuple[Heard, ...]
    limit: int

    @property
    def before(self) -> tuple[ModelMessage, ...]:
        """What comes before the messages."""
        return self.told if self.summary is None else (*self.told, ModelMessage("system", in_short(self.summary.text)))

    @property
    def system_tokens(self) -> int:
        """What is told and summarised, in tokens."""
        return sum(tokens_of(message.text) for message in self.before)

    @property
    def tokens(self) -> int:
        """All of it in tokens, fitting or not."""
        return self.system_tokens + sum(tokens_of(said.text) for one in self.heard if (said := one.said) is not None)

    def messages(self) -> tuple[ModelMessage, ...]:
        """Return what fits: the latest messages, and the last one in any case."""
        room, chosen = self.limit - self.system_tokens, list[ModelMessage]()
        for one in reversed(self.heard):
            if (said := one.said) is None:
                continue
            room -= tokens_of(said.text)
            if chosen and room < 0:
                break
            chosen.append(said)
        return (*self.before, *reversed(chosen))


async def read_branch(scope: Reading, tenant_id: UUID, chat_id: UUID, leaf_id: UUID, settings: Settings) -> list[Row]:
    """Read the messages that lead to a leaf, the oldest first, as many as a model is ever given."""
    asked = (chat_id, leaf_id)
    pages = await messages.pages_of_branches(
        scope, tenant_id, [asked], newest_first=True, above=BEGINNING, below=END, roles=None, limit=settings.run_context_messages
    )
    return list(reversed(pages.get(asked, [])))


def window_of(branch: Sequence[Row], version: Content | None, cipher: TenantCipher, *, limit: int) -> Window:
    """Look back along a branch to the last summary, and beyond it to what it covers."""
    heard: list[Heard] = []
    summary: SummaryPart | None = None
    for row in reversed(branch):
        if summary is not None and row["id"] == summary.covers_through:
            break
        one = Heard(row["id"], row["role"], opened(cipher, row["id"], row["content"]))
        summary = summary or summary_of(one.parts)
        heard.append(one)
    told = () if version is None else (ModelMessage("system", version.instructions),)
    return Window(told, summary, tuple(reversed(heard)), limit)


class Room(NamedTuple):
    """How contexts are divided, in tokens: what can be given, and the longest answer."""

    limit: int
    most: int


def usual_room(settings: Settings) -> Room:
    """The room of the operator's own model, where nobody knows who will be asked."""
    most = min(settings.model_max_output_tokens, max(1, settings.model_context_tokens // 2))
    return Room(settings.model_context_tokens - most, most)


def room_among(readers: Sequence[Model], asked: int) -> Room:
    """The room that models have together: what the widest can be given beside an answer, and the longest answer that any gives.

    This is all that decides how much of a conversation is read. For whom it is too much is passed over by the router.
    """
    limit = max(model.context_tokens - model.reserved(asked) for model in readers)
    return Room(limit, max(min(asked, model.max_output_tokens) for model in readers))


class Given(NamedTuple):
    """What a model is given to answer a question, and how: the longest answer in tokens, and the temperature."""

    window: Window
    most: int
    temperature: float | None

    def request(self) -> ModelRequest:
        """Put it as a model is asked."""
        return ModelRequest(messages=self.window.messages(), max_output_tokens=self.most, temperature=self.temperature)


def given(  # noqa: PLR0913 - what a question is made of
    branch: Sequence[Row], version: Content | None, cipher: TenantCipher, *, readers: Sequence[Model], asked: int | None, settings: Settings
) -> Given:
    """Say what models are given of a branch, where an answer of so many tokens was asked for, or as long a one as usual."""
    room = room_among(readers, wanted_length(asked, version, settings))
    return Given(window_of(branch, version, cipher, limit=room.limit), room.most, version.parameters.temperature if version else None)


def wanted_length(asked: int | None, version: Content | None, settings: Settings) -> int:
    """How long an answer may become, in tokens: as was asked for, or as the assistant says, or as usual."""
    return asked or (version.parameters.max_output_tokens if version else None) or settings.model_max_output_tokens


def check_fits(text: str, before: Sequence[ModelMessage], *, limit: int) -> int:
    """Say how many tokens a message takes with what comes before all (`Window.before`), even if nothing that was heard is given with it.

    Raises `ContextOverflow` where that is more than anybody could be given.
    """
    needed = tokens_of(text) + sum(tokens_of(message.text) for message in before)
    if needed > limit:
        raise ContextOverflow(limit_tokens=max(0, limit), requested_tokens=needed)
    return needed


def in_short(summary: str) -> str:
    """Return a summary as a model is given it."""
    return _IN_SHORT + summary


def tokens_of(text: str) -> int:
    """Estimate what a message costs; all of a request is never estimated to cost more than its messages."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN) + MESSAGE_TOKENS

"""Titles that a model writes: after the first answer of a chat that nobody has named, once, by a job."""

import re
from typing import Final
from uuid import UUID

import msgspec

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from chat.asides import Aside, Ask, Way
from chat.contents import opened, plain_text
from chat.headings import sealed_title
from chat.routes import Kind
from db.scopes import Row, TenantScopes, Writing
from db.statements import chats, messages
from errors import Conflict
from events.facts import ChatUpdated, record
from events.jobs import JobRun, Jobs
from inference.models import ModelMessage, ModelRequest, ProviderFailed
from knowledge import terms
from settings import Settings

KIND: Final = "chat_title"
PERSON: Final = "PERSON"
_ASKED: Final = (
    "Write a title for a conversation that begins with the message below: at most six words, in the language of the message, "
    "without quotation marks. Answer with the title alone, and do not answer the message."
)
_MOST_TOKENS: Final = 64
_LONGEST: Final = 80
# Of the first message a model reads so much: what a conversation is about stands at its beginning.
_READ: Final = 2000
_ORNAMENTS: Final = " \t\"'`*_#\u201c\u201d\u2018\u2019\u00ab\u00bb"
_LABEL: Final = re.compile(r"^(?:title|titel|titre|título)\s*:\s*", re.IGNORECASE)


class Titling(msgspec.Struct):
    """The chat that wants a title, and the message that it begins with."""

    chat: UUID
    question: UUID
    way: Way = Way()


class ModelIsSilent(Conflict):
    """No title was to be had; the chat is as it was."""


async def wish(scope: Writing, jobs: Jobs, run: Row, settings: Settings) -> None:
    """Have a title written, in the transaction that ends an answer, where a chat has none and nobody has said what it is called."""
    if not settings.chat_titles or not await chats.is_untitled(scope, run["tenant_id"], run["chat_id"]):
        return
    titling = Titling(chat=run["chat_id"], question=run["input_message_id"], way=Way.of(run))
    await jobs.add(scope, run["tenant_id"], KIND, titling, created_by=run["created_by"], key=titling.chat.hex)


class Titles:
    """Writes the titles that were wished for; `ask` is the model that does."""

    def __init__(self, *, scopes: TenantScopes, keyring: Keyring, ask: Ask) -> None:
        self._scopes = scopes
        self._keyring = keyring
        self._ask = ask

    async def write(self, job: JobRun) -> None:
        """Do the job. Whoever names the chat meanwhile is faster, and what they say stands."""
        titling, cipher = job.arguments(Titling), await self._keyring.cipher(job.tenant_id)
        async with self._scopes.reading(job.tenant_id) as scope:
            wanted = await chats.is_untitled(scope, job.tenant_id, titling.chat)
            question = await messages.by_id(scope, job.tenant_id, titling.question)
        if not wanted or question is None or question["status"] == "REDACTED":
            return
        title = await self._title(job, titling, plain_text(opened(cipher, question["id"], question["content"])))
        async with self._scopes.writing(job.tenant_id) as scope:
            await self._keep(scope, cipher, titling, title)

    async def _title(self, job: JobRun, titling: Titling, text: str) -> str:
        request = ModelRequest(
            messages=(ModelMessage("system", _ASKED), ModelMessage("user", text[:_READ])), max_output_tokens=_MOST_TOKENS
        )  # fmt: skip
        try:
            said = await self._ask(job, Aside(Kind.TITLE, titling.chat, titling.way), request)
        except ProviderFailed as failure:
            raise ModelIsSilent(failure.message) from failure
        if not (title := as_title(said)):
            raise ModelIsSilent("The model gave no title.")
        return title

    async def _keep(self, scope: Writing, cipher: TenantCipher, titling: Titling, title: str) -> None:
        chat_id, question_id = titling.chat, titling.question
        chat = await chats.locked(scope, cipher.tenant_id, chat_id)
        question = await messages.by_id(scope, cipher.tenant_id, question_id)
        if chat is None or chat["titled_by"] is not None or question is None or question["status"] == "REDACTED":
            return
        await terms.keep_titles(scope, cipher, {chat_id: title})
        await chats.title(scope, cipher.tenant_id, chat_id, sealed_title(cipher, chat_id, title), question_id=question_id)
        await record(scope, cipher.tenant_id, ChatUpdated(chat_id=chat_id))


def as_title(said: str) -> str:
    """Take a title out of what a model said: its first line, without ornaments and line breaks, cut at a word where it is too long."""
    line = next((line for line in said.splitlines() if line.strip(_ORNAMENTS)), "")
    plain = "".join(letter if letter.isprintable() else " " for letter in line)
    title = _LABEL.sub("", plain.strip(_ORNAMENTS)).strip(_ORNAMENTS)
    if len(title) <= _LONGEST:
        return title
    return f"{title[:_LONGEST].rsplit(' ', 1)[0].rstrip()}\N{HORIZONTAL ELLIPSIS}"

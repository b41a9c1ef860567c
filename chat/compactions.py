"""Compaction: what was said long ago gives way to a summary, which stands in the chat for everybody to see.

A summary is a message of its own at the end of the branch. Models are given it in place of all that it covers; nothing of the tree
goes away. It is written by a job, so nobody waits for it: until it is there, the oldest messages give way as they always did.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, NoReturn
from uuid import UUID

import msgspec
import structlog
from uuid_utils.compat import uuid7

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from auth.viewers import Viewer
from chat import records
from chat.acts import Acts
from chat.asides import Aside, Ask, Way
from chat.branches import place_after
from chat.contents import NoticePart, SummaryPart
from chat.contexts import BYTES_PER_TOKEN, Heard, Window, in_short, read_branch, room_among, tokens_of, usual_room, window_of
from chat.locks import speakable
from chat.outcomes import ModelFailed, error_code
from chat.records import Said
from chat.routes import Kind
from chat.turns import take_turn
from db.scopes import Reading, Row, TenantScopes, Writing
from db.statements import chats, messages, runs
from errors import Conflict
from events.facts import Actor, ChatUpdated, ContextCompacted, MessageUpdated, Person, record
from events.jobs import JobRun, Jobs
from inference.models import FailureKind, ModelMessage, ModelRequest, ProviderFailed
from inference.offers import ModelIsUnavailable, Models
from settings import Settings

log = structlog.get_logger()

KIND: Final = "context_compact"
NEVER: Final = 100  # percent
_ASKED: Final = (
    "Summarise the conversation below for the model that will go on with it and reads nothing else of it: facts, names, numbers, "
    "decisions, wishes, and questions that are still open. Write in the language of the conversation, and nothing but the summary."
)


class NothingToCompact(Conflict):
    """The branch is as short as a summary would leave it."""

    def __init__(self) -> None:
        super().__init__("There is nothing to compact yet.", path=("chatId",))


class Compacting(msgspec.Struct):
    """The summary to write, the message after which it stands, the chat, who is asked, and how many tokens they can be given."""

    chat: UUID
    summary: UUID
    leaf: UUID
    way: Way = Way()
    limit: int | None = None


class InVain(msgspec.Struct):
    """What models answered that were asked in vain: kept with the job, so that nobody asks them again."""

    message: str
    code: str


class Begun(NamedTuple):
    """A summary that is to be written, and the job that writes it."""

    summary: Row
    job: Row


class Compactions:
    """Begins compactions: for viewers who ask, and by itself when a branch grows long."""

    def __init__(  # noqa: PLR0913 - what compactions are begun with
        self, *, acts: Acts, scopes: TenantScopes, keyring: Keyring, models: Models, jobs: Jobs, settings: Settings
    ) -> None:
        self._acts = acts
        self._scopes = scopes
        self._keyring = keyring
        self._models = models
        self._jobs = jobs
        self._settings = settings

    async def compact(self, viewer: Viewer, chat_id: UUID) -> Begun:
        """Put a summary that is still to be written at the end of a chat's branch; raises `NothingToCompact` and `RunInProgress`."""
        limit = await self._limit(viewer, chat_id)
        async with self._acts.begun(viewer) as act:
            chat = await speakable(act.scope, viewer, chat_id)
            await take_turn(act, chat_id)
            return await self._begin(act.scope, act.cipher, chat, await self._branch(act.scope, chat), by=viewer, limit=limit)

    async def consider(self, run: Row, request: ModelRequest, limit: int) -> None:
        """Begin a compaction after an answer if the branch has become long and nobody has gone on from it yet.

        `request` is what the model was given, of at most `limit` tokens.
        """
        if not self._may_be_long(request, limit):
            return
        tenant_id, cipher = run["tenant_id"], await self._keyring.cipher(run["tenant_id"])
        async with self._scopes.reading(tenant_id) as scope:
            branch = await read_branch(scope, tenant_id, run["chat_id"], run["output_message_id"], self._settings)
        if not self._is_long(window_of(branch, None, cipher, limit=limit)):
            return
        async with self._scopes.writing(tenant_id) as scope:
            chat = await chats.locked(scope, tenant_id, run["chat_id"])
            if chat is None or chat["head_message_id"] != run["output_message_id"]:
                return
            # Read once more: a summary that was being written may be there by now, and make the branch short.
            branch = await self._branch(scope, chat)
            if not self._is_long(window_of(branch, None, cipher, limit=limit)) or await self._is_under_way(scope, branch):
                return
            if not await runs.open_by_chats(scope, tenant_id, [chat["id"]], frozenset(["id"])):
                await self._begin(scope, cipher, chat, branch, by=Person(run["created_by"]), limit=limit)

    async def _limit(self, viewer: Viewer, chat_id: UUID) -> int:
        """Say how much of a chat can be given to the models that will be asked."""
        async with self._scopes.reading(viewer.tenant_id) as scope:
            chat = await chats.by_id(scope, viewer.tenant_id, chat_id)
            way = Way() if chat is None else await _way_of(scope, chat, await self._branch(scope, chat))
        try:
            policy = await self._models.policy_for(viewer.tenant_id, viewer.user_id, way.model, way.policy)
        except ModelIsUnavailable:
            return usual_room(self._settings).limit
        return room_among(policy.readers, self._settings.model_max_output_tokens).limit

    async def _branch(self, scope: Reading, chat: Row) -> list[Row]:
        leaf_id = chat["head_message_id"]
        return [] if leaf_id is None else await read_branch(scope, chat["tenant_id"], chat["id"], leaf_id, self._settings)

    async def _is_under_way(self, scope: Writing, branch: list[Row]) -> bool:
        """Whether a summary of this branch is being written: it makes it shorter."""
        waiting = [row for row in branch if row["role"] == "SUMMARY" and row["status"] == "PENDING"]
        return bool(waiting) and await self._jobs.is_open(scope, waiting[-1]["tenant_id"], KIND, waiting[-1]["id"].hex)

    def _may_be_long(self, request: ModelRequest, limit: int) -> bool:
        """Look at what a model was just given, before the branch is read for it: most branches are short."""
        if self._settings.context_compact_percent == NEVER:
            return False
        given = sum(tokens_of(message.text) for message in request.messages)
        return given > compacts_at(limit, self._settings) // 2 or len(request.messages) * 2 > self._settings.run_context_messages

    def _is_long(self, window: Window) -> bool:
        if not covered(window, self._settings):
            return False
        most = self._settings.run_context_messages
        return window.tokens > compacts_at(window.limit, self._settings) or len(window.heard) >= most

    async def _begin(  # noqa: PLR0913 - what a summary is begun with
        self, scope: Writing, cipher: TenantCipher, chat: Row, branch: list[Row], *, by: Actor, limit: int
    ) -> Begun:
        leaf_id = chat["head_message_id"]
        if branch and branch[-1]["role"] == "SUMMARY":
            await self._give_up(scope, cipher, branch[-1], by=by)
        if not covered(window_of(branch, None, cipher, limit=limit), self._settings):
            raise NothingToCompact
        summary = Said(id=uuid7(), place=await place_after(scope, chat["tenant_id"], chat["id"], leaf_id), role="SUMMARY", status="PENDING")
        (row,) = await records.write(scope, cipher, chat["id"], summary, by=by)
        await chats.move_head(scope, chat["tenant_id"], chat["id"], summary.id)
        await record(scope, chat["tenant_id"], ChatUpdated(chat_id=chat["id"]), by=by)
        way = await _way_of(scope, chat, branch)
        wanted = Compacting(chat=chat["id"], summary=summary.id, leaf=leaf_id, way=way, limit=limit)
        job = await self._jobs.add(scope, chat["tenant_id"], KIND, wanted, created_by=by.user_id, key=summary.id.hex)
        return Begun(row, job)

    async def _give_up(self, scope: Writing, cipher: TenantCipher, summary: Row, *, by: Actor) -> None:
        """Let another summary follow one that failed, or whose job was cancelled; raises `NothingToCompact` behind any other."""
        if summary["status"] == "PENDING" and not await self._jobs.is_open(scope, cipher.tenant_id, KIND, summary["id"].hex):
            await records.save(scope, cipher, summary["id"], [_not_compacted("The summary was given up.")], status="FAILED")
            await record(scope, cipher.tenant_id, MessageUpdated(chat_id=summary["chat_id"], message_id=summary["id"]), by=by)
        elif summary["status"] not in ("FAILED", "REDACTED"):
            raise NothingToCompact


class Summaries:
    """Writes the summaries that were begun; `ask` is the model that does."""

    def __init__(self, *, scopes: TenantScopes, keyring: Keyring, ask: Ask, settings: Settings) -> None:
        self._scopes = scopes
        self._keyring = keyring
        self._ask = ask
        self._settings = settings

    async def write(self, job: JobRun) -> None:
        """Do the job; where no model gives a summary, a notice says so, and models are given what they were before.

        Raises `ModelFailed` then: the job has failed for good. After an attempt whose worker was lost nobody is asked for what is known.
        """
        wanted, cipher = job.arguments(Compacting), await self._keyring.cipher(job.tenant_id)
        if (vain := job.state(InVain)) is not None:
            await self._fail(cipher, wanted, vain)
        async with self._scopes.reading(job.tenant_id) as scope:
            branch = await read_branch(scope, job.tenant_id, wanted.chat, wanted.leaf, self._settings)
            summary = await messages.by_id(scope, job.tenant_id, wanted.summary)
        if not branch or summary is None or summary["status"] != "PENDING":  # deleted, redacted, or written before
            return
        window = window_of(branch, None, cipher, limit=wanted.limit or usual_room(self._settings).limit)
        old = covered(window, self._settings)
        try:
            text = await self._summary(job, wanted, window, old)
        except ProviderFailed as failure:
            vain = InVain(failure.message, error_code(failure))
            await job.save(state=vain)
            await self._fail(cipher, wanted, vain)
        before = sum(tokens_of(said.text) for one in old if (said := one.said) is not None)
        before += 0 if window.summary is None else tokens_of(in_short(window.summary.text))
        part = SummaryPart(uuid7(), text, covers_through=old[-1].id, tokens_saved=max(0, before - tokens_of(in_short(text))))
        await self._keep(cipher, wanted, [part], "COMPLETE")

    async def _summary(self, job: JobRun, wanted: Compacting, window: Window, old: tuple[Heard, ...]) -> str:
        most = min(self._settings.context_summary_tokens, window.limit // 4)
        begun = [] if window.summary is None else [f"SUMMARY: {window.summary.text}"]
        lines = [f"{one.role}: {said.text}" for one in old if (said := one.said) is not None]
        # What is too long for the model loses its beginning, as it would without a summary; an earlier summary stays.
        room = max(1, BYTES_PER_TOKEN * (window.limit - most) - sum(len(text.encode()) for text in begun))
        read = "\n\n".join([*begun, "\n\n".join(lines).encode()[-room:].decode(errors="ignore")])
        request = ModelRequest(messages=(ModelMessage("system", _ASKED), ModelMessage("user", read)), max_output_tokens=most)
        text = (await self._ask(job, Aside(Kind.SUMMARY, wanted.chat, wanted.way), request)).strip()
        if not text:
            raise ProviderFailed(FailureKind.SERVER_ERROR)
        return text

    async def _fail(self, cipher: TenantCipher, wanted: Compacting, vain: InVain) -> NoReturn:
        await self._keep(cipher, wanted, [_not_compacted(vain.message)], "FAILED")
        raise ModelFailed(vain.message, code=vain.code)

    async def _keep(self, cipher: TenantCipher, wanted: Compacting, parts: list[SummaryPart] | list[NoticePart], status: str) -> None:
        async with self._scopes.writing(cipher.tenant_id) as scope:
            # Whoever redacts something of it holds the chat.
            await chats.locked(scope, cipher.tenant_id, wanted.chat)
            row = await messages.by_id(scope, cipher.tenant_id, wanted.summary)
            # Redacted meanwhile, or written by an attempt whose worker was lost: what is there stays.
            if row is not None and row["status"] == "PENDING":
                await records.save(scope, cipher, wanted.summary, list(parts), status=status)
                told = ContextCompacted if status == "COMPLETE" else MessageUpdated
                await record(scope, cipher.tenant_id, told(chat_id=wanted.chat, message_id=wanted.summary))


async def _way_of(scope: Reading, chat: Row, branch: Sequence[Row]) -> Way:
    """The way of a branch's last answer."""
    answered = next((row["run_id"] for row in reversed(branch) if row["run_id"] is not None), None)
    return Way.of(None if answered is None else await runs.by_id(scope, chat["tenant_id"], answered))


def covered(window: Window, settings: Settings) -> tuple[Heard, ...]:
    """Return what a summary would cover: all but the latest messages, from two on that hold something for a model.

    What is kept takes at most half of what begins a compaction, so that a branch must grow a good deal before the next one.
    """
    room, kept = compacts_at(window.limit, settings) // 2, 0
    for one in reversed(window.heard):
        room -= 0 if one.said is None else tokens_of(one.said.text)
        if kept == settings.context_keep_messages or (kept and room < 0):
            break
        kept += 1
    old = window.heard[: len(window.heard) - kept]
    return old if sum(one.said is not None for one in old) > 1 else ()


def _not_compacted(why: str) -> NoticePart:
    return NoticePart(uuid7(), "not_compacted", why)


def compacts_at(limit: int, settings: Settings) -> int:
    """Return how many tokens begin a compaction."""
    return limit * settings.context_compact_percent // 100

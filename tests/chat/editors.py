"""Two editors and a worker, who do whatever can be done in a tenant's chats, and remember what they saw."""

import dataclasses
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from auth.encryption.ciphers import TenantCipher
from auth.viewers import Viewer
from chat import records
from chat.contents import Part, opened, text_parts
from chat.drafts import ChatDraft, Draft
from chat.exchanges import Sent
from chat.turns import Busy
from db.scopes import Row
from db.statements import runs
from db.tables.runs import Run
from errors import PennyError
from resolvers.operations import Works
from tests.chat.trees import OPEN, Tree, look
from tests.running import PASSWORD

ENDS: Final = (("COMPLETED", "END_TURN", "COMPLETE"), ("INCOMPLETE", "MAX_TOKENS", "INCOMPLETE"), ("FAILED", "PROVIDER_ERROR", "FAILED"))
Act = Callable[["World", Viewer, int, str], Awaitable[Sent | None]]


class World:
    """A tenant, its two editors, and its chats as they were last looked at. What is said once stays, as long as its chat does."""

    def __init__(self, works: Works, ada: Viewer, cipher: TenantCipher) -> None:
        self.works = works
        self.cipher = cipher
        self.editors = (ada, dataclasses.replace(ada, user_id=uuid4()))
        self.tenant_id = ada.tenant_id
        self.tree = Tree([], [], [], [])
        self.deleted: set[UUID] = set()

    @classmethod
    async def begun(cls, works: Works) -> "World":
        """Sign somebody up, and share their first chat with another editor."""
        opened_ = await works.accounts.sign_up(
            email=f"{uuid4().hex}@example.com", password=PASSWORD, name="Ada", tenant_name="Trees", invitation_token=None,
            transport="BEARER", address="127.0.0.1", user_agent=None,
        )  # fmt: skip
        world = cls(works, opened_.viewer, await works.keyring.cipher(opened_.viewer.tenant_id))
        await works.conversations.begin(opened_.viewer, ChatDraft(first_message=Draft(texts=["first"])), key=uuid4().hex)
        await world.share()
        await world.look()
        return world

    async def share(self) -> None:
        """Let both write in every chat of the first one's."""
        async with self.works.scopes.writing(self.tenant_id) as scope:
            await scope.run(
                "UPDATE penny.chats SET visibility = 'SHARED', participant_ids = ARRAY[$3::uuid], participant_roles = ARRAY['EDITOR']"
                " WHERE tenant_id = $1 AND owner_id = $2",
                self.tenant_id,
                self.editors[0].user_id,
                self.editors[1].user_id,
            )

    async def look(self) -> None:
        """Look at everything; fail where something is not as it must be, or something that was said is gone or changed."""
        before, self.tree = self.tree, await look(self.works.scopes, self.tenant_id)
        for row in before.messages.values():
            if row["chat_id"] in self.deleted:
                continue
            now = self.tree.messages[row["id"]]
            fixed = ("chat_id", "parent_id", "branch_id", "depth", "role", "author_id", "run_id", "model_id", "created_at")
            assert [now[name] for name in fixed] == [row[name] for name in fixed]
            assert row["status"] in {"PENDING", "STREAMING"} or (now["status"], now["content"]) == (row["status"], row["content"])
        for row in before.runs.values():
            assert row["chat_id"] in self.deleted or row["status"] in OPEN or self.tree.runs[row["id"]] == row, (
                "an ended run stays as it is"
            )

    async def do(self, name: str, editor: int, number: int, key: str) -> Sent | PennyError | None:
        """Do one thing; a refusal is an answer too."""
        try:
            return await ACTS[name](self, self.editors[editor], number, key)
        except PennyError as refusal:
            return refusal

    def chat(self, number: int) -> Row:
        chats = list(self.tree.chats.values())
        return chats[number % len(chats)]

    def message(self, number: int) -> Row:
        found = list(self.tree.messages.values())
        return found[number % len(found)]

    def run(self, number: int, *statuses: str) -> Row | None:
        found = [row for row in self.tree.runs.values() if not statuses or row["status"] in statuses]
        return found[number % len(found)] if found else None


async def send(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    message = world.message(number) if number % 3 == 0 else None
    chat = world.chat(number) if message is None else world.tree.chats[message["chat_id"]]
    parent_id, modes = None if message is None else message["id"], list(Busy)
    draft = Draft(texts=[f"say {number}"], parent_id=parent_id, if_busy=modes[number % len(modes)])
    return await world.works.conversations.send(viewer, chat["id"], draft, key=key)


async def edit(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    message = world.message(number)
    expected = message["revision"] if number % 2 else None
    texts = [f"edit {number}"]
    return await world.works.trees.edit(viewer, message["id"], texts, rerun=number % 4 > 0, expected_revision=expected, key=key)


async def regenerate(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    return await world.works.trees.regenerate(viewer, world.message(number)["id"], [], key=key)


async def prefer(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    await world.works.trees.prefer(viewer, world.message(number)["id"])
    return None


async def go_to(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    message = world.message(number)
    expected = world.tree.chats[message["chat_id"]]["revision"] if number % 2 else None
    await world.works.trees.go_to(viewer, message["chat_id"], message["id"], expected)
    return None


async def fork(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    sent = await world.works.forks.fork(viewer, world.message(number)["id"], None, key=key)
    await world.share()
    return sent


async def resume(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    run = world.run(number, "INCOMPLETE", "FAILED", "CANCELLED") or world.run(number)
    return None if run is None else await world.works.interventions.resume(viewer, run["id"], key=key)


async def steer(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    run = world.run(number, *OPEN) or world.run(number)
    return None if run is None else await world.works.interventions.steer(viewer, run["id"], [f"steer {number}"], key=key)


async def cancel(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    if (run := world.run(number, *OPEN)) is not None:
        await world.works.interventions.cancel(viewer, run["id"])
    return None


async def delete(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    if len(world.tree.chats) > 1:
        chat = world.chat(number)
        await world.works.conversations.delete(viewer, chat["id"])
        world.deleted.add(chat["id"])
    return None


async def claim(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    """A worker takes a run, if it is its turn, and says something."""
    if (run := world.run(number, "QUEUED")) is None:
        return None
    async with world.works.scopes.writing(world.tenant_id) as scope:
        claimed = await runs.claim(scope, world.tenant_id, run["id"], worker="w", lease=timedelta(hours=1))
        if claimed is not None:
            await _say(world, scope, run, f"begun {number}", "STREAMING")
    return None


async def finish(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    """A worker ends a run: as it was asked to, or as it comes."""
    if (run := world.run(number, "RUNNING")) is None:
        return None
    status, reason, message_status = ENDS[number % len(ENDS)]
    if run["cancel_requested_at"] or run["steer_requested_at"]:
        status, reason, message_status = ("CANCELLED", "USER_CANCEL", "INCOMPLETE")
    values: dict[Any, Any] = {Run.status: status, Run.stop_reason: reason, Run.finished_at: datetime.now(UTC)}
    async with world.works.scopes.writing(world.tenant_id) as scope:
        if await runs.finish(scope, world.tenant_id, run["id"], epoch=run["epoch"], values=values):
            await _say(world, scope, run, f"ended {number}", message_status)
    return None


async def _say(world: World, scope: Any, run: Row, text: str, status: str) -> None:
    answer = world.tree.messages[run["output_message_id"]]
    parts: list[Part] = [*opened(world.cipher, answer["id"], answer["content"]), *text_parts([text])]
    await records.save(scope, world.cipher, answer["id"], parts, status=status)


ACTS: Final[dict[str, Act]] = {
    "send": send, "edit": edit, "regenerate": regenerate, "prefer": prefer, "go_to": go_to, "fork": fork, "resume": resume, "steer": steer,
    "cancel": cancel, "delete": delete, "claim": claim, "finish": finish,
}  # fmt: skip
# What an idempotency key stands for.
KEYED: Final = ("send", "edit", "regenerate", "fork", "resume", "steer")

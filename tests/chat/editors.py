"""Whatever two editors and a worker can do in a tenant's chats, each as one act of a world."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from auth.viewers import Viewer
from chat import records, titles
from chat.contents import Part, opened, text_parts
from chat.drafts import ChatChange, Draft
from chat.exchanges import Sent
from chat.feedback import Opinion
from chat.shares import AUDIENCES, ShareDraft
from chat.turns import Busy
from db.scopes import Row
from db.statements import runs
from db.tables.runs import Run
from errors import PennyError
from inference.models import ModelMessage, ModelRequest
from tests.chat.trees import OPEN
from tests.chat.worlds import World

ENDS: Final = (("COMPLETED", "END_TURN", "COMPLETE"), ("INCOMPLETE", "MAX_TOKENS", "INCOMPLETE"), ("FAILED", "PROVIDER_ERROR", "FAILED"))
ROLES: Final = ("EDITOR", "OWNER", "VIEWER", "COMMENTER", None)
# What a model was given, and could be given at most: so little that branches are summarised by themselves.
GIVEN, LIMIT = ModelRequest(messages=(ModelMessage("user", "much " * 40),), max_output_tokens=1), 120
Act = Callable[[World, Viewer, int, str], Awaitable[Sent | None]]


async def do(world: World, name: str, editor: int, number: int, key: str) -> Sent | PennyError | None:
    """Do one thing; a refusal is an answer too."""
    world.is_seen = False
    try:
        return await ACTS[name](world, world.editors[editor], number, key)
    except PennyError as refusal:
        return refusal


async def send(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    message = world.message(number) if number % 3 == 0 else None
    chat = world.chat(number) if message is None else world.tree.chats[message["chat_id"]]
    parent_id, modes = None if message is None else message["id"], list(Busy)
    draft = Draft(texts=[f"say w{key}"], parent_id=parent_id, if_busy=modes[number % len(modes)])
    return await world.works.conversations.send(viewer, chat["id"], draft, key=key)


async def edit(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    message = world.message(number)
    expected = message["revision"] if number % 2 else None
    texts = [f"edit w{key}"]
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
    if not sent.reused and viewer is world.editors[0]:
        await world.share(sent.chat["id"])
    return sent


async def resume(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    run = world.run(number, "INCOMPLETE", "FAILED", "CANCELLED") or world.run(number)
    return None if run is None else await world.works.interventions.resume(viewer, run["id"], key=key)


async def steer(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    run = world.run(number, *OPEN) or world.run(number)
    return None if run is None else await world.works.interventions.steer(viewer, run["id"], [f"steer w{key}"], key=key)


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
            await _say(world, scope, run, f"begun w{key}", "STREAMING")
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
        ended = await runs.finish(scope, world.tenant_id, run["id"], epoch=run["epoch"], values=values)
        if ended:
            await _say(world, scope, run, f"ended w{key}", message_status)
            await titles.wish(scope, world.works.jobs, run, world.works.settings)
    if ended:
        await world.works.compactions.consider(run, GIVEN, LIMIT)
    return None


async def labour(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    """A worker does a job: it writes a summary or a title."""
    if waiting := [row for row in world.tree.jobs.values() if row["status"] == "QUEUED"]:
        await world.labour._attempt(world.tenant_id, waiting[number % len(waiting)]["id"])
    return None


async def _say(world: World, scope: Any, run: Row, text: str, status: str) -> None:
    answer = world.tree.messages[run["output_message_id"]]
    parts: list[Part] = [*opened(world.cipher, answer["id"], answer["content"]), *text_parts([text])]
    await records.save(scope, world.cipher, answer["id"], parts, status=status)


async def compact(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    await world.works.compactions.compact(viewer, world.chat(number)["id"])
    return None


async def redact(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    await world.works.redactions.redact(viewer, world.message(number)["id"])
    return None


async def rate(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    """Say what one thinks of an answer, in its own words."""
    message = world.message(number)
    opinion = Opinion(number % 3 - 1, [], world.tree.text(message["id"])[:500] or None)
    await world.works.opinions.put(viewer, message["id"], opinion)
    return None


async def put_away(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    """Archive a chat or take it out again, or pin it or not."""
    chat = world.chat(number)
    change = ChatChange(archived=chat["archived_at"] is None) if number % 2 else ChatChange(pinned=chat["pinned_at"] is None)
    await world.works.conversations.change(viewer, chat["id"], change)
    return None


async def call(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    """Call a chat something, or nothing."""
    chat = world.chat(number)
    change = ChatChange(title=f"chat {number}" if number % 3 else None, expected_revision=chat["revision"] if number % 2 else None)
    await world.works.conversations.change(viewer, chat["id"], change)
    return None


async def show(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    """Show a chat to more people or fewer."""
    change = ChatChange(visibility=("SHARED", "TENANT", "PRIVATE", "SHARED")[number % 4])
    await world.works.conversations.change(viewer, world.chat(number)["id"], change)
    return None


async def let(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    """Give the other one another role in a chat, or none; the other one may leave."""
    other = world.editors[1]
    await world.works.participants.put(viewer, world.chat(number)["id"], other.user_id, ROLES[number % len(ROLES)])
    return None


async def link(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    """Make a link: a live one, or a snapshot of the head's branch or another."""
    audience, live, message = AUDIENCES[number % 3], number % 2 == 0, world.message(number)
    leaf = message["id"] if not live and number % 5 else None
    whom = (world.editors[1].user_id,) if audience == "USERS" else ()
    draft = ShareDraft(audience=audience, live=live, leaf_id=leaf, user_ids=whom)
    await world.works.shares.create(viewer, message["chat_id"], draft, key=key)
    return None


async def revoke(world: World, viewer: Viewer, number: int, key: str) -> Sent | None:
    if shares := list(world.tree.shares):
        await world.works.shares.revoke(viewer, shares[number % len(shares)])
    return None


ACTS: Final[dict[str, Act]] = {
    "send": send, "edit": edit, "regenerate": regenerate, "prefer": prefer, "go_to": go_to, "fork": fork, "resume": resume, "steer": steer,
    "cancel": cancel, "delete": delete, "claim": claim, "finish": finish, "labour": labour, "compact": compact, "redact": redact,
    "rate": rate, "put_away": put_away, "call": call, "show": show, "let": let, "link": link, "revoke": revoke,
}  # fmt: skip
# What an idempotency key stands for.
KEYED: Final = ("send", "edit", "regenerate", "fork", "resume", "steer")

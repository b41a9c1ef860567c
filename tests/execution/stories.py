"""A tenant with everything in it that PENNY knows, told through the API and, where only a worker could, by SQL."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from auth.viewers import Viewer
from chat.contents import NoticePart, Part, ReasoningPart, TextPart, sealed
from resolvers.operations import Caller, Operation
from schema.ids import type_and_id
from tests.api.people import link_token
from tests.running import PASSWORD
from web.callers import viewer_of_token
from web.door import Door

CALLER: Final = Caller(address="127.0.0.1", user_agent="story", request_id="story-request")
ENDS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("COMPLETED", {"stop_reason": "END_TURN", "first_token_ms": 120, "model": "scripted", "output_tokens": 9_007_199_254_740_993}),
    ("INCOMPLETE", {"stop_reason": "MAX_TOKENS", "input_tokens": 7}),
    ("FAILED", {"stop_reason": "PROVIDER_ERROR", "error_code": "MODEL_UNAVAILABLE", "error_message": "It was away."}),
    ("FAILED", {"error_code": "NO_SUCH_CODE"}),
    ("CANCELLED", {"stop_reason": "USER_CANCEL", "usage_estimated": True}),
    ("EXPIRED", {}),
)
MESSAGES: Final = {"COMPLETED": "COMPLETE", "INCOMPLETE": "INCOMPLETE", "FAILED": "FAILED"}


@dataclass
class Story:
    """Who may ask, and what they may ask for: `pools` are values for arguments by their name.

    Behind the `door` operations are compiled; the `judge` leaves them all to graphql-core.
    """

    door: Door
    judge: Door
    viewers: dict[str, Viewer | None] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    cursors: list[str] = field(default_factory=list)

    @property
    def pools(self) -> Mapping[str, list[Any]]:
        messages = [one for one in self.ids if one.startswith("msg_")]
        runs = [one for one in self.ids if one.startswith("run_")]
        sizes = [*range(1, 20), 100, 0]
        return {
            "id": self.ids, "ids": self.ids, "leaf": messages, "runId": runs, "first": sizes, "last": sizes,
            "after": self.cursors, "before": self.cursors, "query": ["", "ada", "%"], "role": ["owner", "viewer", "none"],
            "DateTime": ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00+02:00"], "Seq": [0, 1, "5"], "BigInt": [1], "URL": ["https://a.b"],
            "JSON": [1, "a", {"a": [1, None]}], "Duration": ["PT1H"],
        }  # fmt: skip

    def context(self, who: str) -> Operation:
        """Make the context of one operation of somebody's."""
        return self.door.operation(CALLER, self.viewers[who])

    async def ask(self, who: str, text: str, **variables: Any) -> Any:
        """Run an operation for somebody and return its data; errors end the story."""
        prepared = self.judge.documents.prepare(text, None, variables)
        result = await self.judge.run(prepared, self.context(who), variables)
        assert result.data is not None, result.errors
        assert not result.errors, result.errors
        return result.data

    async def do(self, who: str, mutation: str, selection: str, **given: Any) -> Any:
        """Run a mutation for somebody and return its payload."""
        kind = mutation[0].upper() + mutation[1:]
        text = f"mutation ($input: {kind}Input!) {{ {mutation}(input: $input) {{ {selection} errors {{ message path }} }} }}"
        payload = (await self.ask(who, text, input=given))[mutation]
        assert payload["errors"] == [], payload
        return payload

    async def enter(self, who: str, token: str) -> None:
        """Let somebody ask with a token."""
        self.viewers[who] = await viewer_of_token(self.door.process.works, token)

    async def sign_up(self, who: str, name: str, **more: Any) -> None:
        """Make an account, and a tenant of its own unless there is an invitation."""
        given = {"email": f"{who}@example.com", "password": PASSWORD, "name": name, "transport": "BEARER", **more}
        payload = await self.do("nobody", "signUp", "tokenOnce viewer { user { id } }", **given)
        self.ids.append(payload["viewer"]["user"]["id"])
        await self.enter(who, payload["tokenOnce"])

    @contextlib.asynccontextmanager
    async def writing(self, who: str) -> AsyncIterator[tuple[Any, Any, UUID]]:
        """Write into somebody's tenant: gives the scope, the cipher and the tenant."""
        viewer, works = self.viewers[who], self.door.process.works
        assert viewer is not None
        cipher = await works.keyring.cipher(viewer.tenant_id)
        async with works.scopes.writing(viewer.tenant_id) as scope:
            yield scope, cipher, viewer.tenant_id


async def told(door: Door, judge: Door) -> Story:
    """Tell the whole story."""
    story = Story(door, judge, {"nobody": None})
    await _people(story)
    await _conversations(story)
    await _breakage(story)
    await _pages(story)
    return story


async def _people(story: Story) -> None:
    await story.sign_up("owner", "Ada", tenantName="Acme")
    await story.sign_up("stranger", "Eve", tenantName="Elsewhere")
    roles = (await story.ask("owner", "{ tenant { id roles { id name } } }"))["tenant"]
    by_name = {role["name"]: role["id"] for role in roles["roles"]}
    for who, role in (("member", "creator"), ("reader", "viewer")):
        email = f"{who}@example.com"
        invited = await story.do("owner", "memberInvite", "invitation { id }", email=email, roleId=by_name[role])
        story.ids.append(invited["invitation"]["id"])
        await story.sign_up(who, who.title(), invitationToken=await link_token(story.door.process, email, "invitation"))
    open_one = await story.do("owner", "memberInvite", "invitation { id }", email="later@example.com", roleId=by_name["viewer"])
    await story.do("owner", "profileUpdate", "user { id }", locale="de-AT", avatarUrl="https://example.com/a.png")
    made = await story.do("owner", "apiKeyCreate", "secretOnce apiKey { id }", name="CI", scopes=["chats:read"])
    await story.enter("key", made["secretOnce"])
    ended = await story.do("owner", "apiKeyCreate", "apiKey { id }", name="ended", scopes=[])
    await story.do("owner", "apiKeyRevoke", "apiKey { id }", apiKeyId=ended["apiKey"]["id"])
    members = await story.ask("owner", "{ tenant { members(first: 10) { nodes { id } } } viewer { sessions { id } } }")
    story.ids += [roles["id"], *by_name.values(), open_one["invitation"]["id"], made["apiKey"]["id"], ended["apiKey"]["id"]]
    story.ids += [one["id"] for one in (*members["tenant"]["members"]["nodes"], *members["viewer"]["sessions"])]


async def _chat(story: Story, who: str, **given: Any) -> str:
    payload = await story.do(who, "chatCreate", "chat { id }", idempotencyKey=uuid4().hex, **given)
    story.ids.append(payload["chat"]["id"])
    return str(payload["chat"]["id"])


async def _conversations(story: Story) -> None:
    long = await _chat(story, "owner", title="Long", visibility="TENANT", metadata={"a": [1, 2.5, None, {"b": "ü"}]})
    messages = [await _exchange(story, "owner", long, end) for end in ENDS]
    await _exchange(story, "owner", long, ENDS[0], parentMessageId=messages[1])
    await _exchange(story, "owner", long, None, parentMessageId=messages[2])
    for who, given in (("owner", {}), ("member", {"title": "Theirs", "visibility": "TENANT"}), ("stranger", {"title": "Foreign"})):
        await _exchange(story, who, await _chat(story, who, **given), ENDS[0])
    archived = await _chat(story, "owner", title="Archived")
    await story.do("owner", "chatUpdate", "chat { id }", chatId=archived, archived=True)
    await _chat(story, "member", title="Empty")


async def _exchange(story: Story, who: str, chat_id: str, end: tuple[str, dict[str, Any]] | None, **more: Any) -> str:
    """Say something and have it answered, as a worker would; returns the id of the answer."""
    given = {"chatId": chat_id, "content": [{"text": "Hello"}, {"text": "there"}], "idempotencyKey": uuid4().hex, **more}
    sent = await story.do(who, "messageSend", "message { id } runs { id outputs { id } }", **given)
    (run,) = sent["runs"]
    (output,) = run["outputs"]
    story.ids += [sent["message"]["id"], run["id"], output["id"]]
    if end is not None:
        await _finish(story, who, run["id"], output["id"], end)
    return str(output["id"])


async def _finish(story: Story, who: str, run_id: str, output_id: str, end: tuple[str, dict[str, Any]]) -> None:
    status, columns = end
    message, run = type_and_id(output_id), type_and_id(run_id)
    assert message is not None
    assert run is not None
    parts: list[Part] = [ReasoningPart(uuid7(), "Hm."), TextPart(uuid7(), "An answer."), NoticePart(uuid7(), "ended_early", "Cut.")]
    columns = {"status": status, "last_seq": 9, **columns}
    sets = ", ".join(f"{name} = ${at}" for at, name in enumerate(columns, 3))
    async with story.writing(who) as (scope, cipher, tenant_id):
        await scope.run(
            f"UPDATE penny.runs SET {sets}, started_at = created_at, finished_at = created_at WHERE tenant_id = $1 AND id = $2",
            tenant_id, run[1], *columns.values(),
        )  # fmt: skip
        await scope.run(
            "UPDATE penny.messages SET content = $3, status = $4 WHERE tenant_id = $1 AND id = $2",
            tenant_id, message[1], sealed(cipher, message[1], parts), MESSAGES.get(status, "INCOMPLETE"),
        )  # fmt: skip


async def _breakage(story: Story) -> None:
    """What nobody can read: the text of one message and the title of one chat."""
    chat_id = await _chat(story, "owner", title="Broken", visibility="TENANT")
    output_id = await _exchange(story, "owner", chat_id, ENDS[0])
    chat, message = type_and_id(chat_id), type_and_id(output_id)
    assert chat is not None
    assert message is not None
    async with story.writing("owner") as (scope, _, tenant_id):
        await scope.run("UPDATE penny.chats SET title = '\\x00' WHERE tenant_id = $1 AND id = $2", tenant_id, chat[1])
        await scope.run("UPDATE penny.messages SET content = '\\x00' WHERE tenant_id = $1 AND id = $2", tenant_id, message[1])
    story.ids += ["", "chat_", f"chat_{uuid4().hex}", f"run_{uuid4().hex}"]


async def _pages(story: Story) -> None:
    edges = "edges { cursor }"
    text = f"""{{ tenant {{ members(first: 3) {{ {edges} }} }} chats(first: 3) {{ {edges} }} runs(first: 3) {{ {edges} }}
        more: chats(first: 2) {{ nodes {{ messages(first: 3) {{ {edges} }} runs(first: 2) {{ {edges} }} }} }} }}"""
    data = await story.ask("owner", text)
    lists = [data["tenant"]["members"], data["chats"], data["runs"]]
    lists += [one[name] for one in data["more"]["nodes"] for name in ("messages", "runs")]
    story.cursors += [edge["cursor"] for one in lists for edge in one["edges"]] + ["", "bad"]

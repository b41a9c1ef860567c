"""A tenant with two people who edit its chats, a worker, and what was seen of all of it so far."""

import dataclasses
import re
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

from auth.encryption.ciphers import TenantCipher
from auth.viewers import Viewer
from chat.asides import Aside
from chat.compactions import KIND as SUMMARIES
from chat.compactions import Summaries
from chat.drafts import ChatDraft, Draft
from chat.headings import opened_titles
from chat.leavings import KIND as LEAVINGS
from chat.leavings import Leavings
from chat.participants import Participants
from chat.shares import url_of
from chat.titles import KIND as TITLES
from chat.titles import Titles
from db.scopes import Row
from db.statements import members, users
from db.tables.members import Membership
from db.tables.users import User
from events.jobs import JobRun
from events.labour import Labour
from inference.models import ModelRequest
from tests.chat.trees import OPEN, Tree, look
from tests.running import PASSWORD
from web.works import Process

# Every text that somebody says has a word of its own.
WORD: Final = re.compile(r"w[0-9a-f]{32}")
FIXED: Final = ("chat_id", "parent_id", "branch_id", "depth", "role", "author_id", "run_id", "model_id", "created_at", "copied_from_id")
STATED: Final = ("title", "metadata", "visibility", "archived_at", "pinned_at")


async def echo(job: JobRun, aside: Aside, request: ModelRequest) -> str:
    """The worst of models: it gives back all that it was given."""
    return request.messages[-1].text


@dataclasses.dataclass
class Link:
    """A link to a chat as it was made: a snapshot with the messages and the title of its time."""

    share_id: UUID
    maker: Viewer
    token: str
    messages: list[UUID]
    title: str | None


class World:
    """A tenant, its two editors, and its chats as they were last looked at. What is said once stays, as long as its chat does."""

    def __init__(self, process: Process, ada: Viewer, bob: Viewer, cipher: TenantCipher) -> None:
        self.works = process.works
        self.cipher = cipher
        self.editors = (ada, bob)
        self.tenant_id = ada.tenant_id
        self.tree = Tree({})
        self.deleted: set[UUID] = set()
        self.links: dict[UUID, Link] = {}
        self.origins: dict[str, UUID] = {}
        self.gone: set[str] = set()
        self.is_seen = False  # whether the tree is what there is
        scopes, keyring = self.works.scopes, self.works.keyring
        summaries = Summaries(scopes=scopes, keyring=keyring, ask=echo, settings=self.works.settings)
        titles = Titles(scopes=scopes, keyring=keyring, ask=echo)
        functions = {SUMMARIES: summaries.write, TITLES: titles.write, LEAVINGS: Leavings(scopes).close}
        self.labour = Labour(name="w", scopes=scopes, system=process.system, functions=functions, settings=self.works.settings)
        self.participants = Participants(scopes=scopes, settings=self.works.settings)

    @classmethod
    async def begun(cls, process: Process) -> "World":
        """Sign somebody up, and share their first chat with another editor."""
        works = process.works
        opened = await works.accounts.sign_up(
            email=f"{uuid4().hex}@example.com", password=PASSWORD, name="Ada", tenant_name="Trees", invitation_token=None,
            transport="BEARER", address="127.0.0.1", user_agent=None,
        )  # fmt: skip
        ada, at = opened.viewer, datetime.now(UTC)
        bob = dataclasses.replace(ada, user_id=uuid4())
        async with process.system.writing(ada.tenant_id) as scope:
            await users.create(scope, User(id=bob.user_id, email=f"{bob.user_id}@example.com", name="Bob", password_hash="", created_at=at))
            membership = Membership(
                tenant_id=ada.tenant_id, id=uuid4(), user_id=bob.user_id, role_id=bob.role_id, status="ACTIVE", joined_at=at
            )
            await members.create_membership(scope, membership)
        world = cls(process, ada, bob, await works.keyring.cipher(ada.tenant_id))
        sent = await works.conversations.begin(ada, ChatDraft(first_message=Draft(texts=[f"first w{uuid4().hex}"])), key=uuid4().hex)
        await world.share(sent.chat["id"])
        await world.look()
        return world

    async def share(self, chat_id: UUID, role: str | None = "EDITOR") -> None:
        """Let the second one write in a chat of the first one's."""
        ada, bob = self.editors
        await self.participants.put(ada, chat_id, bob.user_id, role)

    async def look(self) -> None:
        """Look at everything; fail where something is not as it must be, or something that was said is gone or changed."""
        self.is_seen = False
        before, self.tree = self.tree, await look(self.works.scopes, self.cipher)
        for row in before.messages.values():
            if row["chat_id"] not in self.deleted:
                is_kept(row, self.tree.messages[row["id"]])
        for row in before.runs.values():
            gone = row["chat_id"] in self.deleted
            assert gone or row["status"] in OPEN or self.tree.runs[row["id"]] == row, "an ended run stays as it is"
        for row in before.chats.values():
            if row["id"] in self.tree.chats:
                counts_up(row, self.tree.chats[row["id"]])
        self.hear()
        assert not self.gone & self.tree.words(WORD, self.cipher), "what was redacted is nowhere"
        self.note_links()
        self.is_seen = True

    def hear(self) -> None:
        """Note which message each new word was first said in, and which words must be nowhere any more."""
        said = {row["id"]: set(WORD.findall(self.tree.text(row["id"]))) for row in self.tree.messages.values()}
        for row in self.tree.messages.values():
            copied = said.get(row["copied_from_id"], set())
            if row["role"] != "SUMMARY":
                self.origins |= {one: row["id"] for one in said[row["id"]] - copied if one not in self.origins}
        redacted = {row["id"] for row in self.tree.messages.values() if row["status"] == "REDACTED"}
        self.gone |= {one for one, origin in self.origins.items() if origin in redacted}

    def note_links(self) -> None:
        for row in self.tree.shares.values():
            if row["id"] not in self.links:
                maker = next(viewer for viewer in self.editors if viewer.user_id == row["created_by"])
                url = url_of(self.cipher, row, self.works.settings)
                assert url is not None
                title = None if row["title"] is None else self.cipher.decrypt("chat_shares", "title", row["id"], row["title"]).decode()
                shown = [] if row["leaf_id"] is None else self.tree.path(row["leaf_id"])
                self.links[row["id"]] = Link(row["id"], maker, url.partition("#")[2], shown, title)

    def title(self, chat: Row) -> str | None:
        (title,) = opened_titles(self.cipher, [chat])
        assert not isinstance(title, Exception)
        return title

    def chat(self, number: int) -> Row:
        chats = list(self.tree.chats.values())
        return chats[number % len(chats)]

    def message(self, number: int) -> Row:
        found = list(self.tree.messages.values())
        return found[number % len(found)]

    def run(self, number: int, *statuses: str) -> Row | None:
        found = [row for row in self.tree.runs.values() if not statuses or row["status"] in statuses]
        return found[number % len(found)] if found else None


def is_kept(before: Row, now: Row) -> None:
    """A message stays where it is and says what it said, until somebody redacts it; its revision only grows."""
    assert [now[name] for name in FIXED] == [before[name] for name in FIXED]
    assert now["revision"] >= before["revision"]
    if now["status"] != "REDACTED":
        assert before["status"] in {"PENDING", "STREAMING"} or (now["status"], now["content"]) == (before["status"], before["content"])
    else:
        assert before["status"] != "REDACTED" or now["content"] == before["content"]


def counts_up(before: Row, now: Row) -> None:
    """What is said of a chat changes with its revision."""
    changed = [name for name in STATED if now[name] != before[name]]
    assert now["revision"] >= before["revision"] + bool(changed), changed

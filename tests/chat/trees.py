"""What is true of every chat's tree, whatever people did to it: looked at in the tables, and through the pages that clients read."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from auth.encryption.ciphers import TenantCipher
from chat.contents import NoticePart, SummaryPart, opened
from chat.contexts import BEGINNING, END
from chat.feedback import opened_opinion
from chat.headings import opened_titles
from db.scopes import Reading, Row, TenantScopes
from db.statements import branches, messages

OPEN = ("QUEUED", "RUNNING")


TABLES: Final = {
    "chats": "id", "branches": "id", "messages": "id", "runs": "id", "jobs": "id", "chat_shares": "id", "chat_participants": "id",
    "feedback": "message_id, user_id", "message_terms": "message_id", "chat_terms": "chat_id",
}  # fmt: skip


class Tree:
    """All rows of a tenant's chats at one moment, and what messages say."""

    def __init__(self, found: Mapping[str, list[Row]], cipher: TenantCipher | None = None) -> None:
        self.rows = {table: found.get(table, []) for table in TABLES}
        self.chats, self.branches, self.messages, self.runs, self.jobs, self.shares = (
            {row["id"]: row for row in self.rows[table]} for table in ("chats", "branches", "messages", "runs", "jobs", "chat_shares")
        )
        self.parts = {} if cipher is None else {one: opened(cipher, one, row["content"]) for one, row in self.messages.items()}

    @classmethod
    async def read(cls, scope: Reading, cipher: TenantCipher) -> "Tree":
        found = {
            table: await scope.rows(f"SELECT * FROM penny.{table} WHERE tenant_id = $1 ORDER BY {order}", cipher.tenant_id)
            for table, order in TABLES.items()
        }
        return cls(found, cipher)

    def text(self, message_id: UUID) -> str:
        return "\n".join(part.text for part in self.parts[message_id])

    def words(self, pattern: re.Pattern[str], cipher: TenantCipher) -> set[str]:
        """Every such word in what the tables hold, decrypted."""
        titles = [
            cipher.decrypt("chat_shares", "title", row["id"], row["title"]) for row in self.shares.values() if row["title"] is not None
        ]
        opinions = [opened_opinion(cipher, row) for row in self.rows["feedback"]]
        texts = [
            *map(self.text, self.messages), *map(str, opened_titles(cipher, list(self.chats.values()))), *map(bytes.decode, titles),
            *(str(opinion) for opinion in opinions),
        ]  # fmt: skip
        return {word for text in texts for word in pattern.findall(text)}

    def path(self, message_id: UUID) -> list[UUID]:
        """The messages from the first one to this one, by their parents."""
        found: list[UUID] = []
        following: UUID | None = message_id
        while following is not None:
            found.append(following)
            following = self.messages[following]["parent_id"]
        return found[::-1]

    def leaves(self, chat_id: UUID) -> set[UUID]:
        parents = {row["parent_id"] for row in self.messages.values()}
        return {row["id"] for row in self.messages.values() if row["chat_id"] == chat_id and row["id"] not in parents}


async def look(scopes: TenantScopes, cipher: TenantCipher) -> Tree:
    """Read all chats of a tenant, and fail where something is not as it must be."""
    async with scopes.writing(cipher.tenant_id) as scope:  # one moment, of the primary
        await scope.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        tree = await Tree.read(scope, cipher)
        messages_hang_together(tree)
        branches_are_straight(tree)
        runs_have_answers(tree)
        redacted_is_forgotten(tree)
        summaries_look_back(tree)
        participants_are_named(tree)
        for chat_id in tree.chats:
            await pages_are_paths(scope, tree, chat_id)
    return tree


def messages_hang_together(tree: Tree) -> None:
    for row in tree.messages.values():
        parent = None if row["parent_id"] is None else tree.messages[row["parent_id"]]
        assert row["chat_id"] in tree.chats
        assert row["depth"] == (0 if parent is None else parent["depth"] + 1)
        assert parent is None or parent["chat_id"] == row["chat_id"], "a message's parent is in its chat"
        assert row["role"] != "ASSISTANT" or (parent is not None and parent["role"] == "USER"), "an answer follows a question"
    places = Counter((row["branch_id"], row["depth"]) for row in tree.messages.values())
    assert set(places.values()) <= {1}
    preferred = Counter(row["parent_id"] for row in tree.messages.values() if row["preferred"])
    assert set(preferred.values()) <= {1}, "one answer of siblings is preferred"
    for chat in tree.chats.values():
        head = chat["head_message_id"]
        assert (head is None) == (not tree.leaves(chat["id"]))
        assert head is None or tree.messages[head]["chat_id"] == chat["id"], "a chat goes on from a message of its own"


def branches_are_straight(tree: Tree) -> None:
    depths: dict[UUID, list[int]] = {}
    for row in tree.messages.values():
        depths.setdefault(row["branch_id"], []).append(row["depth"])
        assert tree.branches[row["branch_id"]]["chat_id"] == row["chat_id"]
    for branch_id, branch in tree.branches.items():
        first = branch["fork_depth"] + 1
        assert sorted(depths[branch_id]) == list(range(first, first + len(depths[branch_id]))), "a branch has no gaps"
        chain = ancestors(tree, branch_id)
        assert branch["level"] == len(chain) - 1
        assert chain[branch["level"] - branch["jump_level"]] == branch["jump_branch_id"], "a jump leads to an ancestor"
        assert tree.branches[branch["jump_branch_id"]]["fork_depth"] == branch["jump_fork_depth"]
        beginning = next(row for row in tree.messages.values() if row["branch_id"] == branch_id and row["depth"] == first)
        parent = None if beginning["parent_id"] is None else tree.messages[beginning["parent_id"]]
        assert (None if parent is None else parent["branch_id"]) == branch["parent_branch_id"]


def ancestors(tree: Tree, branch_id: UUID) -> list[UUID]:
    """A branch and those it came from, the nearest first."""
    found: list[UUID] = []
    following: UUID | None = branch_id
    while following is not None:
        found.append(following)
        following = tree.branches[following]["parent_branch_id"]
    return found


def runs_have_answers(tree: Tree) -> None:
    answers = Counter(row["output_message_id"] for row in tree.runs.values())
    assert set(answers.values()) <= {1}, "an answer is made by one run"
    for row in tree.runs.values():
        answer, question = tree.messages[row["output_message_id"]], tree.messages[row["input_message_id"]]
        assert (answer["run_id"], answer["parent_id"], answer["chat_id"]) == (row["id"], question["id"], row["chat_id"])
        assert (answer["status"] in {"PENDING", "STREAMING"}) == (row["status"] in OPEN), "an answer grows while its run is open"
    for chat_id in tree.chats:
        unended = [row for row in tree.runs.values() if row["chat_id"] == chat_id and row["status"] in OPEN]
        first = min((row["turn"] for row in unended), default=0)
        assert all(row["turn"] == first for row in unended if row["status"] == "RUNNING"), "one turn at a time"
        asked: dict[int, set[UUID]] = {}
        for row in unended:
            asked.setdefault(row["turn"], set()).add(row["input_message_id"])
        assert all(len(questions) == 1 for questions in asked.values()), "a turn answers one question"


def redacted_is_forgotten(tree: Tree) -> None:
    terms = {row["message_id"]: row["terms"] for row in tree.rows["message_terms"]}
    rated = {row["message_id"] for row in tree.rows["feedback"]}
    for row in tree.messages.values():
        if row["status"] == "REDACTED":
            assert [type(part) for part in tree.parts[row["id"]]] == [NoticePart]
            assert not terms.get(row["id"])
            assert row["id"] not in rated
    for message_id in rated:
        assert tree.messages[message_id]["role"] == "ASSISTANT"
    for chat in tree.chats.values():
        assert chat["title"] is not None or not [row for row in tree.rows["chat_terms"] if row["chat_id"] == chat["id"] and row["terms"]]


def summaries_look_back(tree: Tree) -> None:
    """A summary stands behind all that it covers, and its job is there while it waits for its text."""
    for row in tree.messages.values():
        covered = [part.covers_through for part in tree.parts[row["id"]] if isinstance(part, SummaryPart)]
        assert set(covered) <= set(tree.path(row["id"])[:-1])
        assert not covered or row["role"] == "SUMMARY"
        if row["role"] == "SUMMARY" and row["status"] == "PENDING":
            assert [job["status"] for job in tree.jobs.values() if job["key"] == row["id"].hex] != []


def participants_are_named(tree: Tree) -> None:
    """A chat's row names who takes part, and their lists follow it."""
    for chat in tree.chats.values():
        rows = sorted((row for row in tree.rows["chat_participants"] if row["chat_id"] == chat["id"]), key=lambda row: row["id"])
        assert [(row["user_id"], row["role"]) for row in rows] == list(zip(chat["participant_ids"], chat["participant_roles"], strict=True))
        for row in rows:
            shown = (chat["updated_at"], chat["archived_at"] is not None, chat["visibility"] == "SHARED")
            assert (row["chat_updated_at"], row["chat_archived"], row["chat_shared"]) == shown


async def pages_are_paths(scope: Reading, tree: Tree, chat_id: UUID) -> None:
    """Every leaf is a branch's, and every page of its branch is a piece of the path by parents."""
    tenant_id = tree.chats[chat_id]["tenant_id"]
    leaves = tree.leaves(chat_id)
    listed = await branches.pages_of_chats(scope, tenant_id, [chat_id], beyond=None, limit=10_000)
    assert {row["leaf_id"] for row in listed} == leaves
    assert len(listed) == len(leaves)
    asked = [(chat_id, leaf) for leaf in sorted(leaves)]
    for newest_first in (True, False):
        for above, below, limit in ((BEGINNING, END, 10_000), (BEGINNING, END, 3), (0, 5, 2)):
            page: Mapping[Any, list[Row]] = await messages.pages_of_branches(
                scope, tenant_id, asked, newest_first=newest_first, above=above, below=below, roles=None, limit=limit
            )
            for branch in asked:
                path = [one for one in tree.path(branch[1]) if above < tree.messages[one]["depth"] < below]
                wanted = path[::-1][:limit] if newest_first else path[:limit]
                assert [row["id"] for row in page.get(branch, [])] == wanted

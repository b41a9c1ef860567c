"""Hot statements stay cheap under row-level security: what is asserted is how many rows they read, and through which index.

Every statement runs as its own role in a seeded database, planned once for its values and once for any values (PostgreSQL
chooses between the two for a statement that is sent often). It must not scan a table through and must not read more rows than the
bound beside it, whatever it throws away afterwards: a page of a long list is then neither sorted nor skipped to.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from chat.steps import columns_of
from db.scopes import Row, Statement, Writing
from db.statements import (
    attempts,
    branches,
    chats,
    credentials,
    documents,
    facts,
    feedback,
    idempotency,
    jobs,
    mails,
    members,
    messages,
    participants,
    runs,
    shares,
    steps,
    tenants,
    terms,
)
from db.statements.documents import Release
from db.statements.projections import Columns
from db.transactions import compiled
from inference.models import NO_USAGE
from loaders import api_keys, invitations, sessions, users
from loaders import members as loader_of_members
from stack.addresses import Addresses
from tests.db.conftest import Clone
from tests.db.databases import connected, undone

LIMIT = 21
EXECUTIONS = 6  # PostgreSQL makes its choice after five
DEEP = datetime(2026, 6, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def some_id(kind: int, tenant: int, number: int = 0) -> UUID:
    """The id that the seed gives to the nth row of a kind of a tenant."""
    return UUID(f"{kind:08x}-0000-7000-8{tenant:03x}-{number:012x}")


TENANT, USER, ROLE, MEMBERSHIP, SESSION, API_KEY, CHAT, BRANCH, MESSAGE, RUN, INVITATION, DEPLOYMENT, PARTICIPANT, FACT, JOB = range(1, 16)
TENANT, USER, ROLE, MEMBERSHIP, SESSION, API_KEY, CHAT, BRANCH, MESSAGE, RUN, INVITATION, DEPLOYMENT, PARTICIPANT, SHARE = range(1, 15)
MANIFEST, DOCUMENT = 16, 17
# Tenant 0 is the whale: its first user has most of its chats, its first chat most of its messages and runs.
WHALE, TENANTS = some_id(TENANT, 0), 300
WHALE_USER, WHALE_CHAT = some_id(USER, 0), some_id(CHAT, 0)
LAST_MESSAGE = 4999

ID = "(lpad(to_hex({kind}), 8, '0') || '-0000-7000-8' || lpad(to_hex({tenant}), 3, '0') || '-' || lpad(to_hex({number}), 12, '0'))::uuid"


def made_id(kind: int, tenant: str = "t", number: str = "n") -> str:
    return ID.format(kind=kind, tenant=tenant, number=number)


def each(whale: int, others: int) -> str:
    """Rows of two numbers: a tenant, and a number from 0; the whale has more of them."""
    return (
        f"(SELECT t, n FROM generate_series(0, {TENANTS - 1}) AS t,"
        f" generate_series(0, CASE t WHEN 0 THEN {whale - 1} ELSE {others - 1} END) AS n) AS each"
    )


AGO = "timestamptz '2026-11-22' - n * interval '4 hours'"
SEED = f"""
    SET session_replication_role = replica;
    INSERT INTO penny.tenants (tenant_id, slug, name)
        SELECT {made_id(TENANT, number="0")}, 'slug-' || t, 'Acme' FROM generate_series(0, 4095) AS t;
    INSERT INTO directory.users (id, email, name, password_hash)
        SELECT {made_id(USER)}, 'ada-' || t || '-' || n || '@example.com', 'Ada', '' FROM {each(600, 4)};
    INSERT INTO penny.roles (tenant_id, id, name, builtin)
        SELECT {made_id(TENANT, number="0")}, {made_id(ROLE)}, 'role-' || n, true FROM {each(5, 5)};
    INSERT INTO penny.memberships (tenant_id, id, user_id, role_id)
        SELECT {made_id(TENANT, number="0")}, {made_id(MEMBERSHIP)}, {made_id(USER)}, {made_id(ROLE, number="n % 5")} FROM {each(600, 4)};
    INSERT INTO penny.sessions (tenant_id, id, user_id, token_hash, transport, expires_at)
        SELECT {made_id(TENANT, number="0")}, {made_id(SESSION)}, {made_id(USER, number="n % 600")}, sha256((t || '/' || n)::bytea),
            'BEARER', '2027-01-01' FROM {each(1200, 4)};
    INSERT INTO penny.api_keys (tenant_id, id, name, prefix, secret_hash, user_id)
        SELECT {made_id(TENANT, number="0")}, {made_id(API_KEY)}, 'key', 'pny', '', {made_id(USER, number="n % 600")} FROM {each(800, 2)};
    INSERT INTO penny.invitations (tenant_id, id, email, role_id, token_hash, invited_by, expires_at)
        SELECT {made_id(TENANT, number="0")}, {made_id(INVITATION)}, 'bob-' || n || '@example.com', {made_id(ROLE, number="0")},
            sha256((t || '/' || n)::bytea), {made_id(USER, number="0")}, '2027-01-01' FROM {each(800, 2)};
    INSERT INTO penny.chats (tenant_id, id, owner_id, visibility, created_at, updated_at, archived_at)
        SELECT {made_id(TENANT, number="0")}, {made_id(CHAT)}, {made_id(USER, number="CASE WHEN n % 5 = 4 THEN 1 ELSE 0 END")},
            CASE WHEN n % 5 = 4 THEN 'TENANT' ELSE 'PRIVATE' END, {AGO}, {AGO}, CASE WHEN n % 7 = 6 THEN {AGO} END FROM {each(4000, 5)};
    UPDATE penny.chats SET assistant_id = owner_id WHERE ('x' || right(id::text, 4))::bit(16)::int % 3 = 0;
    UPDATE penny.chats SET pinned_at = {AGO.replace("n *", "1 *")} WHERE ('x' || right(id::text, 4))::bit(16)::int % 50 = 0;
    INSERT INTO penny.chat_participants (tenant_id, id, chat_id, user_id, role, chat_updated_at, chat_archived)
        SELECT {made_id(TENANT, number="0")}, {made_id(PARTICIPANT)}, {made_id(CHAT)}, {made_id(USER, number="n % 3")},
            'VIEWER', {AGO}, n % 7 = 6 FROM {each(4000, 5)};
    INSERT INTO penny.branches (tenant_id, id, chat_id, jump_branch_id)
        SELECT {made_id(TENANT, number="0")}, {made_id(BRANCH)}, {made_id(CHAT)}, {made_id(BRANCH)}
        FROM {each(4000, 5)};
    INSERT INTO penny.messages (tenant_id, id, chat_id, branch_id, depth, parent_id, role, status, content)
        SELECT {made_id(TENANT, number="0")}, {made_id(MESSAGE)}, {made_id(CHAT, number="n / 5000")}, {made_id(BRANCH, number="n / 5000")},
            n % 5000, CASE WHEN n % 5000 > 0 THEN {made_id(MESSAGE, number="n - 1")} END,
            CASE WHEN n % 2 = 0 THEN 'USER' ELSE 'ASSISTANT' END, 'COMPLETE', '' FROM {each(20000, 60)};
    INSERT INTO penny.chat_shares (tenant_id, id, chat_id, created_by, audience, token_hash, key_version)
        SELECT {made_id(TENANT, number="0")}, {made_id(SHARE)}, {made_id(CHAT, number="n / 2")}, {made_id(USER, number="0")}, 'ANYONE',
            sha256((t || '/' || n)::bytea), 1 FROM {each(4000, 5)};
    INSERT INTO penny.feedback (tenant_id, message_id, user_id, content)
        SELECT {made_id(TENANT, number="0")}, {made_id(MESSAGE)}, {made_id(USER, number="n % 2")}, '' FROM {each(20000, 20)};
    INSERT INTO penny.runs (tenant_id, id, chat_id, input_message_id, output_message_id, created_by, status, created_at, lease_until)
        SELECT {made_id(TENANT, number="0")}, {made_id(RUN)}, {made_id(CHAT, number="n % 2")}, {made_id(MESSAGE)}, {made_id(MESSAGE)},
            {made_id(USER, number="0")}, CASE WHEN n % 500 = 0 THEN 'QUEUED' WHEN n % 500 = 1 THEN 'RUNNING' ELSE 'COMPLETED' END,
            {AGO}, CASE WHEN n % 500 = 1 THEN {AGO} END FROM {each(6000, 40)};
    INSERT INTO penny.attempts (tenant_id, work_id, number, kind, chat_id, created_by, deployment_id, model, wire, credential_owner,
            reason, started_at, ended_at)
        SELECT {made_id(TENANT, number="0")}, {made_id(RUN)}, 1, 'ANSWER', {made_id(CHAT, number="n % 200")}, {made_id(USER, number="0")},
            {made_id(DEPLOYMENT, number="n % 50")}, 'm', 'openai', 'PLATFORM', '', {AGO}, {AGO} FROM {each(6000, 40)};
    INSERT INTO penny.run_steps (tenant_id, run_id, step)
        SELECT {made_id(TENANT, number="0")}, {made_id(RUN)}, 1 FROM {each(6000, 40)} WHERE n % 500 > 0;
    INSERT INTO penny.facts (tenant_id, id, era, xact, at, type, subject_id, details)
        SELECT {made_id(TENANT, number="0")}, {made_id(FACT)}, 1, 100 + n, {AGO},
            CASE WHEN n % 3 = 0 THEN 'RUN_STARTED' ELSE 'CHAT_CREATED' END, {made_id(CHAT)}, '{{}}' FROM {each(20000, 40)};
    INSERT INTO penny.jobs (tenant_id, id, kind, key, created_by, status, due_at)
        SELECT {made_id(TENANT, number="0")}, {made_id(JOB)}, 'export', n::text, {made_id(USER, number="n % 2")},
            CASE WHEN n % 500 = 0 THEN 'QUEUED' WHEN n % 500 = 1 THEN 'RUNNING' ELSE 'SUCCEEDED' END, {AGO} FROM {each(3000, 20)};
    INSERT INTO penny.document_manifests (tenant_id, id, client, version, document_count, created_by)
        SELECT {made_id(TENANT, number="0")}, {made_id(MANIFEST)}, 'mobile', n::text, 50, {made_id(USER, number="0")} FROM {each(80, 3)};
    INSERT INTO penny.trusted_documents (tenant_id, id, sha256, body, operation_name, cost, is_public)
        SELECT {made_id(TENANT, number="0")}, {made_id(DOCUMENT)}, sha256(n::text::bytea), '', 'Q', 1, n % 100 = 0 FROM {each(2000, 10)};
    INSERT INTO penny.manifest_documents (tenant_id, manifest_id, document_id, name)
        SELECT {made_id(TENANT, number="0")}, {made_id(MANIFEST, number="n % 80")}, {made_id(DOCUMENT, number="n / 2")}, 'name-' || n / 2
        FROM {each(4000, 20)};
    INSERT INTO penny.manifest_drafts (tenant_id, client, version, parts, documents)
        SELECT {made_id(TENANT, number="0")}, 'mobile', n::text, 1, 'null' FROM {each(3, 1)};
    INSERT INTO penny.draft_documents (tenant_id, client, version, place, name, sha256, body, operation_name, cost, is_public)
        SELECT {made_id(TENANT, number="0")}, 'mobile', (n % 3)::text, n, 'name-' || n, sha256(n::text::bytea), '', 'Q', 1, false
        FROM {each(3000, 10)};
    INSERT INTO penny.document_calls (tenant_id, document_id, day, calls)
        SELECT {made_id(TENANT, number="0")}, {made_id(DOCUMENT, number="n / 20")}, date '2026-11-22' - n % 20, 1 FROM {each(20000, 40)};
    INSERT INTO penny.idempotency_keys (tenant_id, principal_id, key_hash, input_hash, result)
        SELECT {made_id(TENANT, number="0")}, {made_id(USER, number="0")}, sha256(n::text::bytea), '', '{{}}' FROM {each(3000, 2)};
    INSERT INTO directory.mails (id, content, next_attempt_at, sent_at)
        SELECT {made_id(TENANT, tenant="0")}, '', {AGO}, CASE WHEN n % 100 > 0 THEN now() END FROM generate_series(0, 2999) AS n;
    SET session_replication_role = origin;
    ANALYZE;
"""
OPEN_RUNS = 2 * (6000 // 500) + 2 * (TENANTS - 1)


class Explained(Writing):
    """A scope that also asks PostgreSQL how it ran each statement, and undoes what that changed."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.plans: list[dict[str, Any]] = []

    async def rows(self, query: Statement, *arguments: object) -> list[Row]:
        await self._explain(query, arguments)
        return await super().rows(query, *arguments)

    async def row(self, query: Statement, *arguments: object) -> Row | None:
        await self._explain(query, arguments)
        return await super().row(query, *arguments)

    async def run(self, query: Statement, *arguments: object) -> int:
        await self._explain(query, arguments)
        return await super().run(query, *arguments)

    async def _explain(self, query: Statement, arguments: tuple[object, ...]) -> None:
        sql, values = compiled(query, arguments)
        async with undone(self._connection):
            await self._connection.execute(f"PREPARE explained AS {sql}")
            execute = f"EXECUTE explained({', '.join(map(literal, values))})" if values else "EXECUTE explained"
            for _ in range(EXECUTIONS):
                await self._connection.execute(execute)
            self.plans.append(
                json.loads(await self._connection.fetchval(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {execute}"))[0]["Plan"]
            )
            await self._connection.execute("DEALLOCATE explained")


def literal(value: object) -> str:
    """Spell an argument as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple):
        return "'{" + ",".join(str(one) for one in value) + "}'"
    if isinstance(value, timedelta):
        return f"'{value.total_seconds()} seconds'"
    return f"'\\x{value.hex()}'" if isinstance(value, bytes) else f"'{value}'"


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def shown(plan: dict[str, Any], depth: int = 0) -> str:
    """Spell a plan for whoever reads the failure."""
    said = ("Relation Name", "Index Name", "Index Cond", "Filter", "Sort Key", "Actual Rows", "Rows Removed by Filter", "Actual Loops")
    line = f"{'  ' * depth}{plan['Node Type']} " + " ".join(f"{name}={plan[name]}" for name in said if name in plan)
    return "\n".join([line, *(shown(child, depth + 1) for child in plan.get("Plans", []))])


def scans(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for node in nodes(plan) if "Relation Name" in node and node["Node Type"] != "ModifyTable"]


def rows_read(plan: dict[str, Any]) -> float:
    """How many rows the scans of a plan looked at, those included that a filter threw away."""
    looked_at = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    return sum(float(sum(node.get(name, 0) for name in looked_at)) * float(node["Actual Loops"]) for node in scans(plan))


def of_tenants(node: dict[str, Any]) -> bool:
    """Whether a part of a plan looks something up in an index of a tenant table."""
    return "Index Name" in node and not node["Index Name"].startswith("users_")


# A row for each cluster that the database has lived in.
SMALL = {"eras"}


@dataclass(frozen=True)
class Hot:
    """A statement, the most rows that it may read, and whether it looks across tenants.

    `optional` filters make a plan for any values so dear that PostgreSQL never chooses it; then its choice is what counts.
    """

    ask: Callable[[Explained], Awaitable[object]]
    most: int
    system: bool = False
    optional: bool = False


def asked_for(ask: Callable[..., Awaitable[object]], kind: int, columns: Columns | None = None) -> Callable[[Explained], Awaitable[object]]:
    return lambda scope: ask(scope, WHALE, [some_id(kind, 0, number) for number in range(0, 500, 10)], columns)


def chats_page(*, shown: bool, newest_first: bool, deep: bool, columns: Columns | None = None) -> Callable[[Explained], Awaitable[object]]:
    beyond = (DEEP, some_id(CHAT, 0, 77)) if deep else None
    return lambda scope: chats.page(
        scope, WHALE, WHALE_USER, whose="shown" if shown else "own", archived=False, newest_first=newest_first, beyond=beyond,
        since=None, until=None, limit=LIMIT, columns=columns,
    )  # fmt: skip


def assisted_page(*, archived: bool) -> Callable[[Explained], Awaitable[object]]:
    """The chats of an assistant, whose id is the owner's here."""
    return lambda scope: chats.page(
        scope, WHALE, WHALE_USER, whose="own", archived=archived, newest_first=True, beyond=None, since=None, until=None, limit=LIMIT,
        assistant_id=WHALE_USER,
    )  # fmt: skip


def pinned_page(whose: str) -> Callable[[Explained], Awaitable[object]]:
    return lambda scope: chats.page(
        scope, WHALE, WHALE_USER, whose=whose, archived=False, newest_first=True, beyond=None, since=None, until=None, limit=LIMIT
    )


def messages_page(
    *, newest_first: bool, above: int = -1, below: int = 2**31 - 1, chats_asked: int = 1, columns: Columns | None = None
) -> Callable[[Explained], Awaitable[object]]:
    asked = [(some_id(CHAT, 0, number), some_id(MESSAGE, 0, 5000 * number + LAST_MESSAGE)) for number in range(chats_asked)]
    return lambda scope: messages.pages_of_branches(
        scope, WHALE, asked, newest_first=newest_first, above=above, below=below, roles=None, limit=LIMIT, columns=columns
    )


def newest_messages(chat_id: UUID | None) -> Callable[[Explained], Awaitable[object]]:
    return lambda scope: terms.newest(
        scope, WHALE, WHALE_USER, since=None, until=None, author_id=None, chat_id=chat_id, limit=LIMIT, bytes_limit=9999
    )


def runs_page(beyond: tuple[datetime, UUID] | None, columns: Columns | None = None) -> Callable[[Explained], Awaitable[object]]:
    return lambda scope: runs.page(scope, WHALE, WHALE_USER, statuses=None, beyond=beyond, limit=LIMIT, columns=columns)


def runs_of_chats(beyond: tuple[datetime, UUID] | None, columns: Columns | None = None) -> Callable[[Explained], Awaitable[object]]:
    asked = [some_id(CHAT, 0, number) for number in range(3)]
    return lambda scope: runs.pages_of_chats(scope, WHALE, asked, statuses=None, beyond=beyond, limit=LIMIT, columns=columns)


def participants_of_chats(beyond: UUID | None, columns: Columns | None = None) -> Callable[[Explained], Awaitable[object]]:
    asked = [some_id(CHAT, 0, number) for number in range(50)]
    return lambda scope: participants.pages_of_chats(scope, WHALE, asked, beyond=beyond, limit=LIMIT, columns=columns)


def of_columns(*columns: str) -> dict[str, Hot]:
    """Statements that read no more columns than these; names say which."""
    wanted = frozenset(columns)
    asks = {
        "chats": Hot(chats_page(shown=False, newest_first=True, deep=True, columns=wanted), 2 * LIMIT),
        "chats shown": Hot(chats_page(shown=True, newest_first=False, deep=False, columns=wanted), 4 * LIMIT),
        "participants of chats": Hot(participants_of_chats(None, wanted), 50),
        "chats by ids": Hot(asked_for(chats.by_ids, CHAT, wanted), 50),
        "messages": Hot(messages_page(newest_first=True, chats_asked=4, columns=wanted), 4 * (LIMIT + 2)),
        "messages first": Hot(messages_page(newest_first=False, above=2500, columns=wanted), LIMIT + 2),
        "messages by ids": Hot(asked_for(messages.by_ids, MESSAGE, wanted), 50),
        "messages by parents": Hot(asked_for(messages.by_parents, MESSAGE, wanted), 50),
        "runs": Hot(runs_page((DEEP, some_id(RUN, 0, 77)), wanted), 2 * (LIMIT + 1)),
        "runs by ids": Hot(asked_for(runs.by_ids, RUN, wanted), 50),
        "runs of chats": Hot(runs_of_chats(None, wanted), 3 * LIMIT),
        "open runs of chats": Hot(lambda scope: runs.open_by_chats(scope, WHALE, [some_id(CHAT, 0, n) for n in range(2, 50)], wanted), 50),
        "people": Hot(asked_for(users.user_by_id, USER, wanted), 150),
        "memberships by ids": Hot(asked_for(loader_of_members.membership_by_id, MEMBERSHIP, wanted), 50),
        "memberships by people": Hot(asked_for(loader_of_members.membership_by_user, USER, wanted), 50),
        "members": Hot(
            lambda scope: members.page_of_tenant(scope, WHALE, role=None, text=None, beyond=None, limit=LIMIT, columns=wanted),
            LIMIT,
            optional=True,
        ),
    }
    return {f"{' and '.join(columns)} of {name}": hot for name, hot in asks.items()}


HOT = {
    **{
        f"chats {'shown' if shown else 'own'} {'newest' if newest else 'oldest'} first{' deep' if deep else ''}": Hot(
            chats_page(shown=shown, newest_first=newest, deep=deep), (4 if shown else 2) * LIMIT
        )
        for shown in (False, True)
        for newest in (False, True)
        for deep in (False, True)
    },
    "chats of an assistant": Hot(assisted_page(archived=False), 2 * LIMIT),
    "archived chats of an assistant": Hot(assisted_page(archived=True), 2 * LIMIT),
    "participants of chats": Hot(participants_of_chats(None), 50),
    "participants of chats deep": Hot(participants_of_chats(some_id(PARTICIPANT, 0, 7)), 50),
    "participants by ids": Hot(asked_for(participants.by_ids, PARTICIPANT), 50),
    **{f"chats {whose}": Hot(pinned_page(whose), 2 * LIMIT) for whose in ("pinned", "not pinned")},
    "copies of a message": Hot(lambda scope: messages.copies_of(scope, WHALE, some_id(MESSAGE, 0, 7)), 4),
    "messages of a chat": Hot(lambda scope: messages.page_of_chat(scope, WHALE, WHALE_CHAT, beyond=None, limit=LIMIT), LIMIT),
    "messages of a chat deep": Hot(
        lambda scope: messages.page_of_chat(scope, WHALE, WHALE_CHAT, beyond=some_id(MESSAGE, 0, 2500), limit=LIMIT), LIMIT
    ),
    "a link by its token": Hot(lambda scope: shares.by_token(scope, WHALE, b"no such hash"), 1),
    "links by ids": Hot(asked_for(shares.by_ids, SHARE), 50),
    "links to chats": Hot(lambda scope: shares.by_chats(scope, WHALE, [some_id(CHAT, 0, n) for n in range(20)]), 40),
    "feedback by messages": Hot(
        lambda scope: feedback.by_messages(scope, WHALE, [(some_id(MESSAGE, 0, n), WHALE_USER) for n in range(50)]), 50
    ),
    "messages first": Hot(messages_page(newest_first=False), LIMIT + 2),
    "messages last": Hot(messages_page(newest_first=True), LIMIT + 2),
    "messages before": Hot(messages_page(newest_first=True, below=2500), LIMIT + 2),
    "messages after": Hot(messages_page(newest_first=False, above=2500), LIMIT + 2),
    "messages of many chats": Hot(messages_page(newest_first=True, chats_asked=4), 4 * (LIMIT + 2)),
    "messages by ids": Hot(lambda scope: messages.by_ids(scope, WHALE, [some_id(MESSAGE, 0, n) for n in range(50)]), 50),
    "messages by parents": Hot(lambda scope: messages.by_parents(scope, WHALE, [some_id(MESSAGE, 0, n) for n in range(50)]), 50),
    "a message's place": Hot(lambda scope: messages.taken(scope, WHALE, some_id(BRANCH, 0), 4000), 1),
    "a saved answer": Hot(lambda scope: messages.save_answer(scope, WHALE, some_id(MESSAGE, 0, 7), content=b"", status="COMPLETE"), 1),
    "a chat": Hot(lambda scope: chats.by_id(scope, WHALE, WHALE_CHAT), 1),
    "chats by ids": Hot(lambda scope: chats.by_ids(scope, WHALE, [some_id(CHAT, 0, n) for n in range(50)]), 50),
    "a locked chat": Hot(lambda scope: chats.locked(scope, WHALE, WHALE_CHAT), 1),
    "a run": Hot(lambda scope: runs.by_id(scope, WHALE, some_id(RUN, 0, 3)), 1),
    "branches of chats": Hot(
        lambda scope: branches.pages_of_chats(scope, WHALE, [some_id(CHAT, 0, n) for n in range(3)], beyond=None, limit=LIMIT), 12
    ),
    "branches by ids": Hot(lambda scope: branches.seen(scope, WHALE, [some_id(BRANCH, 0, n) for n in range(3)]), 12),
    "first messages of chats": Hot(lambda scope: messages.first_of_chats(scope, WHALE, [some_id(CHAT, 0, n) for n in range(4)]), 4),
    "the end of a line": Hot(lambda scope: messages.last_of_branch(scope, WHALE, some_id(BRANCH, 0, 0)), 1),
    "runs whose turn it is": Hot(lambda scope: runs.next_in_chat(scope, WHALE, some_id(CHAT, 0, 0)), 2 * OPEN_RUNS),
    "runs": Hot(runs_page(None), 2 * LIMIT),
    "runs deep": Hot(runs_page((DEEP, some_id(RUN, 0, 77))), 2 * (LIMIT + 1)),
    "runs of chats": Hot(runs_of_chats(None), 3 * LIMIT),
    "runs of chats deep": Hot(runs_of_chats((DEEP, some_id(RUN, 0, 77))), 3 * (LIMIT + 1)),
    "a claimed run": Hot(lambda scope: runs.claim(scope, WHALE, some_id(RUN, 0, 0), worker="w", lease=timedelta(seconds=15)), 4),
    "a renewed run": Hot(
        lambda scope: runs.renew(
            scope, WHALE, some_id(RUN, 0, 1), epoch=0, lease=timedelta(seconds=15), last_seq=9, said={"text": 9, "reasoning": 0}
        ),
        2,
    ),
    "the steps of a run": Hot(lambda scope: steps.of_run(scope, WHALE, some_id(RUN, 0, 3)), 1),
    "a closed step": Hot(
        lambda scope: steps.close(
            scope, WHALE, some_id(RUN, 0, 3), 1, outcome="ENDED", said={"text": 9, "reasoning": 0}, usage=columns_of(NO_USAGE)
        ),
        1,
    ),
    "open runs of chats": Hot(lambda scope: runs.open_by_chats(scope, WHALE, [some_id(CHAT, 0, n) for n in range(2, 50)]), 50),
    "held runs of a chat": Hot(lambda scope: runs.held_in_chat(scope, WHALE, some_id(CHAT, 0, 1)), OPEN_RUNS),
    "attempts of runs": Hot(asked_for(attempts.by_works, RUN), 50),
    "a deployment's measures": Hot(
        lambda scope: attempts.stats(scope, WHALE, [some_id(DEPLOYMENT, 0, 7)], since=NOW - timedelta(days=30), until=NOW, most=1000), 10
    ),
    "what chats used": Hot(lambda scope: attempts.used_in_chats(scope, WHALE, [some_id(CHAT, 0, n) for n in range(50)]), 1600),
    "runs that wait": Hot(lambda scope: runs.queued_before(scope, WHALE, some_id(RUN, 0, 5999)), OPEN_RUNS),
    "abandoned runs": Hot(lambda scope: runs.abandoned(scope, older_than=timedelta(seconds=2), limit=50), 2 * OPEN_RUNS, system=True),
    "an idempotency key": Hot(
        lambda scope: idempotency.claim(scope, WHALE, WHALE_USER, key_hash=b"new", input_hash=b"", result={}, life=timedelta(hours=24)),
        1,
    ),
    "a session by its token": Hot(lambda scope: credentials.session_by_token(scope, b"no such hash"), 4, system=True),
    "tenants with sessions": Hot(lambda scope: credentials.tenants_with_sessions(scope, WHALE_USER), 4, system=True),
    "open sessions of a person": Hot(lambda scope: credentials.open_sessions(scope, WHALE, WHALE_USER, NOW), 4),
    "an API key for use": Hot(lambda scope: credentials.api_key_for_use(scope, WHALE, some_id(API_KEY, 0, 5)), 4),
    "own API keys": Hot(
        lambda scope: credentials.page_of_api_keys(scope, WHALE, WHALE_USER, beyond=None, newest_first=True, limit=LIMIT), LIMIT
    ),
    "all API keys": Hot(
        lambda scope: credentials.page_of_api_keys(scope, WHALE, None, beyond=some_id(API_KEY, 0, 400), newest_first=True, limit=LIMIT),
        LIMIT,
    ),
    "what a person is": Hot(lambda scope: members.standing(scope, WHALE, WHALE_USER), 3),
    "memberships of a person": Hot(lambda scope: members.of_user(scope, WHALE_USER), 3, system=True),
    "members": Hot(
        lambda scope: members.page_of_tenant(scope, WHALE, role=None, text=None, beyond=None, limit=LIMIT), LIMIT, optional=True
    ),
    "members deep": Hot(
        lambda scope: members.page_of_tenant(scope, WHALE, role=None, text=None, beyond=some_id(MEMBERSHIP, 0, 300), limit=LIMIT),
        LIMIT,
        optional=True,
    ),
    "open invitations": Hot(
        lambda scope: members.page_of_open_invitations(scope, WHALE, beyond=some_id(INVITATION, 0, 400), newest_first=True, limit=LIMIT),
        LIMIT,
    ),
    "a tenant": Hot(lambda scope: tenants.by_id(scope, WHALE), 1),
    "people by ids": Hot(asked_for(users.user_by_id, USER), 150),
    "memberships by ids": Hot(asked_for(loader_of_members.membership_by_id, MEMBERSHIP), 50),
    "memberships by people": Hot(asked_for(loader_of_members.membership_by_user, USER), 50),
    "invitations by ids": Hot(asked_for(invitations.invitation_by_id, INVITATION), 50),
    "sessions by ids": Hot(asked_for(sessions.session_by_id, SESSION), 50),
    "API keys by ids": Hot(asked_for(api_keys.api_key_by_id, API_KEY), 50),
    "facts behind a place": Hot(lambda scope: facts.after(scope, WHALE, (1, 4000, some_id(FACT, 0, 3900)), LIMIT), LIMIT + 4),
    "facts behind the last": Hot(lambda scope: facts.after(scope, WHALE, (1, 10**9, some_id(FACT, 0)), LIMIT), 4),
    "how many facts lie behind a place": Hot(
        lambda scope: facts.count_after(scope, WHALE, (1, 4000, some_id(FACT, 0, 3900)), LIMIT), LIMIT
    ),
    "facts by ids": Hot(asked_for(facts.by_ids, FACT), 50),
    "a page of events": Hot(
        lambda scope: facts.page(scope, WHALE, (1, 4000, some_id(FACT, 0, 3900)), types=["RUN_STARTED"], since=None, limit=LIMIT),
        4 * LIMIT,
        optional=True,
    ),
    "tenants with new facts": Hot(lambda scope: facts.tenants_since(scope, 1, 20090), 16, system=True, optional=True),
    "a document by its hash": Hot(lambda scope: documents.by_sha256(scope, WHALE, hashlib.sha256(b"7").digest()), 8),
    "a document by its name": Hot(lambda scope: documents.by_name(scope, WHALE, "name-7"), 8),
    "a public document": Hot(lambda scope: documents.public_by_sha256(scope, hashlib.sha256(b"100").digest()), 1, system=True),
    "names in a new part of a draft": Hot(lambda scope: documents.taken_names(scope, Release(WHALE, "mobile", "1"), after=2900), 200),
    "calls of documents": Hot(
        lambda scope: documents.calls_since(scope, WHALE, [some_id(DOCUMENT, 0, n) for n in range(50)], NOW.date()), 1000
    ),
    "a page of a manifest's documents": Hot(
        lambda scope: documents.pages_of_documents(scope, WHALE, [some_id(MANIFEST, 0, 1)], beyond=None, limit=LIMIT), 2100, optional=True
    ),
    "the newest messages, to be read by a search": Hot(newest_messages(None), 10 * LIMIT),
    "a chat's newest messages, to be read by a search": Hot(newest_messages(WHALE_CHAT), 10 * LIMIT),
    "jobs that somebody began": Hot(lambda scope: jobs.page(scope, WHALE, WHALE_USER, statuses=None, beyond=None, limit=LIMIT), 2 * LIMIT),
    "jobs that are due": Hot(lambda scope: jobs.due(scope, ["export"], LIMIT), LIMIT, system=True),
    **of_columns("id"),
    "a mail that is due": Hot(lambda scope: mails.claim(scope, now=NOW, until=NOW), 4, system=True),
}


@pytest.fixture(scope="module")
async def seeded(stack: Addresses, clone: Clone) -> AsyncIterator[dict[bool, Any]]:
    """Connections to a seeded database: as `penny_app`, and as `penny_system`."""
    async with clone("plans") as database:
        async with connected(stack, "postgres", database) as admin:
            await admin.execute(SEED)
        async with connected(stack, "penny_app", database) as app, connected(stack, "penny_system", database) as system:
            yield {False: app, True: system}


@pytest.mark.parametrize("planned", ["for its values", "for any values"])
@pytest.mark.parametrize("name", HOT)
async def test_a_hot_statement_reads_few_rows_and_scans_no_table(seeded: dict[bool, Any], name: str, planned: str) -> None:
    hot = HOT[name]
    mode = "force_custom_plan" if planned == "for its values" else "auto" if hot.optional else "force_generic_plan"
    connection = seeded[hot.system]
    async with undone(connection, None if hot.system else WHALE):
        await connection.execute(f"SET LOCAL plan_cache_mode = {mode}; SET LOCAL jit = off")
        scope = Explained(connection)
        await hot.ask(scope)
    assert scope.plans
    for plan in scope.plans:
        scanned = {node["Relation Name"] for node in scans(plan) if node["Node Type"] == "Seq Scan"}
        assert scanned <= SMALL, shown(plan)
        assert rows_read(plan) <= hot.most, shown(plan)
        assert hot.system or all("tenant_id" in node["Index Cond"] for node in nodes(plan) if of_tenants(node)), shown(plan)

"""Migrations go forwards and backwards, one by one, leave the same database every time, and wait for no lock for long."""

import asyncio
import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from db.migrating import migrate, unmigrate
from db.scopes import Writing
from db.statements import facts
from piccolo_conf import DB
from stack.addresses import Addresses
from tests.db.catalog import dump
from tests.db.conftest import Clone
from tests.db.databases import connected, undone
from tests.running import ROOT

FILES = sorted(path for path in (ROOT / "db/migrations").glob("*.py") if path.name != "__init__.py")
NAME = re.compile(r"m\d{8}_\d{4}_[a-z]+(_[a-z0-9]+)+")
MIGRATE = "import asyncio, sys; from db.migrating import migrate; asyncio.run(migrate(sys.argv[1]))"


def module_of(path: Path) -> ModuleType:
    return importlib.import_module(f"db.migrations.{path.stem}")


async def dumped(stack: Addresses, database: str) -> list[str]:
    async with connected(stack, "postgres", database) as admin:
        return await dump(admin)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_migration_says_when_and_what(path: Path) -> None:
    assert NAME.fullmatch(path.stem)
    migration = module_of(path)
    assert path.stem == migration.ID
    assert migration.DESCRIPTION
    assert migration.FORWARDS
    assert migration.BACKWARDS


async def test_migrations_go_there_and_back_and_there_again(stack: Addresses, empty: Clone) -> None:
    async with empty("migrations") as database:
        owner = stack.database_url("penny_owner", database)
        assert await dumped(stack, database) == []
        await migrate(owner)
        there = await dumped(stack, database)
        assert any("tenant_floor" in line for line in there)
        steps = [there]
        for path in reversed(FILES):
            await unmigrate(owner, path.stem)
            steps.append(await dumped(stack, database))
            # A migration of rows alone says so.
            fewer = len(steps[-1]) < len(steps[-2])
            assert fewer is not getattr(module_of(path), "CHANGES_ROWS_ONLY", False), path.stem
        assert steps[-1] == []
        await migrate(owner)
        assert await dumped(stack, database) == there
        await migrate(owner)
        assert await dumped(stack, database) == there


async def test_every_migration_waits_for_a_lock_for_seconds_only(stack: Addresses, empty: Clone) -> None:
    async with empty("lock_timeout") as database:
        DB.config["dsn"] = stack.database_url("penny_owner", database)
        managers = [await module_of(path).forwards() for path in FILES]
        for raw in (*(manager.raw for manager in managers), *(manager.raw_backwards for manager in reversed(managers))):
            assert raw
            for run in raw:
                assert (await run_logged(run))[0] == "SET LOCAL lock_timeout = '5s'"


async def run_logged(run: Any) -> list[str]:
    """Run a migration's function in Piccolo's transaction, and return the statements that it sent."""
    sent: list[str] = []
    async with DB.transaction() as transaction:
        transaction.connection.add_query_logger(lambda record: sent.append(record.query))
        await run()
        assert await transaction.connection.fetchval("SHOW lock_timeout") == "5s"
    return sent


# A chat that a model called after its second question, since the first one's answer failed; its fork; and one that nobody answered.
TITLED = """
    INSERT INTO penny.tenants (tenant_id, slug, name) VALUES ({tenant}, 'old', 'Old');
    INSERT INTO directory.tenant_slugs (slug, tenant_id) VALUES ('old', {tenant});
    INSERT INTO penny.chats (tenant_id, id, owner_id, title, titled_by, forked_from_id) VALUES
        ({tenant}, {chat}, {tenant}, 'x', 'MODEL', NULL), ({tenant}, {fork}, {tenant}, 'x', 'MODEL', {answer}),
        ({tenant}, {bare}, {tenant}, 'x', 'MODEL', NULL);
    INSERT INTO penny.branches (tenant_id, id, chat_id, jump_branch_id) VALUES
        ({tenant}, {chat}, {chat}, {chat}), ({tenant}, {fork}, {fork}, {fork}), ({tenant}, {bare}, {bare}, {bare});
    INSERT INTO penny.messages (tenant_id, id, chat_id, branch_id, depth, parent_id, role, status, content, copied_from_id) VALUES
        ({tenant}, {first}, {chat}, {chat}, 0, NULL, 'USER', 'COMPLETE', '', NULL),
        ({tenant}, {failed}, {chat}, {chat}, 1, {first}, 'ASSISTANT', 'FAILED', '', NULL),
        ({tenant}, {second}, {chat}, {chat}, 2, {failed}, 'USER', 'COMPLETE', '', NULL),
        ({tenant}, {answer}, {chat}, {chat}, 3, {second}, 'ASSISTANT', 'COMPLETE', '', NULL),
        ({tenant}, {copy}, {fork}, {fork}, 2, NULL, 'USER', 'COMPLETE', '', {second}),
        ({tenant}, {alone}, {bare}, {bare}, 0, NULL, 'USER', 'COMPLETE', '', NULL);
    INSERT INTO penny.runs
        (tenant_id, id, chat_id, input_message_id, output_message_id, created_by, status, turn, started_at, finished_at) VALUES
        ({tenant}, {failed}, {chat}, {first}, {failed}, {tenant}, 'FAILED', 1, '2026-01-01', '2026-01-02'),
        ({tenant}, {answer}, {chat}, {second}, {answer}, {tenant}, 'COMPLETED', 2, '2026-01-03', '2026-01-04');
    INSERT INTO penny.chat_shares (tenant_id, id, chat_id, created_by, audience, title, token_hash, key_version) VALUES
        ({tenant}, {chat}, {chat}, {tenant}, 'TENANT', 'x', 'x', 1);
"""


async def test_old_titles_are_traced_to_what_they_were_made_of_and_nobody_waits(stack: Addresses, clone: Clone) -> None:
    tracing = importlib.import_module("db.migrations.m20261125_2352_trace_old_titles")
    ids = {name: uuid4() for name in ("tenant", "chat", "fork", "bare", "first", "failed", "second", "answer", "copy", "alone")}
    async with clone("titles") as database:
        owner = stack.database_url("penny_owner", database)
        await unmigrate(owner, tracing.ID)
        async with connected(stack, "postgres", database) as admin, connected(stack, "penny_owner", database) as other:
            await admin.execute(TITLED.format(**{name: f"'{one}'" for name, one in ids.items()}))
            async with undone(other):
                for statement in tracing.FORWARDS:
                    await other.execute(statement)
                modes = await other.fetch("SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'")
                assert {row["mode"] for row in modes} <= {"AccessShareLock", "RowShareLock", "RowExclusiveLock"}
            await migrate(owner)
            found = await admin.fetch(
                "SELECT id, titled_from_id FROM penny.chats UNION ALL SELECT id, titled_from_id FROM penny.chat_shares"
            )
    wanted = [("chat", "second"), ("fork", "copy"), ("bare", "alone"), ("chat", "second")]
    assert sorted(tuple(row) for row in found) == sorted((ids[name], ids[question]) for name, question in wanted)


async def test_two_migrations_at_once_both_end_well(stack: Addresses, empty: Clone, clone: Clone) -> None:
    async with empty("at_once") as database, clone("migrated") as migrated:
        owner = stack.database_url("penny_owner", database)
        processes = [await asyncio.create_subprocess_exec(sys.executable, "-c", MIGRATE, owner, cwd=ROOT) for _ in range(2)]
        assert [await process.wait() for process in processes] == [0, 0]
        assert await dumped(stack, database) == await dumped(stack, migrated)


async def test_a_migration_that_fails_leaves_the_database_as_it_was(stack: Addresses, empty: Clone) -> None:
    async with empty("failing") as database:
        async with connected(stack, "postgres", database) as admin:
            await admin.execute("CREATE SCHEMA penny")
        before = await dumped(stack, database)
        with pytest.raises(asyncpg.DuplicateSchemaError):
            await migrate(stack.database_url("penny_owner", database))
        assert await dumped(stack, database) == before


async def test_in_another_cluster_another_era_begins_and_facts_keep_their_order(stack: Addresses, clone: Clone) -> None:
    """As after a restore: the database comes from a cluster that had come further in its numbers than this one."""
    tenant_id, old, new = uuid4(), uuid4(), uuid4()
    async with clone("eras") as database:
        async with connected(stack, "postgres", database) as admin:
            await admin.execute(
                "INSERT INTO penny.facts (tenant_id, id, era, xact, type, subject_id, details) VALUES ($1, $2, 1, 1e15, 'X', $2, '{}')",
                tenant_id,
                old,
            )
            await admin.execute("UPDATE directory.eras SET cluster = 1")
        for _ in range(2):  # the second one finds nothing to do
            await migrate(stack.database_url("penny_owner", database))
        async with connected(stack, "penny_app", database) as app, undone(app, tenant_id):
            scope = Writing(app)
            await facts.create(scope, tenant_id, [facts.NewFact("X", new, None, None, "{}")], actor_id=None, actor_key_id=None)
            rows = await facts.after(scope, tenant_id, (0, 0, UUID(int=0)), 10)
    assert [(row["subject_id"], row["era"], row["horizon_era"]) for row in rows] == [(old, 1, 2), (new, 2, 2)]
    # The old cluster's fact is told at once; the new one waits for its own transaction.
    assert [row["settled"] for row in rows] == [True, False]

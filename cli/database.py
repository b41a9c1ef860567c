"""The embedded database: made by its superuser, walled in, and brought to the newest migration."""

import asyncpg

from db.bootstrap import cluster_statements, database_statements
from stack.addresses import Addresses


async def prepare(addresses: Addresses, database: str) -> None:
    """Make the roles, the database and its tables where they are missing; may run again."""
    admin = await asyncpg.connect(addresses.admin_url)
    try:
        for statement in cluster_statements():
            await admin.execute(statement)
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
            await admin.execute(f'CREATE DATABASE "{database}"')
    finally:
        await admin.close()
    await _wall_in(addresses, database)


async def _wall_in(addresses: Addresses, database: str) -> None:
    inside = await asyncpg.connect(addresses.database_url("postgres", database))
    try:
        for statement in database_statements(database):
            await inside.execute(statement)
    finally:
        await inside.close()

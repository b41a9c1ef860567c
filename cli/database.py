"""The database of a development: made by its superuser where it is embedded, and brought to the newest migration."""

import asyncpg

from db.bootstrap import cluster_statements, database_statements
from db.migrating import migrate
from settings import Settings
from stack.addresses import Addresses


async def make(addresses: Addresses, database: str) -> None:
    """Make the roles and the database where they are missing; may run again."""
    admin = await asyncpg.connect(addresses.admin_url)
    try:
        for statement in cluster_statements():
            await admin.execute(statement)
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
            await admin.execute(f'CREATE DATABASE "{database}"')
    finally:
        await admin.close()
    inside = await asyncpg.connect(addresses.database_url("postgres", database))
    try:
        for statement in database_statements(database):
            await inside.execute(statement)
    finally:
        await inside.close()


async def bring_up_to_date(settings: Settings) -> None:
    """Run the migrations that are missing."""
    await migrate(settings.database_owner_url)


async def has_account(settings: Settings, email: str) -> bool:
    """Whether somebody has signed up with this address."""
    connection = await asyncpg.connect(settings.database_system_url)
    try:
        return bool(await connection.fetchval("SELECT 1 FROM directory.users WHERE lower(email) = $1", email))
    finally:
        await connection.close()

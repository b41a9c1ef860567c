"""Databases to spoil, and connections to them in any role."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from db.bootstrap import database_statements
from db.pools import Connection
from stack.addresses import Addresses


@contextlib.asynccontextmanager
async def connected(stack: Addresses, role: str, database: str) -> AsyncIterator[Any]:
    """Open a connection of a role for a block, of the kind that the pools hold."""
    connection = await asyncpg.connect(stack.database_url(role, database), connection_class=Connection, timeout=10)
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def made_database(stack: Addresses, name: str, template: str) -> AsyncIterator[str]:
    """Make a database with what a superuser does once for it, and drop it afterwards."""
    async with connected(stack, "postgres", "postgres") as admin:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    try:
        async with connected(stack, "postgres", name) as admin:
            for statement in database_statements(name):
                await admin.execute(statement)
        yield name
    finally:
        async with connected(stack, "postgres", "postgres") as admin:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.asynccontextmanager
async def undone(connection: Any, tenant_id: object = None) -> AsyncIterator[None]:
    """Open a transaction, for a tenant where one is named, and undo all that was done in it."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        if tenant_id is not None:
            await connection.execute(f"SET LOCAL app.tenant_id = '{tenant_id}'")
        yield
    finally:
        await transaction.rollback()

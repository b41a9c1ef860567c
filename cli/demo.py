"""Somebody to sign in as: the demo account and its tenant, made once and through the works."""

from typing import Final

import asyncpg

from errors import Conflict
from settings import Settings
from web.works import open_works

EMAIL: Final = "demo@penny.example"
PASSWORD: Final = "open the door"  # noqa: S105 - printed for everybody; `penny dev` refuses production
ADDRESS: Final = "127.0.0.1"


async def is_there(settings: Settings) -> bool:
    """Whether the account exists, at the price of one query."""
    connection = await asyncpg.connect(settings.database_system_url)
    try:
        return bool(await connection.fetchval("SELECT 1 FROM directory.users WHERE lower(email) = $1", EMAIL))
    finally:
        await connection.close()


async def sign_up(settings: Settings) -> None:
    """Make the account and its tenant; an account that is there already stays as it is."""
    async with open_works(settings, application="penny dev") as process:
        try:
            await process.works.accounts.sign_up(
                email=EMAIL,
                password=PASSWORD,
                name="Demo",
                tenant_name="Demo",
                invitation_token=None,
                transport="BEARER",
                address=ADDRESS,
                user_agent="penny dev",
            )
        except Conflict:
            return

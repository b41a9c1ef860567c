"""Which migrations there are, and which of them a database has."""

from pathlib import Path
from typing import Final

import asyncpg

from db import migrations

FOLDER: Final = Path(str(migrations.__file__)).parent


def written() -> list[str]:
    """Return the ids of all migrations, the oldest first."""
    return sorted(path.stem for path in FOLDER.glob("m[0-9]*.py"))


async def applied(owner_url: str) -> list[str]:
    """Return the ids of those that the database has, the oldest first; the table is Piccolo's and its owner's."""
    connection = await asyncpg.connect(owner_url, timeout=10)
    try:
        if await connection.fetchval("SELECT to_regclass('public.migration')") is None:
            return []
        return [row["name"] for row in await connection.fetch("SELECT name FROM public.migration ORDER BY name")]
    finally:
        await connection.close()

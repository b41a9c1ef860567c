"""The checks of PostgreSQL: on its roles rests that no tenant sees another."""

import time
from collections.abc import Mapping
from typing import Any, Final

import asyncpg

from cli import migrations
from cli.findings import FAIL, OK, WARN, Finding, said
from settings import Settings

CONNECT_SECONDS: Final = 5.0
OLDEST: Final = 18
# Sessions and links expire by the clock; half a minute apart, and a link can be dead before it is read.
CLOCK_WARN_SECONDS: Final = 2.0
CLOCK_FAIL_SECONDS: Final = 30.0
BOOTSTRAP: Final = "Run what `penny migrate --print-bootstrap` prints, as a superuser."
OUTAGES: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError)
FACTS: Final = """
    SELECT current_user AS role, current_setting('server_version_num')::int / 10000 AS version, rolsuper, rolbypassrls,
           has_function_privilege(current_user, 'pg_catalog.set_config(text, text, boolean)', 'EXECUTE') AS may_switch,
           pg_has_role(current_user, datdba, 'USAGE') AS owns,
           (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS vector,
           extract(epoch FROM clock_timestamp())::float AS clock
    FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()
"""


async def check_app_role(settings: Settings) -> list[Finding]:
    """Check the role of web and worker."""
    return await _role("PostgreSQL", settings.database_url, "PENNY_DATABASE_URL")


async def check_system_role(settings: Settings) -> list[Finding]:
    """Check the role that looks across tenants."""
    return await _role("PostgreSQL, system", settings.database_system_url, "PENNY_DATABASE_SYSTEM_URL")


async def _role(part: str, url: str, setting: str) -> list[Finding]:
    try:
        facts = await _facts(url)
    except OUTAGES as error:
        return [Finding(part, FAIL, f"no connection: {said(error)}", f"Check {setting}, and that the server runs.")]
    found = [Finding(part, level, text, advice) for level, text, advice in _judged(facts)]
    return found or [Finding(part, OK, f"version {facts['version']}, pgvector {facts['vector']}, as {facts['role']}")]


async def _facts(url: str) -> Mapping[str, Any]:
    connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    try:
        row: Mapping[str, Any] = await connection.fetchrow(FACTS, timeout=CONNECT_SECONDS)
        return row
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


def _judged(facts: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    found = []
    if facts["version"] < OLDEST:
        found.append((FAIL, f"version {facts['version']}", f"PENNY needs PostgreSQL {OLDEST} or newer."))
    if facts["rolsuper"] or facts["rolbypassrls"] or facts["owns"]:
        advice = "Connect as a role that is no superuser, does not own the database and has no BYPASSRLS."
        found.append((FAIL, f"{facts['role']} can pass row-level security", advice))
    if facts["may_switch"]:
        found.append((FAIL, "set_config may be called, by which an injected SELECT could switch tenants", BOOTSTRAP))
    if facts["vector"] is None:
        found.append((FAIL, "the extension vector is missing", f"Install pgvector. {BOOTSTRAP}"))
    apart = abs(facts["clock"] - time.time())
    if apart > CLOCK_WARN_SECONDS:
        level = FAIL if apart > CLOCK_FAIL_SECONDS else WARN
        found.append((level, f"its clock and this machine's are {apart:.0f} s apart", "Keep both by NTP."))
    return found


async def check_migrations(settings: Settings) -> list[Finding]:
    """Check that the database has all migrations, and no others."""
    part = "Migrations"
    if not settings.database_owner_url:
        return [Finding(part, WARN, "unknown", "Only penny_owner can tell: set PENNY_DATABASE_OWNER_URL for this command.")]
    try:
        have = set(await migrations.applied(settings.database_owner_url))
    except OUTAGES as error:
        return [Finding(part, FAIL, f"no connection as the owner: {said(error)}", "Check PENNY_DATABASE_OWNER_URL.")]
    want = set(migrations.written())
    if want - have:
        return [Finding(part, FAIL, f"{len(want - have)} missing, the first is {min(want - have)}", "Run `penny migrate`.")]
    if have - want:
        return [Finding(part, WARN, f"the database is newer than this release: {max(have - want)}", "Run the newer release.")]
    return [Finding(part, OK, f"all {len(want)}")]

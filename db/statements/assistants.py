"""Statements over assistants and their versions. A tenant has few, so a list is read whole."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from piccolo.querystring import QueryString

from db.scopes import Reading, Row, Writing
from db.statements.edges import LAST_NUMBER
from db.statements.projections import Columns, Projection
from db.tables.assistants import Assistant, AssistantVersion

_BY_IDS: Final = Projection(
    "SELECT {columns} FROM penny.assistants WHERE tenant_id = $1 AND id = ANY($2::uuid[])", Assistant, always=("id",)
)
_VERSIONS_BY_IDS: Final = Projection(
    "SELECT {columns} FROM penny.assistant_versions WHERE tenant_id = $1 AND id = ANY($2::uuid[])", AssistantVersion, always=("id",)
)
_VERSIONS: Final = Projection(
    """
    SELECT {columns} FROM unnest($2::uuid[]) AS asked (assistant_id)
    CROSS JOIN LATERAL (
        SELECT * FROM penny.assistant_versions v
        WHERE v.tenant_id = $1 AND v.assistant_id = asked.assistant_id AND v.number < $3
        ORDER BY v.number DESC LIMIT $4
    ) version
    ORDER BY version.assistant_id, version.number DESC
    """,
    AssistantVersion,
    of="version",
    always=("id", "assistant_id", "number"),
)


async def by_ids(scope: Reading, tenant_id: UUID, ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    return await scope.rows(_BY_IDS.text(columns), tenant_id, list(ids))


async def of_chat(scope: Reading, tenant_id: UUID, chat_id: UUID) -> Row | None:
    """Read the version of its assistant that a chat uses; None where it has no assistant, or one that is gone.

    Where none is released, all columns of the version are null.
    """
    return await scope.row(
        """
        SELECT v.* FROM penny.chats c JOIN penny.assistants a ON a.tenant_id = c.tenant_id AND a.id = c.assistant_id
        LEFT JOIN penny.assistant_versions v ON v.tenant_id = a.tenant_id AND v.id = a.current_version_id
        WHERE c.tenant_id = $1 AND c.id = $2
        """,
        tenant_id,
        chat_id,
    )


async def of_tenant(scope: Reading, tenant_id: UUID, *, limit: int) -> list[Row]:
    """Read the tenant's assistants by their slugs."""
    return await scope.rows("SELECT * FROM penny.assistants WHERE tenant_id = $1 ORDER BY slug LIMIT $2", tenant_id, limit)


async def count(scope: Reading, tenant_id: UUID) -> int:
    return int(str(await scope.value("SELECT count(*) FROM penny.assistants WHERE tenant_id = $1", tenant_id)))


async def locked(scope: Writing, tenant_id: UUID, assistant_id: UUID) -> Row | None:
    """Read an assistant and keep it from other writers until the scope ends."""
    return await scope.row("SELECT * FROM penny.assistants WHERE tenant_id = $1 AND id = $2 FOR UPDATE", tenant_id, assistant_id)


async def create(scope: Writing, assistant: Assistant) -> Row | None:
    """Add an assistant; None when its slug is taken."""
    query = Assistant.insert(assistant).on_conflict((Assistant.tenant_id, Assistant.slug), "DO NOTHING")
    return await scope.row(query.returning(*Assistant.all_columns()))


async def change(scope: Writing, tenant_id: UUID, assistant_id: UUID, values: Mapping[Any, Any]) -> Row:
    query = Assistant.update({**values, Assistant.updated_at: QueryString("now()")})
    query = query.where(Assistant.tenant_id == tenant_id).where(Assistant.id == assistant_id)
    row = await scope.row(query.returning(*Assistant.all_columns()))
    assert row is not None, "it is locked"
    return row


async def add_version(scope: Writing, version: AssistantVersion) -> Row:
    row = await scope.row(AssistantVersion.insert(version).returning(*AssistantVersion.all_columns()))
    assert row is not None
    return row


async def versions_by_ids(scope: Reading, tenant_id: UUID, ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    return await scope.rows(_VERSIONS_BY_IDS.text(columns), tenant_id, list(ids))


async def version_by_id(scope: Reading, tenant_id: UUID, version_id: UUID) -> Row | None:
    return await scope.row("SELECT * FROM penny.assistant_versions WHERE tenant_id = $1 AND id = $2", tenant_id, version_id)


async def pages_of_versions(  # noqa: PLR0913 - the arguments of a page
    scope: Reading, tenant_id: UUID, assistant_ids: Sequence[UUID], *, below: int | None, limit: int, columns: Columns | None = None
) -> list[Row]:
    """Read the same page of many assistants' versions at once, the newest of each first."""
    return await scope.rows(_VERSIONS.text(columns), tenant_id, list(assistant_ids), LAST_NUMBER if below is None else below, limit)


async def set_state(scope: Writing, tenant_id: UUID, version_id: UUID, state: str) -> None:
    await scope.run("UPDATE penny.assistant_versions SET state = $3 WHERE tenant_id = $1 AND id = $2", tenant_id, version_id, state)


async def newest_released(scope: Reading, tenant_id: UUID, assistant_id: UUID) -> UUID | None:
    """Find the version that an assistant falls back to."""
    row = await scope.row(
        """
        SELECT id FROM penny.assistant_versions WHERE tenant_id = $1 AND assistant_id = $2 AND state = 'RELEASED'
        ORDER BY number DESC LIMIT 1
        """,
        tenant_id,
        assistant_id,
    )
    return None if row is None else row["id"]


async def pass_on(scope: Writing, tenant_id: UUID, user_id: UUID, owner_role_id: UUID) -> list[UUID]:
    """Give the assistants of somebody who leaves to whoever has been the tenant's owner longest, and end what they were given.

    Returns the assistants that this changed.
    """
    rows = await scope.rows(
        """
        UPDATE penny.assistants SET updated_at = now(),
            owner_id = CASE WHEN owner_id <> $2 THEN owner_id ELSE (
                SELECT user_id FROM penny.memberships
                WHERE tenant_id = $1 AND role_id = $3 AND status = 'ACTIVE' AND user_id <> $2 ORDER BY joined_at, id LIMIT 1
            ) END,
            grants = (
                SELECT coalesce(jsonb_agg(given ORDER BY place), '[]') FROM jsonb_array_elements(grants) WITH ORDINALITY AS g (given, place)
                WHERE given ->> 'kind' <> 'USER' OR given ->> 'id' <> $4
            )
        WHERE tenant_id = $1 AND (owner_id = $2 OR grants @> jsonb_build_array(jsonb_build_object('kind', 'USER', 'id', $4::text)))
        RETURNING id
        """,
        tenant_id,
        user_id,
        owner_role_id,
        user_id.hex,
    )
    return [row["id"] for row in rows]

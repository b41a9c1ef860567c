"""Statements over roles, memberships and invitations."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.statements.edges import FIRST_ID
from db.statements.projections import Columns, Projection
from db.tables.members import Invitation, Membership, Role

INVITATION: Final = Invitation.all_columns(exclude=[Invitation.token_hash])


async def create_role(scope: Writing, role: Role) -> Row | None:
    """Add a role; None when the tenant has one of this name."""
    return await scope.row(
        """
        INSERT INTO penny.roles (tenant_id, id, name, builtin, scopes, created_at) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (tenant_id, name) DO NOTHING
        RETURNING *
        """,
        role.tenant_id,
        role.id,
        role.name,
        role.builtin,
        role.scopes,
        role.created_at,
    )


async def role(scope: Reading, tenant_id: UUID, role_id: UUID) -> Row | None:
    return await scope.row("SELECT * FROM penny.roles WHERE tenant_id = $1 AND id = $2", tenant_id, role_id)


async def role_named(scope: Reading, tenant_id: UUID, name: str) -> Row | None:
    return await scope.row("SELECT * FROM penny.roles WHERE tenant_id = $1 AND name = $2", tenant_id, name)


async def locked_role(scope: Writing, tenant_id: UUID, role_id: UUID) -> Row | None:
    """Read a role and keep it from other writers until the scope ends; foreign keys to it are not held up."""
    return await scope.row("SELECT * FROM penny.roles WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE", tenant_id, role_id)


async def locked_builtin_role(scope: Writing, tenant_id: UUID, name: str) -> Row | None:
    """Like `locked_role`, for a built-in one."""
    return await scope.row("SELECT * FROM penny.roles WHERE tenant_id = $1 AND name = $2 AND builtin FOR NO KEY UPDATE", tenant_id, name)


async def change_role(scope: Writing, tenant_id: UUID, role_id: UUID, *, name: str, scopes: Sequence[str]) -> Row | None:
    """Change a role; raises asyncpg's UniqueViolationError when another one has the name."""
    changed = "UPDATE penny.roles SET name = $3, scopes = $4 WHERE tenant_id = $1 AND id = $2 RETURNING *"
    return await scope.row(changed, tenant_id, role_id, name, list(scopes))


async def create_membership(scope: Writing, membership: Membership) -> Row | None:
    """Add a member; None when the person is one already."""
    return await scope.row(
        """
        INSERT INTO penny.memberships (tenant_id, id, user_id, role_id, status, joined_at) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (tenant_id, user_id) DO NOTHING
        RETURNING *
        """,
        membership.tenant_id,
        membership.id,
        membership.user_id,
        membership.role_id,
        membership.status,
        membership.joined_at,
    )


async def locked_membership(scope: Writing, tenant_id: UUID, membership_id: UUID) -> Row | None:
    """Read a membership with its role's `builtin`, `role_name` and `scopes`, and keep it from other writers until the scope ends."""
    return await scope.row(
        """
        SELECT m.*, r.name AS role_name, r.builtin, r.scopes
        FROM penny.memberships m JOIN penny.roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
        WHERE m.tenant_id = $1 AND m.id = $2
        FOR NO KEY UPDATE OF m
        """,
        tenant_id,
        membership_id,
    )


_STANDING: Final = """
    SELECT m.role_id, m.status AS member_status, r.scopes, t.status AS tenant_status, t.settings AS tenant_settings
    FROM penny.memberships m
    JOIN penny.roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
    JOIN penny.tenants t ON t.tenant_id = m.tenant_id
    WHERE m.tenant_id = $1 AND m.user_id = $2
"""


async def standing(scope: Reading, tenant_id: UUID, user_id: UUID) -> Row | None:
    """Read what a person is in a tenant: role, its scopes, the membership's and the tenant's status, and the tenant's settings."""
    return await scope.row(_STANDING, tenant_id, user_id)


async def of_user(scope: Reading, user_id: UUID) -> list[Row]:
    """Read a person's memberships in all tenants, the most recently used first; needs a system scope."""
    return await scope.rows(
        """
        SELECT m.*, t.slug AS tenant_slug, t.name AS tenant_name, t.status AS tenant_status, t.region AS tenant_region,
            t.created_at AS tenant_created_at, t.revision AS tenant_revision,
            r.name AS role_name, r.builtin AS role_builtin, r.scopes AS role_scopes
        FROM penny.memberships m
        JOIN penny.tenants t ON t.tenant_id = m.tenant_id
        JOIN penny.roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
        WHERE m.user_id = $1
        ORDER BY coalesce(m.last_active_at, m.joined_at) DESC, m.tenant_id, m.id
        """,
        user_id,
    )


async def is_member(scope: Reading, tenant_id: UUID, email: str) -> bool:
    """Tell whether the tenant has a member with this address."""
    found = """
        SELECT 1 FROM penny.memberships m JOIN directory.users u ON u.id = m.user_id
        WHERE m.tenant_id = $1 AND lower(u.email) = lower($2)
    """
    return await scope.row(found, tenant_id, email) is not None


async def count_active(scope: Reading, tenant_id: UUID, role_id: UUID) -> int:
    """Count the members who have this role and are not disabled."""
    count = "SELECT count(*) FROM penny.memberships WHERE tenant_id = $1 AND role_id = $2 AND status = 'ACTIVE'"
    return int(str(await scope.value(count, tenant_id, role_id)))


async def change_membership(scope: Writing, tenant_id: UUID, membership_id: UUID, values: Mapping[Any, Any]) -> Row | None:
    """Change columns of a membership."""
    query = Membership.update(dict(values)).where(Membership.tenant_id == tenant_id).where(Membership.id == membership_id)
    return await scope.row(query.returning(*Membership.all_columns()))


async def note_activity(scope: Writing, tenant_id: UUID, user_id: UUID, now: datetime) -> None:
    """Note that a member is here."""
    seen = "UPDATE penny.memberships SET last_active_at = $3 WHERE tenant_id = $1 AND user_id = $2"
    await scope.run(seen, tenant_id, user_id, now)


async def delete_membership(scope: Writing, tenant_id: UUID, membership_id: UUID) -> bool:
    """Remove a member, and with them their sessions and API keys of this tenant."""
    return await scope.run("DELETE FROM penny.memberships WHERE tenant_id = $1 AND id = $2", tenant_id, membership_id) == 1


async def create_invitation(scope: Writing, invitation: Invitation) -> Row:
    row = await scope.row(Invitation.insert(invitation).returning(*INVITATION))
    assert row is not None
    return row


async def revoke_open_invitations(scope: Writing, tenant_id: UUID, email: str, now: datetime) -> list[UUID]:
    """End the invitations of an address that were not accepted, and return which those were."""
    ended = """
        UPDATE penny.invitations SET revoked_at = $3
        WHERE tenant_id = $1 AND lower(email) = lower($2) AND accepted_at IS NULL AND revoked_at IS NULL
        RETURNING id
    """
    return [row["id"] for row in await scope.rows(ended, tenant_id, email, now)]


async def locked_invitation(scope: Writing, tenant_id: UUID, token_hash: bytes) -> Row | None:
    """Read an invitation by its token, with its tenant's status, and keep it from other writers until the scope ends."""
    return await scope.row(
        """
        SELECT i.*, t.status AS tenant_status
        FROM penny.invitations i JOIN penny.tenants t ON t.tenant_id = i.tenant_id
        WHERE i.tenant_id = $1 AND i.token_hash = $2
        FOR NO KEY UPDATE OF i
        """,
        tenant_id,
        token_hash,
    )


async def accept_invitation(scope: Writing, tenant_id: UUID, invitation_id: UUID, now: datetime) -> None:
    await scope.run("UPDATE penny.invitations SET accepted_at = $3 WHERE tenant_id = $1 AND id = $2", tenant_id, invitation_id, now)


async def revoke_invitation(scope: Writing, tenant_id: UUID, invitation_id: UUID, now: datetime) -> Row | None:
    """End an invitation; None when there is none that was not accepted."""
    query = Invitation.update({Invitation.revoked_at: now}).where(Invitation.tenant_id == tenant_id).where(Invitation.id == invitation_id)
    return await scope.row(query.where(Invitation.accepted_at.is_null()).where(Invitation.revoked_at.is_null()).returning(*INVITATION))


async def page_of_open_invitations(scope: Reading, tenant_id: UUID, *, beyond: UUID | None, newest_first: bool, limit: int) -> list[Row]:
    """Read a page of the invitations that were neither accepted nor revoked, by creation; expired ones are among them."""
    query = Invitation.select(*INVITATION).where(Invitation.tenant_id == tenant_id)
    query = query.where(Invitation.accepted_at.is_null()).where(Invitation.revoked_at.is_null())
    if beyond is not None:
        query = query.where(Invitation.id < beyond if newest_first else Invitation.id > beyond)
    return await scope.rows(query.order_by(Invitation.id, ascending=not newest_first).limit(limit))


_ROLES: Final = Projection("SELECT {columns} FROM penny.roles WHERE tenant_id = $1 ORDER BY builtin DESC, id", Role)


async def roles_of_tenant(scope: Reading, tenant_id: UUID, columns: Columns | None = None) -> list[Row]:
    """Read all roles, the ones that every tenant begins with first."""
    return await scope.rows(_ROLES.text(columns), tenant_id)


# `strpos` and not LIKE: what somebody types is text, not a pattern. Neither filter is a join, so that a page follows the key.
_MATCHING: Final = """
    FROM penny.memberships m
    WHERE m.tenant_id = $1
        AND ($2::text IS NULL OR m.role_id = (SELECT r.id FROM penny.roles r WHERE r.tenant_id = $1 AND r.name = $2))
        AND ($3::text IS NULL OR EXISTS (
            SELECT 1 FROM directory.users u
            WHERE u.id = m.user_id AND (strpos(lower(u.name), lower($3)) > 0 OR strpos(lower(u.email), lower($3)) > 0)
        ))
"""
_PAGE_OF_TENANT: Final = Projection(
    "SELECT {columns} " + _MATCHING + " AND m.id > $4 ORDER BY m.id LIMIT $5", Membership, of="m", always=("id",)
)
_COUNT_OF_TENANT: Final = f"SELECT count(*) {_MATCHING}"


async def page_of_tenant(  # noqa: PLR0913 - the filters and the place of a page
    scope: Reading,
    tenant_id: UUID,
    *,
    role: str | None,
    text: str | None,
    beyond: UUID | None,
    limit: int,
    columns: Columns | None = None,
) -> list[Row]:
    """Read a page of memberships, in the order of joining: all, or those with the role of a name, or whose name or address has a text."""
    return await scope.rows(_PAGE_OF_TENANT.text(columns), tenant_id, role, text, beyond or FIRST_ID, limit)


async def count_of_tenant(scope: Reading, tenant_id: UUID, *, role: str | None, text: str | None) -> int:
    """Count the memberships that all pages together have."""
    return int(str(await scope.value(_COUNT_OF_TENANT, tenant_id, role, text)))

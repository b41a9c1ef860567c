"""Row-level security: the one function that protects a table, called by every migration that creates one."""

from collections.abc import Mapping, Sequence

TENANT = "(SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)"
OWN_ROWS = f"tenant_id = {TENANT}"
# A plan that is made once for any tenant takes it for an average one, and would look up a few rows of a large one by reading
# all it has. So PostgreSQL is told that there are few tenants: it then plans as if each had a tenth of the table.
TENANTS_AS_PLANNED = 10


def protect(table: str, *, app: str, system: str = "", system_sees: str = "", partitions: int = 0) -> list[str]:
    """Return the statements that wall a tenant table in.

    `app` and `system` are the privileges of `penny_app` and `penny_system` (`"SELECT, INSERT"`). No setting, no rows: the
    permissive policy lets a role at the named tenant's rows, and the restrictive one is a floor that no later policy can
    widen. `system_sees` is a condition for rows that `penny_system` may read in every tenant (look-ups, sweeps); only then is it
    excepted from the floor, and only for reading. Partitions are walled in one by one, since naming one directly skips its
    parent's policies.
    """
    statements = [] if not partitions else _partitions(table, partitions)
    for name in (table, *(f"{table}_{number}" for number in range(partitions))):
        statements += _walls(name, system_sees)
    statements.append(f"REVOKE ALL ON penny.{table} FROM PUBLIC")
    statements.append(f"GRANT {app} ON penny.{table} TO penny_app")
    if system:
        statements.append(f"GRANT {system} ON penny.{table} TO penny_system")
    return statements


def _partitions(table: str, count: int) -> list[str]:
    return [
        f"CREATE TABLE penny.{table}_{number} PARTITION OF penny.{table} FOR VALUES WITH (MODULUS {count}, REMAINDER {number})"
        for number in range(count)
    ]


def _walls(table: str, system_sees: str) -> list[str]:
    wall = f"USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})"
    statements = [
        f"ALTER TABLE penny.{table} ALTER tenant_id SET (n_distinct = {TENANTS_AS_PLANNED}, n_distinct_inherited = {TENANTS_AS_PLANNED})",
        f"ALTER TABLE penny.{table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE penny.{table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant_rows ON penny.{table} FOR ALL TO PUBLIC {wall}",
    ]
    if not system_sees:
        return [*statements, f"CREATE POLICY tenant_floor ON penny.{table} AS RESTRICTIVE FOR ALL TO PUBLIC {wall}"]
    return [
        *statements,
        f"CREATE POLICY tenant_floor ON penny.{table} AS RESTRICTIVE FOR ALL TO penny_app, penny_owner {wall}",
        f"CREATE POLICY system_insert_floor ON penny.{table} AS RESTRICTIVE FOR INSERT TO penny_system WITH CHECK ({OWN_ROWS})",
        f"CREATE POLICY system_update_floor ON penny.{table} AS RESTRICTIVE FOR UPDATE TO penny_system {wall}",
        f"CREATE POLICY system_delete_floor ON penny.{table} AS RESTRICTIVE FOR DELETE TO penny_system USING ({OWN_ROWS})",
        f"CREATE POLICY system_look_up ON penny.{table} FOR SELECT TO penny_system USING ({system_sees})",
    ]


def drop(tables: Sequence[str]) -> list[str]:
    """Return the statements that take tables away again, the last created first."""
    return [f"DROP TABLE penny.{table}" for table in reversed(tables)]


def over_all_tenants(table: str, *statements: str) -> list[str]:
    """Return statements that change rows of every tenant: the owner of the tables sees none but for this moment in the transaction.

    Nobody else sees the table until the migration ends, so it is for small ones; what takes long is done `tenant_by_tenant`.
    """
    table = f"ALTER TABLE penny.{table}"
    return [f"{table} NO FORCE ROW LEVEL SECURITY", *statements, f"{table} FORCE ROW LEVEL SECURITY"]


def tenant_by_tenant(*statements: str) -> str:
    """Return a statement that changes rows of every tenant, of one after the other, under the policies: no table is locked for it.

    The owner of the tables knows the tenants by their slugs.
    """
    body = "".join(f"{one};" for one in statements)
    return f"""
    DO $all$ DECLARE tenant uuid; BEGIN
        FOR tenant IN SELECT tenant_id FROM directory.tenant_slugs LOOP
            EXECUTE format('SET LOCAL app.tenant_id = %L', tenant);
            {body}
        END LOOP;
        SET LOCAL app.tenant_id = '';
    END $all$
    """  # noqa: S608 - constants


def grant(scopes_of_roles: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the statements that give new scopes to the built-in roles of the tenants that are there already."""
    written = {name: f"{{{','.join(scopes)}}}" for name, scopes in scopes_of_roles.items()}
    return over_all_tenants(
        "roles",
        *(
            f"UPDATE penny.roles SET scopes = scopes || '{scopes}'::text[] WHERE builtin AND name = '{name}' AND NOT scopes && '{scopes}'"  # noqa: S608 - constants
            for name, scopes in written.items()
        ),
    )


def revoke(*scopes: str) -> list[str]:
    """Return the statements that take scopes away from every role."""
    written = ", ".join(f"'{scope}'" for scope in scopes)
    return over_all_tenants(
        "roles",
        f"""
    UPDATE penny.roles SET scopes = ARRAY(SELECT scope FROM unnest(scopes) WITH ORDINALITY AS s (scope, place)
        WHERE scope NOT IN ({written}) ORDER BY place)
    """,  # noqa: S608 - constants
    )

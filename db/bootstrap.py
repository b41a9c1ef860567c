"""What a superuser does once for a database: roles, owner, extension, and what PUBLIC may no longer do.

On a managed server run `penny migrate --print-bootstrap` and hand the text to whoever has the superuser.
"""

ROLES = ("penny_owner", "penny_app", "penny_system")
# Nobody signs in as this role: it owns the functions that look up search terms, and reads those and nothing else.
SEARCH = "penny_search"
_MAY_LITTLE = "NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION"


def cluster_statements() -> list[str]:
    """Return the statements for the whole server; they may run again."""
    roles = dict.fromkeys(ROLES, "LOGIN") | {SEARCH: "NOLOGIN"}
    return [
        *(
            f"DO $$ BEGIN CREATE ROLE {role} {may} {_MAY_LITTLE}; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            for role, may in roles.items()
        ),
        # A migration hands the functions over.
        f"GRANT {SEARCH} TO penny_owner",
    ]


def database_statements(database: str) -> list[str]:
    """Return the statements for one database; they may run again, inside that database."""
    return [
        f'ALTER DATABASE "{database}" OWNER TO penny_owner',
        "CREATE EXTENSION IF NOT EXISTS vector",
        # An injected SELECT could otherwise switch tenants with one call.
        "REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC',
        f'GRANT CONNECT ON DATABASE "{database}" TO penny_app, penny_system',
    ]

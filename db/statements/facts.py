"""Statements over facts: written in the transaction of their change, read in the order (era, transaction, id).

A transaction that began earlier may commit later, so whoever reads up to the newest fact would miss what commits behind it. Facts are
told only when they are settled: when every transaction with a lower number has ended, which is what lies below the `xmin` of
the reader's snapshot. Nothing can appear there any more.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.statements.projections import Columns, Projection
from db.tables.facts import Fact

HORIZON: Final = """
    (SELECT (SELECT max(number) FROM directory.eras) AS era, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xact) AS horizon
"""
# From a moment on: ids begin with the milliseconds of their making.
SINCE: Final = "lpad(to_hex((extract(epoch FROM $4::timestamptz) * 1000)::bigint), 12, '0') || repeat('0', 20)"


class NewFact(NamedTuple):
    """What is written of a fact; era, transaction, id and time are PostgreSQL's to say."""

    type: str
    subject_id: UUID
    chat_id: UUID | None
    user_id: UUID | None
    details: str


async def create(scope: Writing, tenant_id: UUID, facts: Sequence[NewFact], *, actor_id: UUID | None, actor_key_id: UUID | None) -> None:
    """Write facts of this transaction, in their order."""
    await scope.run(
        """
        INSERT INTO penny.facts (tenant_id, id, era, xact, type, subject_id, chat_id, user_id, details, actor_id, actor_key_id)
        SELECT $1, uuidv7(), (SELECT max(number) FROM directory.eras), pg_current_xact_id()::text::bigint,
            one.type, one.subject_id, one.chat_id, one.user_id, one.details::jsonb, $7, $8
        FROM unnest($2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[])
            WITH ORDINALITY AS one (type, subject_id, chat_id, user_id, details, place)
        ORDER BY one.place
        """,
        tenant_id,
        *map(list, zip(*facts, strict=True)),
        actor_id,
        actor_key_id,
    )


async def horizon(scope: Reading) -> Row:
    """Read where settled facts end: the `era`, the first transaction that may still be under way, and the first that is still to come."""
    row = await scope.row(f"SELECT era, xact, pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS newest FROM {HORIZON}")  # noqa: S608 - a constant
    assert row is not None
    return row


async def after(scope: Reading, tenant_id: UUID, place: tuple[int, int, UUID], limit: int) -> list[Row]:
    """Read the facts that follow a place, settled or not; where there is none, one row with the horizon and no fact."""
    return await scope.rows(
        f"""
        SELECT horizon.era AS horizon_era, horizon.xact AS horizon_xact,
            (fact.era, fact.xact) < (horizon.era, horizon.xact) AS settled, fact.*
        FROM {HORIZON} LEFT JOIN LATERAL (
            SELECT * FROM penny.facts WHERE tenant_id = $1 AND (era, xact, id) > ($2, $3, $4) ORDER BY era, xact, id LIMIT $5
        ) fact ON true
        ORDER BY fact.era, fact.xact, fact.id
        """,  # noqa: S608 - a constant
        tenant_id,
        *place,
        limit,
    )


async def count_after(scope: Reading, tenant_id: UUID, place: tuple[int, int, UUID], most: int) -> int:
    """Count the facts that follow a place, as far as `most`."""
    statement = """
        SELECT count(*) FROM (
            SELECT 1 FROM penny.facts WHERE tenant_id = $1 AND (era, xact, id) > ($2, $3, $4) ORDER BY era, xact, id LIMIT $5
        ) few
    """
    return int(str(await scope.value(statement, tenant_id, *place, most)))


_PAGE: Final = Projection(
    f"""
    SELECT {{columns}} FROM penny.facts fact, {HORIZON}
    WHERE tenant_id = $1 AND (fact.era, fact.xact, fact.id) > ($2, $3, $5) AND (fact.era, fact.xact) < (horizon.era, horizon.xact)
        AND ($4::timestamptz IS NULL OR fact.id >= ({SINCE})::uuid) AND type = ANY($6)
    ORDER BY fact.era, fact.xact, fact.id LIMIT $7
    """,  # noqa: S608 - constants
    Fact,
    of="fact",
    always=("id", "era", "xact", "at"),
    without=("details",),
)


async def page(  # noqa: PLR0913 - the filters of the list
    scope: Reading,
    tenant_id: UUID,
    place: tuple[int, int, UUID],
    *,
    types: Sequence[str],
    since: datetime | None,
    limit: int,
    columns: Columns | None = None,
) -> list[Row]:
    """Read a page of the settled facts of these types that follow a place, the oldest first."""
    era, xact, fact_id = place
    return await scope.rows(_PAGE.text(columns), tenant_id, era, xact, since, fact_id, list(types), limit)


_BY_IDS: Final = Projection(
    "SELECT {columns} FROM penny.facts WHERE tenant_id = $1 AND id = ANY($2::uuid[])", Fact, always=("id",), without=("details",)
)


async def by_ids(scope: Reading, tenant_id: UUID, ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    return await scope.rows(_BY_IDS.text(columns), tenant_id, list(ids))


async def tenants_since(scope: Reading, era: int, xact: int) -> list[UUID]:
    """Find the tenants that have facts of this transaction or a later one of its era (as `penny_system`)."""
    # Not in one comparison of rows: PostgreSQL would estimate that by the era alone, and read everything.
    rows = await scope.rows("SELECT DISTINCT tenant_id FROM penny.facts WHERE era = $1 AND xact >= $2", era, xact)
    return [row["tenant_id"] for row in rows]


async def tenants_before(scope: Reading, before: datetime, limit: int) -> list[UUID]:
    """Find some tenants that have facts older than this (as `penny_system`)."""
    rows = await scope.rows("SELECT tenant_id FROM penny.facts WHERE at < $1 LIMIT $2", before, limit)
    return list({row["tenant_id"]: None for row in rows})


async def delete_before(scope: Writing, tenant_id: UUID, before: datetime, limit: int) -> int:
    """Take away some of a tenant's facts that are older than this (as `penny_system`)."""
    return await scope.run(
        """
        DELETE FROM penny.facts WHERE tenant_id = $1 AND id IN (
            SELECT id FROM penny.facts WHERE tenant_id = $1 AND at < $2 ORDER BY id LIMIT $3
        )
        """,
        tenant_id,
        before,
        limit,
    )

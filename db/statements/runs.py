"""Statements over runs: claims, leases and ends are guarded by the epoch, so that only one worker's writes count."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.statements.chats import READABLE
from db.statements.edges import LAST_ID, LATEST
from db.statements.projections import Columns, Projection
from db.tables.runs import Run

ROW: Final = Run.all_columns()
OPEN: Final = "status IN ('QUEUED', 'RUNNING')"
# A run waits while a run of an earlier turn is open in its chat.
_FREE: Final = f"""
    NOT EXISTS (
        SELECT 1 FROM penny.runs earlier
        WHERE earlier.tenant_id = run.tenant_id AND earlier.chat_id = run.chat_id AND earlier.turn < run.turn AND earlier.{OPEN}
    )
"""  # noqa: S608 - a constant


async def create(scope: Writing, *runs: Run) -> list[Row]:
    """Write runs; they come back in the order given."""
    return await scope.rows(Run.insert(*runs).returning(*ROW))


async def by_id(scope: Reading, tenant_id: UUID, run_id: UUID) -> Row | None:
    return await scope.row("SELECT * FROM penny.runs WHERE tenant_id = $1 AND id = $2", tenant_id, run_id)


_BY_IDS: Final = Projection("SELECT {columns} FROM penny.runs WHERE tenant_id = $1 AND id = ANY($2::uuid[])", Run, always=("id",))
_OPEN_BY_CHATS: Final = Projection(
    f"SELECT {{columns}} FROM penny.runs WHERE tenant_id = $1 AND chat_id = ANY($2::uuid[]) AND {OPEN} ORDER BY created_at, id",  # noqa: S608 - a constant
    Run,
    always=("id", "chat_id"),
)


async def by_ids(scope: Reading, tenant_id: UUID, run_ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    return await scope.rows(_BY_IDS.text(columns), tenant_id, list(run_ids))


async def open_by_chats(scope: Reading, tenant_id: UUID, chat_ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    """Read the runs that still answer in these chats, oldest first."""
    return await scope.rows(_OPEN_BY_CHATS.text(columns), tenant_id, list(chat_ids))


async def queued_before(scope: Reading, tenant_id: UUID, run_id: UUID) -> int:
    """Count the tenant's runs that wait and came before this one."""
    statement = "SELECT count(*) FROM penny.runs WHERE tenant_id = $1 AND status = 'QUEUED' AND id < $2"
    return int(str(await scope.value(statement, tenant_id, run_id)))


async def claim(scope: Writing, tenant_id: UUID, run_id: UUID, *, worker: str, lease: timedelta) -> Row | None:
    """Take a run whose turn it is, or one whose worker gave no sign of life, and begin a step of it.

    None when another worker has it or it is over.
    """
    return await scope.row(
        f"""
        WITH claimed AS (
            UPDATE penny.runs run SET status = 'RUNNING', epoch = epoch + 1, worker = $3, lease_until = now() + $4::interval,
                started_at = coalesce(started_at, now())
            WHERE tenant_id = $1 AND id = $2
              AND ((status = 'QUEUED' AND {_FREE}) OR (status = 'RUNNING' AND lease_until < now()))
            RETURNING *
        ), begun AS (
            INSERT INTO penny.run_steps (tenant_id, run_id, step) SELECT tenant_id, id, epoch FROM claimed
        )
        SELECT * FROM claimed
        """,  # noqa: S608 - constants
        tenant_id,
        run_id,
        worker,
        lease,
    )


async def renew(  # noqa: PLR0913 - what a sign of life says
    scope: Writing, tenant_id: UUID, run_id: UUID, *, epoch: int, lease: timedelta, last_seq: int, said: Mapping[str, int]
) -> Row | None:
    """Stay the owner, and note how much this step has said; None when another worker took over."""
    return await scope.row(
        """
        WITH mine AS (
            UPDATE penny.runs SET lease_until = now() + $4::interval, last_seq = greatest(last_seq, $5)
            WHERE tenant_id = $1 AND id = $2 AND status = 'RUNNING' AND epoch = $3 RETURNING cancel_requested_at, steer_requested_at
        ), grown AS (
            UPDATE penny.run_steps SET text_bytes = $6, reasoning_bytes = $7
            WHERE tenant_id = $1 AND run_id = $2 AND step = $3 AND outcome = 'OPEN' AND EXISTS (SELECT 1 FROM mine)
        )
        SELECT * FROM mine
        """,
        tenant_id,
        run_id,
        epoch,
        lease,
        last_seq,
        said["text"],
        said["reasoning"],
    )


async def let_go(scope: Writing, tenant_id: UUID, run_id: UUID, *, epoch: int) -> None:
    """End the lease now, so that the next worker need not wait for it."""
    await scope.run(
        """
        UPDATE penny.runs SET lease_until = now() - interval '1 second'
        WHERE tenant_id = $1 AND id = $2 AND status = 'RUNNING' AND epoch = $3
        """,
        tenant_id,
        run_id,
        epoch,
    )


async def finish(scope: Writing, tenant_id: UUID, run_id: UUID, *, epoch: int, values: dict[Any, Any]) -> bool:
    """End a run, once: False when another worker took over or it had ended."""
    query = Run.update(values).where(Run.tenant_id == tenant_id).where(Run.id == run_id)
    query = query.where(Run.epoch == epoch).where(Run.status.is_in(["QUEUED", "RUNNING"]))
    return await scope.row(query.returning(Run.id)) is not None


async def next_in_chat(scope: Reading, tenant_id: UUID, chat_id: UUID) -> list[UUID]:
    """Find the runs of a chat that wait for nobody but a worker."""
    statement = f"SELECT id FROM penny.runs run WHERE tenant_id = $1 AND chat_id = $2 AND status = 'QUEUED' AND {_FREE} ORDER BY id"  # noqa: S608 - constants
    return [row["id"] for row in await scope.rows(statement, tenant_id, chat_id)]


async def has_ended(scope: Reading, tenant_id: UUID, run_id: UUID, *, epoch: int) -> bool:
    """Whether a run has ended in this epoch."""
    statement = "SELECT EXISTS (SELECT 1 FROM penny.runs WHERE tenant_id = $1 AND id = $2 AND epoch = $3 AND finished_at IS NOT NULL)"
    return bool(await scope.value(statement, tenant_id, run_id, epoch))


async def ask_to_stop(scope: Writing, tenant_id: UUID, run_id: UUID, *, steer: bool, patience: timedelta) -> Row | None:
    """Note that an open run should stop, at a clean point where it is steered; None when it is over already.

    The worker of one that is cancelled owns it for so long at most unless it shows a sign of life, so that a lost one is not waited for.
    `cancelled_before` says whether that had been asked for already.
    """
    return await scope.row(
        f"""
        UPDATE penny.runs SET
            cancel_requested_at = CASE WHEN $3 THEN cancel_requested_at ELSE coalesce(cancel_requested_at, now()) END,
            steer_requested_at = CASE WHEN $3 THEN coalesce(steer_requested_at, now()) ELSE steer_requested_at END,
            lease_until = CASE WHEN $3 OR cancel_requested_at IS NOT NULL THEN lease_until
                ELSE least(lease_until, now() + $4::interval) END
        WHERE tenant_id = $1 AND id = $2 AND {OPEN} RETURNING new.*, old.cancel_requested_at IS NOT NULL AS cancelled_before
        """,  # noqa: S608 - a constant
        tenant_id,
        run_id,
        steer,
        patience,
    )


# A condition for each run and no join: whoever reads has begun thousands of runs, and a page needs the chats of its own only.
_PAGE: Final = Projection(
    f"""
    SELECT {{columns}} FROM penny.runs run
    WHERE tenant_id = $1 AND created_by = $2 AND ($3::text[] IS NULL OR status = ANY($3))
      AND (created_at, id) < ($4, $5)
      AND (SELECT {READABLE.format(chat="chat", reader="$2")} FROM penny.chats chat WHERE chat.tenant_id = $1 AND chat.id = run.chat_id)
    ORDER BY created_at DESC, id DESC LIMIT $6
    """,  # noqa: S608 - constants
    Run,
    of="run",
    always=("id", "created_at"),
)
_PAGES_OF_CHATS: Final = Projection(
    """
    SELECT {columns} FROM unnest($2::uuid[]) AS asked (chat_id)
    CROSS JOIN LATERAL (
        SELECT * FROM penny.runs r
        WHERE r.tenant_id = $1 AND r.chat_id = asked.chat_id AND ($3::text[] IS NULL OR r.status = ANY($3))
          AND (r.created_at, r.id) < ($4, $5)
        ORDER BY r.created_at DESC, r.id DESC LIMIT $6
    ) run
    ORDER BY run.chat_id, run.created_at DESC, run.id DESC
    """,
    Run,
    of="run",
    always=("id", "chat_id", "created_at"),
)


async def page(  # noqa: PLR0913 - the filters of the list
    scope: Reading,
    tenant_id: UUID,
    user_id: UUID,
    *,
    statuses: Sequence[str] | None,
    beyond: tuple[datetime, UUID] | None,
    limit: int,
    columns: Columns | None = None,
) -> list[Row]:
    """Read a page of the runs that a user began in chats that they may see still, the newest first."""
    at, run_id = beyond or (LATEST, LAST_ID)
    return await scope.rows(
        _PAGE.text(columns),
        tenant_id,
        user_id,
        None if statuses is None else list(statuses),
        at,
        run_id,
        limit,
    )


async def pages_of_chats(  # noqa: PLR0913 - the filters of the list
    scope: Reading,
    tenant_id: UUID,
    chat_ids: Sequence[UUID],
    *,
    statuses: Sequence[str] | None,
    beyond: tuple[datetime, UUID] | None,
    limit: int,
    columns: Columns | None = None,
) -> list[Row]:
    """Read the same page of many chats' runs at once, the newest of each chat first."""
    at, run_id = beyond or (LATEST, LAST_ID)
    return await scope.rows(
        _PAGES_OF_CHATS.text(columns),
        tenant_id,
        list(chat_ids),
        None if statuses is None else list(statuses),
        at,
        run_id,
        limit,
    )


async def abandoned(scope: Reading, *, older_than: timedelta, limit: int) -> list[Row]:
    """Find runs of any tenant that nobody works on though it is their turn (as `penny_system`)."""
    return await scope.rows(
        f"""
        SELECT tenant_id, id FROM penny.runs run
        WHERE (status = 'QUEUED' AND created_at < now() - $1::interval AND {_FREE}) OR (status = 'RUNNING' AND lease_until < now())
        ORDER BY created_at LIMIT $2
        """,  # noqa: S608 - constants
        older_than,
        limit,
    )


async def ids_of_chat(scope: Reading, tenant_id: UUID, chat_id: UUID) -> list[UUID]:
    rows = await scope.rows("SELECT id FROM penny.runs WHERE tenant_id = $1 AND chat_id = $2 ORDER BY id", tenant_id, chat_id)
    return [row["id"] for row in rows]


async def held_in_chat(scope: Writing, tenant_id: UUID, chat_id: UUID) -> list[Row]:
    """Read the runs of a chat that have not ended, and keep their workers from writing until the scope ends."""
    statement = f"SELECT * FROM penny.runs WHERE tenant_id = $1 AND chat_id = $2 AND {OPEN} ORDER BY id FOR UPDATE"  # noqa: S608 - a constant
    return await scope.rows(statement, tenant_id, chat_id)


async def of_message(scope: Reading, tenant_id: UUID, chat_id: UUID, message_id: UUID) -> list[Row]:
    """Read the runs of a chat that make or answer a message."""
    return await scope.rows(
        "SELECT * FROM penny.runs WHERE tenant_id = $1 AND chat_id = $2 AND (input_message_id = $3 OR output_message_id = $3) ORDER BY id",
        tenant_id,
        chat_id,
        message_id,
    )


async def saved(scope: Reading, tenant_id: UUID, run_id: UUID) -> Row | None:
    """Read a run's answer as it is saved, with how far its events are in it: one statement, so that both are of one moment."""
    return await scope.row(
        """
        SELECT message.*, run.status AS run_status, run.last_seq, run.finished_at
        FROM penny.runs run JOIN penny.messages message ON message.tenant_id = $1 AND message.id = run.output_message_id
        WHERE run.tenant_id = $1 AND run.id = $2
        """,
        tenant_id,
        run_id,
    )


async def usual_output(scope: Reading, tenant_id: UUID, user_id: UUID, model_id: UUID | None, *, latest: int) -> int | None:
    """How long a person's answers of a model are on average, in tokens, by those among their latest runs; None where there is none."""
    usual = await scope.value(
        """
        SELECT round(avg(output_tokens + reasoning_tokens)) FROM (
            SELECT model_id, output_tokens, reasoning_tokens FROM penny.runs
            WHERE tenant_id = $1 AND created_by = $2 AND status IN ('COMPLETED', 'INCOMPLETE')
            ORDER BY created_at DESC, id DESC LIMIT $4
        ) run
        WHERE model_id IS NOT DISTINCT FROM $3
        """,
        tenant_id,
        user_id,
        model_id,
        latest,
    )
    return None if usual is None else int(str(usual))

"""Links that expire: those who see them in a chat are told when it happens, by a job that waits for it."""

from typing import Final
from uuid import UUID

import msgspec

from db.scopes import Row, TenantScopes, Writing
from db.statements import shares
from events.facts import ChatShareExpired, record
from events.jobs import JobRun, Jobs

KIND: Final = "link expiry"


class Expiring(msgspec.Struct, frozen=True):
    """A link that will show nothing any more."""

    share: UUID


class Expiries:
    """Waits for the end of links. That they show nothing from then on is no work of this: `auth.policies.shares` looks at the clock."""

    def __init__(self, scopes: TenantScopes) -> None:
        self._scopes = scopes

    async def tell(self, job: JobRun) -> None:
        """Do the job; that it was told is kept in the same transaction, whatever becomes of the job."""
        async with self._scopes.writing(job.tenant_id) as scope:
            if (share := await shares.tell_expiry(scope, job.tenant_id, job.arguments(Expiring).share)) is not None:
                await record(scope, job.tenant_id, ChatShareExpired(chat_id=share["chat_id"], share_id=share["id"]))


async def await_expiry(jobs: Jobs, scope: Writing, share: Row) -> None:
    """Have it told when a link expires, if it does: no job of a person, who could cancel it."""
    if share["expires_at"] is not None:
        await jobs.add(scope, share["tenant_id"], KIND, Expiring(share["id"]), created_by=None, due_at=share["expires_at"])

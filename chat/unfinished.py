"""What is left of forks that were begun and not finished: chats of nobody, which are taken away a portion at a time."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from db.scopes import Row, TenantScopes, Writing
from db.statements import chats, messages
from events.jobs import JobRun, Jobs

KIND: Final = "unfinished fork"
# So many messages are taken away in a transaction of some 20 ms.
_AT_ONCE: Final = 200


class Begun(msgspec.Struct, frozen=True):
    """A chat that was to be a fork."""

    chat: UUID


class Unfinished:
    """Takes away what nobody will finish; a fork that was finished is somebody's, and is left alone."""

    def __init__(self, scopes: TenantScopes) -> None:
        self._scopes = scopes

    async def find(self, job: JobRun) -> None:
        """Do the job."""
        await self.take_away(job.tenant_id, job.arguments(Begun).chat)

    async def take_away(self, tenant_id: UUID, chat_id: UUID) -> None:
        """Take a chat of nobody away; again is no mistake."""
        while await self._portion(tenant_id, chat_id):
            pass

    async def _portion(self, tenant_id: UUID, chat_id: UUID) -> bool:
        """Take some of it away; False when there is nothing more."""
        async with self._scopes.writing(tenant_id) as scope:
            chat = await chats.locked(scope, tenant_id, chat_id)
            if chat is None or chat["owner_id"] != chats.NOBODY:
                return False
            if await messages.delete_newest(scope, tenant_id, chat_id, _AT_ONCE):
                return True
            await chats.delete(scope, tenant_id, chat_id)
            return False


async def await_unfinished(jobs: Jobs, scope: Writing, tenant_id: UUID, chat_id: UUID, *, seconds: float) -> Row:
    """Have a chat that is nobody's then taken away, whatever becomes of whoever makes it."""
    due_at = datetime.now(UTC) + timedelta(seconds=seconds)
    return await jobs.add(scope, tenant_id, KIND, Begun(chat_id), created_by=None, due_at=due_at)

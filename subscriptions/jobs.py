"""A job, as it goes on."""

import contextlib
from collections.abc import AsyncGenerator
from uuid import UUID

from auth.policies.jobs import can_see_job
from auth.viewers import Viewer
from db.scopes import Row, TenantScopes
from db.statements import jobs
from errors import NotFound
from events.facts import JobUpdated
from events.feeds import Feeds, Follower


class JobStream:
    """Tells a job as it is, and again whenever it changed, until it has ended."""

    def __init__(self, scopes: TenantScopes, viewer: Viewer, job_id: UUID, follower: Follower) -> None:
        self._scopes = scopes
        self._viewer = viewer
        self._job_id = job_id
        self._follower = follower

    @classmethod
    async def begin(cls, feeds: Feeds, scopes: TenantScopes, viewer: Viewer, job_id: UUID) -> "JobStream":
        """Begin to follow a job; raises `NotFound`."""
        # The place first: what changes after the job was looked at lies behind it.
        place = await feeds.now(viewer.tenant_id)
        follower = feeds.follow(
            viewer.tenant_id, place, lambda happened: isinstance(happened.fact, JobUpdated) and happened.fact.job_id == job_id
        )
        stream = cls(scopes, viewer, job_id, follower)
        await stream.seen()
        return stream

    async def seen(self) -> Row:
        """Return the job as it is now; raises `NotFound` for those who may not see it."""
        async with self._scopes.reading(self._viewer.tenant_id) as scope:
            row = await jobs.by_id(scope, self._viewer.tenant_id, self._job_id)
        if row is None or not can_see_job(self._viewer, row):
            raise NotFound("There is no Job with this id.", path=("jobId",))
        return row

    async def told(self) -> AsyncGenerator[Row, None]:
        """Yield the job's row."""
        yield (row := await self.seen())
        async with contextlib.aclosing(self._follower.told()) as changes:
            while row["finished_at"] is None:
                await anext(changes)
                yield (row := await self.seen())

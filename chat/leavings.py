"""What the answers of a deleted chat leave open: whoever makes one writes what it used, and where that one is lost, a job does."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from chat.routes import closed_usages, cost_by, open_usages
from chat.steps import columns_of, lost_steps
from db.scopes import Row, TenantScopes, Writing
from db.statements import attempts, steps
from events.jobs import JobRun, Jobs
from inference.models import Usage

KIND: Final = "usage of deleted answers"


class Left(msgspec.Struct, frozen=True):
    """An attempt of a run that is gone, and what it comes to by what was saved of its words."""

    work: UUID
    number: int
    usage: Usage


class Leaving(msgspec.Struct, frozen=True):
    """The attempts that a deleted chat has left open."""

    attempts: list[Left]


class Leavings:
    """Ends what nobody else has ended by then."""

    def __init__(self, scopes: TenantScopes) -> None:
        self._scopes = scopes

    async def close(self, job: JobRun) -> None:
        """Do the job; an attempt that has ended stays as it is."""
        left = {(one.work, one.number): one.usage for one in job.arguments(Leaving).attempts}
        async with self._scopes.writing(job.tenant_id) as scope:
            for row in await attempts.by_works(scope, job.tenant_id, [work for work, _ in left]):
                if (usage := left.get((row["work_id"], row["number"]))) is not None:
                    cost = cost_by(row, usage)
                    await attempts.close(scope, job.tenant_id, row["work_id"], row["number"], usage=columns_of(usage), cost=cost)


async def account_later(jobs: Jobs, scope: Writing, held: Sequence[Row]) -> None:
    """Have it known what these runs used, which are about to be deleted, when their workers must have noticed or are lost."""
    begun = [run for run in held if run["lease_until"] is not None]
    left = [one for run in begun for one in await _left_by(scope, run)]
    if left:
        due_at = max(run["lease_until"] for run in begun)
        await jobs.add(scope, begun[0]["tenant_id"], KIND, Leaving(left), created_by=None, due_at=due_at)


async def _left_by(scope: Writing, run: Row) -> list[Left]:
    tried = await attempts.by_works(scope, run["tenant_id"], [run["id"]])
    made = await steps.of_run(scope, run["tenant_id"], run["id"])
    asked = open_usages(tried)
    usages = asked | {one.number: one.open_usage for one in lost_steps(made, asked=asked, closed=closed_usages(tried))}
    return [Left(run["id"], row["number"], usages[row["step"]]) for row in tried if row["ended_at"] is None]

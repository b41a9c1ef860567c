"""What models are asked beside the answers of a chat: its title, its summaries. They are routed as answers are, for who wanted them.

Each call is an attempt of the job that asks, written before it is made and again when it has ended, so that it counts once.
"""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final, Self
from uuid import UUID

import msgspec

from chat.contexts import BYTES_PER_TOKEN
from chat.routes import Kind, Work, cost_by, rows_of, usage_in
from chat.steps import columns_of
from db.scopes import Row, TenantScopes
from db.statements import attempts, jobs
from events.jobs import JobRun, JobWasTaken
from inference.models import FailureKind, ModelRequest, ProviderFailed, TextDelta, Trouble
from inference.offers import ModelIsUnavailable, Models
from inference.routing import Rerouted, Route, Router


class Way(msgspec.Struct, frozen=True):
    """The model and the routing policy that a chat was answered by; None are those that answer where nobody chose."""

    model: UUID | None = None
    policy: UUID | None = None

    @classmethod
    def of(cls, run: Row | None) -> Self:
        """The way of a run."""
        return cls() if run is None else cls(run["model_id"], run["routing_policy_id"])


class Aside(msgspec.Struct, frozen=True):
    """What is asked for, in which chat, and where."""

    kind: Kind
    chat: UUID
    way: Way


# How far a job is at most that has not ended.
ALMOST: Final = 0.99

Ask = Callable[[JobRun, Aside, ModelRequest], Awaitable[str]]
"""Asks for whoever began the job, where an answer was asked for, and returns what was said; raises `ProviderFailed`."""


class NowhereToAsk(ProviderFailed):
    """The member can ask no model any more, or nobody is behind the wish."""

    def __init__(self, message: str) -> None:
        super().__init__(FailureKind.AUTH, trouble=Trouble.NOBODY_FITS)
        self.message = message


class Asides:
    """Asks where a chat's answer was asked for: what somebody says to a model of their own goes to no other."""

    def __init__(self, *, models: Models, router: Router, scopes: TenantScopes) -> None:
        self._models = models
        self._router = router
        self._scopes = scopes

    async def ask(self, job: JobRun, aside: Aside, request: ModelRequest) -> str:
        """Hear an answer out; raises `ProviderFailed` when no attempt is left, `NowhereToAsk` where there can be none.

        Raises `JobWasTaken` as soon as another worker does the job.
        """
        if job.created_by is None:
            raise NowhereToAsk("Nobody is there for whom a model could be asked.")
        try:
            policy = await self._models.policy_for(job.tenant_id, job.created_by, aside.way.model, aside.way.policy)
        except ModelIsUnavailable as gone:
            raise NowhereToAsk(gone.message) from gone
        async with self._scopes.reading(job.tenant_id) as scope:
            before = await attempts.by_works(scope, job.tenant_id, [job.id], frozenset())
        work = Work(aside.kind, job.tenant_id, job.id, aside.chat, job.created_by, job.attempt)
        # No chat: where its answers stick is theirs.
        route = self._router.route(policy, request, first=1 + max((row["number"] for row in before), default=0))
        try:
            return await self._heard(route, work, job, request.max_output_tokens)
        finally:
            route.leave()
            await self._save(route, work)

    async def recover(self, job: JobRun) -> None:
        """End the attempts that a lost worker left open: with the question, which was asked; what was answered nobody knows."""
        async with self._scopes.writing(job.tenant_id) as scope:
            for row in await attempts.by_works(scope, job.tenant_id, [job.id]):
                if row["ended_at"] is None:
                    usage = usage_in(row)
                    cost = cost_by(row, usage)
                    await attempts.close(scope, job.tenant_id, job.id, row["number"], usage=columns_of(usage), cost=cost)

    async def _heard(self, route: Route, work: Work, job: JobRun, most_tokens: int) -> str:
        """Hear the answer out. How much it says of the longest one that it may be is the job's progress."""
        said: list[str] = []
        told = 0
        await route.begin()
        await self._save(route, work)
        async with aclosing(route.events()) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    said.append(event.text)
                    told += len(event.text.encode())
                    job.progress = min(ALMOST, told / BYTES_PER_TOKEN / most_tokens)
                elif isinstance(event, Rerouted):
                    await self._save(route, work)
                    if event.restarts:
                        said.clear()
                        told = 0
        return "".join(said)

    async def _save(self, route: Route, work: Work) -> None:
        if not route.attempts:
            return
        async with self._scopes.writing(work.tenant_id) as scope:
            if not await jobs.hold(scope, work.tenant_id, work.id, attempt=work.step):
                raise JobWasTaken
            await attempts.save(scope, work.tenant_id, rows_of(work, route.policy, route.attempts))

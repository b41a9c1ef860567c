"""What an answer costs a web process that is given again, beside one that is made: of queries marked `@cached`, by GET and their ids."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from bench.gateway import ENOUGH, Asker, Plan
from bench.operations import MESSAGES
from errors import PennyError
from schema.schema import build_schema
from settings import Settings
from web.door import Door
from web.graphql import GraphQLApp
from web.judging import DocumentJudge
from web.sockets import Sockets
from web.works import open_works

TENANT: Final = "query Tenant @cached { tenant { name } }"
TWENTY: Final = f"query Twenty @cached {{ chats(first: 20) {{ nodes {{ id title createdAt updatedAt {MESSAGES % 10} }} }} }}"
READS: Final = {"the tenant's name": TENANT, "20 chats with 10 messages each": TWENTY}
ANEW: Final = ((b"cache-control", b"no-cache"),)
ATTEMPTS: Final = 20
FULL: Final = Plan(200, 7)
QUICK: Final = Plan(20, 3)


@dataclass(frozen=True)
class Repeated:
    """CPU time of a request in a web process, in microseconds: its answer made, and given again."""

    what: str
    made: float
    given: float


async def measure(settings: Settings, token: str, plan: Plan, progress: Callable[[str], None]) -> list[Repeated]:
    """Ask for each read over and over, made and given in turn."""
    settings = replace(settings, rate_limit_principal_points=ENOUGH, rate_limit_tenant_points=ENOUGH)
    door = Door(settings, build_schema(settings))
    async with open_works(settings, application="penny bench", judge=DocumentJudge(door.documents)) as process:
        door.opened = process
        asker = Asker(GraphQLApp(door, Sockets(door)), token)
        await asker.publish(*READS.values(), client="repeats")
        found = []
        for what, text in READS.items():
            made, given = [], []
            for number in range(plan.rounds + 1):
                progress(f"{what}, round {number} of {plan.rounds}")
                times = await _asked(asker, text, plan.requests, is_given=False), await _asked(asker, text, plan.requests, is_given=True)
                if number:  # the first only warms up
                    made.append(times[0])
                    given.append(times[1])
            found.append(Repeated(what, median(made), median(given)))
    return found


async def _asked(asker: Asker, text: str, times: int, *, is_given: bool) -> float:
    """Ask so many times; return the CPU time of one, in microseconds. A change that is still told of makes it another round."""
    for _ in range(ATTEMPTS):
        began = time.thread_time()
        told = {(await asker.get(text, () if is_given else ANEW))[0].partition(";")[0] for _ in range(times)}
        spent = time.thread_time() - began
        if told == {"hit" if is_given else "fwd=request"}:
            return spent / times * 1e6
    raise PennyError(f"The bench was answered with {told}.")

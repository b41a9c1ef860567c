"""No branch is ever lost, whatever two editors do to the same chats at the same time, and every tree stays whole."""

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator, Coroutine
from random import Random
from typing import Any, Final, TypeVar
from uuid import uuid4

import hypothesis
import pytest
from hypothesis import strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from chat.exchanges import Sent
from errors import PennyError
from resolvers.operations import Works
from settings import Secret, Settings
from stack.addresses import Addresses
from tests.chat.editors import ACTS, KEYED, World
from tests.conftest import TEMPLATE
from tests.db.databases import made_database
from web.works import open_works

T = TypeVar("T")

# How many histories are tried; raise it for a long search.
EXAMPLES: Final = int(os.environ.get("PENNY_EXAMPLES", "15"))
STEPS: Final = 16
SEARCH: Final = hypothesis.settings(
    max_examples=EXAMPLES, stateful_step_count=STEPS, derandomize=True, deadline=None, database=None,
    suppress_health_check=list(hypothesis.HealthCheck), report_multiple_bugs=False,
)  # fmt: skip
# Workers are busier than editors, or every chat would wait for an answer most of the time.
names, keyed = strategies.sampled_from([*sorted(ACTS), "claim", "finish", "finish", "cancel"]), strategies.sampled_from(KEYED)
editors, numbers = strategies.integers(0, 1), strategies.integers(0, 1000)


@pytest.fixture(scope="module")
async def works(settings: Settings, stack: Addresses, worker_id: str) -> AsyncIterator[Works]:
    """Works on a database of their own, where no worker answers but the tests' own."""
    async with made_database(stack, f"trees_{worker_id}", TEMPLATE) as name:
        app, system = (Secret(stack.database_url(role, name)) for role in ("penny_app", "penny_system"))
        own = dataclasses.replace(settings, database_url=app, database_system_url=system, valkey_prefix=name)
        async with open_works(own, application="penny trees") as process:
            yield process.works


def machine_of(works: Works, loop: asyncio.AbstractEventLoop) -> type[RuleBasedStateMachine]:
    """Make the state machine: it runs in a thread of its own, and what it does in the loop of the works."""

    def done(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    class Editing(RuleBasedStateMachine):
        world: World

        @initialize()
        def begin(self) -> None:
            self.world = done(World.begun(works))

        @rule(name=names, editor=editors, number=numbers)
        def one(self, name: str, editor: int, number: int) -> None:
            done(self.world.do(name, editor, number, uuid4().hex))
            done(self.world.look())

        @rule(name=names, other=names, number=numbers, another=numbers)
        def both_at_once(self, name: str, other: str, number: int, another: int) -> None:
            done(both(self.world, (name, 0, number, uuid4().hex), (other, 1, another, uuid4().hex)))
            done(self.world.look())

        @rule(name=keyed, editor=editors, number=numbers)
        def one_twice_with_a_key(self, name: str, editor: int, number: int) -> None:
            done(twice(self.world, name, editor, number))

    return Editing


async def both(world: World, *acts: tuple[str, int, int, str]) -> list[Sent | PennyError | None]:
    return await asyncio.gather(*(world.do(*act) for act in acts))


async def twice(world: World, name: str, editor: int, number: int) -> None:
    """A retry beside the first request, and one after it, have no effect of their own."""
    key, before = uuid4().hex, world.tree
    results = await both(world, (name, editor, number, key), (name, editor, number, key))
    made = [one for one in results if isinstance(one, Sent)]
    if made:
        results.append(await world.do(name, editor, number, key))
    await world.look()
    made = [one for one in results if isinstance(one, Sent)]
    runs, messages = len(world.tree.runs) - len(before.runs), len(world.tree.messages) - len(before.messages)
    chats = len(world.tree.chats) - len(before.chats)
    if not made:
        assert (runs, messages, chats) == (0, 0, 0), "a refusal changes nothing"
        return
    assert len(made) == len(results), "what was done once is done for every retry"
    assert len({(one.chat["id"], one.message and one.message["id"], *(run["id"] for run in one.runs)) for one in made if one.reused}) == 1
    assert [one.reused for one in made].count(False) == 1
    assert runs == len(made[0].runs)
    if name == "fork":
        assert (chats, messages) == (1, world.tree.messages[made[0].chat["head_message_id"]]["depth"] + 1)
    else:
        assert (chats, messages) == (0, runs + (name in {"send", "edit", "steer"}))


async def test_two_editors_lose_no_branch_whatever_they_do(works: Works) -> None:
    machine = machine_of(works, asyncio.get_running_loop())
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=SEARCH)


async def test_a_crowd_at_once_loses_no_branch_and_makes_no_deadlock(works: Works) -> None:
    world, dice = await World.begun(works), Random(7)
    for _ in range(max(4, EXAMPLES // 4)):
        crowd = [(dice.choice(sorted(set(ACTS) - {"delete"})), dice.randrange(2), dice.randrange(1000), uuid4().hex) for _ in range(16)]
        await both(world, *crowd)
        await world.look()
    assert len(world.tree.messages) > 20
    assert len(world.tree.branches) > 5

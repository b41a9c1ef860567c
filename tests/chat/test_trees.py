"""No branch is ever lost, whatever two editors do to the same chats at the same time, and every tree stays whole."""

import asyncio
import os
from collections.abc import Coroutine
from random import Random
from typing import Any, Final, TypeVar
from uuid import uuid4

import hypothesis
from hypothesis import strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from chat.exchanges import Sent
from errors import PennyError
from tests.chat.editors import ACTS, KEYED, do
from tests.chat.readings import read
from tests.chat.worlds import World
from web.works import Process

T = TypeVar("T")

# How many histories are tried; raise it for a long search.
EXAMPLES: Final = int(os.environ.get("PENNY_EXAMPLES", "15"))
STEPS: Final = 24
SEARCH: Final = hypothesis.settings(
    max_examples=EXAMPLES, stateful_step_count=STEPS, derandomize=True, deadline=None, database=None,
    phases=[hypothesis.Phase.generate],  # what two do at once fails now and then, which cannot be shrunk
    suppress_health_check=list(hypothesis.HealthCheck), report_multiple_bugs=False,
)  # fmt: skip
# Workers are busier than editors, or every chat would wait for an answer most of the time.
names, keyed = (
    strategies.sampled_from([*sorted(ACTS), "claim", "claim", "finish", "finish", "finish", "cancel", "labour", "labour"]),
    strategies.sampled_from(KEYED),
)
editors, numbers = strategies.integers(0, 1), strategies.integers(0, 1000)


def machine_of(process: Process, loop: asyncio.AbstractEventLoop) -> type[RuleBasedStateMachine]:
    """Make the state machine: it runs in a thread of its own, and what it does in the loop of the works."""

    def done(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    class Editing(RuleBasedStateMachine):
        world: World

        @initialize()
        def begin(self) -> None:
            self.world = done(World.begun(process))

        @rule(name=names, editor=editors, number=numbers)
        def one(self, name: str, editor: int, number: int) -> None:
            done(do(self.world, name, editor, number, uuid4().hex))
            done(self.world.look())

        @rule(name=names, other=names, number=numbers, another=numbers)
        def both_at_once(self, name: str, other: str, number: int, another: int) -> None:
            done(both(self.world, (name, 0, number, uuid4().hex), (other, 1, another, uuid4().hex)))
            done(self.world.look())

        @rule(name=keyed, editor=editors, number=numbers)
        def one_twice_with_a_key(self, name: str, editor: int, number: int) -> None:
            done(twice(self.world, name, editor, number))

        @rule()
        def read(self) -> None:
            done(read(self.world))

        def teardown(self) -> None:
            if hasattr(self, "world") and self.world.is_seen:
                done(read(self.world))

    return Editing


async def both(world: World, *acts: tuple[str, int, int, str]) -> list[Sent | PennyError | None]:
    return await asyncio.gather(*(do(world, *act) for act in acts))


async def twice(world: World, name: str, editor: int, number: int) -> None:
    """A retry beside the first request, and one after it, have no effect of their own."""
    key, before = uuid4().hex, world.tree
    results = await both(world, (name, editor, number, key), (name, editor, number, key))
    made = [one for one in results if isinstance(one, Sent)]
    if made:
        results.append(await do(world, name, editor, number, key))
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


async def test_two_editors_lose_no_branch_whatever_they_do(unattended: Process) -> None:
    machine = machine_of(unattended, asyncio.get_running_loop())
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=SEARCH)


async def test_a_crowd_at_once_loses_no_branch_and_makes_no_deadlock(unattended: Process) -> None:
    world, dice = await World.begun(unattended), Random(7)
    for _ in range(max(8, EXAMPLES // 2)):
        crowd = [(dice.choice(sorted(set(ACTS) - {"delete"})), dice.randrange(2), dice.randrange(1000), uuid4().hex) for _ in range(16)]
        await both(world, *crowd)
        await world.look()
    await read(world)
    assert len(world.tree.messages) > 15
    assert len(world.tree.branches) > 5

"""Plans are made for those who may run them, and each that is new is paid for."""

from dataclasses import replace
from typing import Any

import pytest

from auth.viewers import Viewer
from execution.planning import Planner
from resolvers.operations import Caller
from schema.schema import build_schema
from settings import Settings
from tests.running import Api
from web.callers import viewer_of_token
from web.door import Door
from web.requests import Asked
from web.works import Process

CALLER = Caller(address="192.0.2.77", user_agent=None, request_id="planning")
SWITCHES = [f"v{number}" for number in range(8)]
QUERY = "query ({}) {{ viewer {{ {} }} }}".format(
    ", ".join(f"${name}: Boolean!" for name in SWITCHES), " ".join(f"{name}: permissions @include(if: ${name})" for name in SWITCHES)
)


@pytest.fixture
def door(settings: Settings, process: Process) -> Door:
    made = Door(replace(settings, execution="compiled"), build_schema(settings))
    made.opened = process
    return made


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Planner]:
    """The plans that are made."""
    made: list[Planner] = []
    plan = Planner.plan

    def counting(planner: Planner) -> Any:
        made.append(planner)
        return plan(planner)

    monkeypatch.setattr(Planner, "plan", counting)
    return made


def switched(number: int) -> dict[str, bool]:
    return {name: bool(number >> place & 1) for place, name in enumerate(SWITCHES)}


async def ask(door: Door, viewer: Viewer | None, number: int) -> tuple[Any, int]:
    """Return the result, and the points that are left."""
    prepared, operation = await door.admit(Asked(QUERY, None, switched(number), {}), CALLER, viewer)
    result = await door.run(prepared, operation, switched(number))
    assert operation.charge is not None
    return result, operation.charge.account.remaining(operation.charge.account.at)


async def test_nothing_is_planned_for_whom_the_guards_refuse(door: Door, planned: list[Planner]) -> None:
    await ask(door, None, 1)
    before = len(planned)
    for number in range(2, 30):
        result, _ = await ask(door, None, number)
        assert result.data is None
        assert [error.path for error in result.errors] == [["viewer"]]
    assert len(planned) == before


async def test_a_new_set_of_switches_costs_as_much_as_a_new_document(
    door: Door, planned: list[Planner], api: Api, process: Process
) -> None:
    ada = await api.sign_up()
    assert ada.token
    viewer = await viewer_of_token(process.works, ada.token)
    await ask(door, viewer, 1)
    _, before = await ask(door, viewer, 1)
    plans = len(planned)
    _, same = await ask(door, viewer, 1)
    result, other = await ask(door, viewer, 2)
    assert result.errors is None
    assert len(planned) == plans + 1
    assert (same - other) - (before - same) == door.settings.graphql_unknown_points

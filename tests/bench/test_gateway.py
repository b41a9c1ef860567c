"""The gateway's own work is measured on requests that are answered, each part switched off in turn."""

from bench.gateway import GOAL, Part, Plan, Spent, measure
from bench.sections import passed
from settings import Settings
from tests.running import Api


async def test_every_part_is_switched_off_in_turn(api: Api, settings: Settings) -> None:
    ada = await api.sign_up()
    assert ada.token
    spent = await measure(settings, ada.token, Plan(requests=3, rounds=1), lambda _: None)
    assert [one.without for one in spent] == list(Part)
    assert all(one.us > 0 for one in spent)


def test_the_table_says_what_each_part_adds() -> None:
    section = passed([Spent("nothing", 120.0), Spent("authentication", 100.0)])
    assert list(section.rows) == [("nothing: the whole of it", "120", "", f"≤ {GOAL:g}"), ("authentication", "100", "+20", "")]

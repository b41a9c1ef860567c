"""The wires are measured on whole answers: a token that got lost would make them cheap."""

from bench.sections import wired
from bench.wires import ANSWERS, GOAL, Plan, Wire, measure


async def test_every_wire_is_measured_with_all_its_tokens() -> None:
    told: list[str] = []
    found = await measure(Plan(tokens=50, rounds=1), told.append)
    assert told == [one.name for one in found] == list(ANSWERS)
    assert all(one.tokens == 50 and 0 < one.read_us < one.whole_us for one in found)


def test_a_row_names_the_goal() -> None:
    section = wired([Wire("openai", 1.84, 12.3, 20_000)])
    assert list(section.rows) == [("openai", "1.8", f"< {GOAL:g}", "12.3", "20,000")]
    assert len(section.columns) == len(section.rows[0])

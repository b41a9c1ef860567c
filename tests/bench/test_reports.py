"""The report: goals are ratios of CPU time, and a page says which were missed."""

from xml.etree import ElementTree as ET

import pytest

from bench import charts, targets
from bench.charts import Bar
from bench.comparisons import Cell
from bench.fanout import Delivery
from bench.gateway import Spent
from bench.operations import COMPARED, ONE
from bench.repeats import Repeated
from bench.reports import MANY, Goal, Report
from bench.talks import Talks
from bench.targets import Target
from bench.wires import Wire
from bench.worlds import Size

COSTS = {targets.COMPILED: 1.0, targets.MERCURIUS: 1.5, targets.POSTGRAPHILE: 4.0, targets.FASTAPI: 12.0}


def cell(target: Target, operation: str, cpu: float, *, clients: int = 16) -> Cell:
    return Cell(MANY, target.name, operation, clients, target.processes, cpu * 0.75, cpu * 0.25, 0.0, 1.0, 2.0, 100.0, 1000)


def report() -> Report:
    deliveries = [Delivery(one.name, 100, cost, 1.0, 100) for one, cost in ((targets.COMPILED, 5), (targets.MERCURIUS, 25))]
    return Report(
        size=Size(1, 1, 1),
        cells=[cell(target, one.name, cost) for target, cost in COSTS.items() for one in COMPARED],
        deliveries=deliveries,
        first_words=[],
        memory={},
        web_start=0.0,
        profiles=[],
        talks=Talks([], [], [], (10.0, 20.0), 50, 10.0),
        wires=[Wire("openai", 1.8, 12.3, 1000)],
        gateway=[Spent("nothing", 90.0), Spent("the log's context", 88.0)],
        repeats=[Repeated("20 chats", 3000.0, 100.0)],
        loads=[0.5, 1.5],
    )


def goal(what: str, against: str) -> Goal:
    (found,) = [one for one in report().goals() if one.what == what and against in one.against]
    return found


def test_the_best_peer_is_the_one_that_needs_the_least() -> None:
    found = goal(ONE.title, "best peer")
    assert targets.MERCURIUS.title in found.against
    assert found.was == pytest.approx(1.5)
    assert found.hit


def test_a_missed_goal_says_by_how_much() -> None:
    found = goal(COMPARED[0].title, "best peer")
    assert (found.wanted, found.hit, found.verdict) == (2.0, False, "missed by 25%")


def test_a_crowd_that_was_not_measured_has_no_goal() -> None:
    assert goal("a token to 100 sockets", targets.MERCURIUS.title).was == pytest.approx(5)
    assert [one.what for one in report().goals() if "1,000" in one.what] == []


def test_what_was_not_asked_cannot_be_looked_up() -> None:
    with pytest.raises(LookupError, match="PENNY was not asked"):
        report().cell(targets.COMPILED, ONE, clients=64)


def test_the_longest_bar_fills_the_chart_and_the_others_follow() -> None:
    drawn = charts.bars("Title <1>", "note", ("one", "two"), [Bar("ours", (1, 1), ours=True), Bar("theirs", (2, 6))])
    rects = [one for one in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}rect") if one.attrib["height"] == str(charts.BAR)]
    widths = [float(one.attrib["width"]) for one in rects]
    assert sum(widths[2:]) == pytest.approx(charts.PLOT, abs=0.2)
    assert widths[0] == pytest.approx(charts.PLOT / 8, abs=0.1)


def test_a_line_stays_inside_its_chart() -> None:
    drawn = charts.lines("Title", "note", ["1", "2", "4"], {"a": [1, 2, 3], "b": [0, 1, 0.5]})
    circles = list(ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}circle"))
    assert len(circles) == 6
    assert all(charts.TOP <= float(one.attrib["cy"]) <= charts.LINES_HEIGHT - charts.BOTTOM for one in circles)
    assert all(charts.LEFT <= float(one.attrib["cx"]) <= charts.WIDTH - charts.RIGHT for one in circles)

"""Instruments count what they are told, keep apart what was declared, and hold no more than they may."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from telemetry import instruments
from telemetry.instruments import DECLARED, MOST_SERIES, OTHER, OVERFLOW, Counter, Gauge, Histogram, Known, Seen, table


@pytest.fixture(autouse=True)
def undeclared() -> Iterator[None]:
    """Forget what a test declares."""
    before = dict(DECLARED)
    yield
    DECLARED.clear()
    DECLARED.update(before)


def counter(**attributes: Any) -> Counter:
    return Counter("test.counter", unit="{thing}", description="Things.", attributes=attributes)


def numbers(instrument: Counter | Gauge) -> list[tuple[dict[str, Any], float]]:
    return [(dict(one.attributes), one.value) for one in instrument.series]


def test_a_counter_adds_up_for_each_set_of_attributes() -> None:
    things = counter(colour=("red", "blue"), size=range(1, 4))
    things.add(1, "red", 1)
    things.add(2, "red", 1)
    things.of("blue", 3).value += 4
    things.add(5, "blue", None)
    assert numbers(things) == [({"colour": "red", "size": 1}, 3), ({"colour": "blue", "size": 3}, 4), ({"colour": "blue"}, 5)]


def test_what_was_not_declared_is_other_and_takes_no_memory() -> None:
    things = counter(colour=("red",))
    for number in range(2 * MOST_SERIES):
        things.add(1, f"colour {number}")
    assert numbers(things) == [({"colour": OTHER}, 2 * MOST_SERIES)]


def test_an_attribute_too_many_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        counter(colour=("red",)).add(1, "red", "large")


def test_beyond_so_many_sets_all_are_counted_together() -> None:
    things = counter(name=Known("whatever"))
    for number in range(MOST_SERIES + 7):
        things.add(1, f"name {number}")
    assert len(things.series) == MOST_SERIES + 1
    assert (things.series[-1].attributes, things.series[-1].value) == (OVERFLOW, 7)
    things.add(1, "name 0")
    assert things.series[0].value == 2


def test_an_amount_is_counted_in_the_bucket_whose_bound_it_does_not_exceed() -> None:
    waits = Histogram("test.waits", unit="s", description="Waits.", bounds=(1, 2, 5))
    for amount in (0, 1, 1.5, 2, 5, 6):
        waits.record(amount)
    (spread,) = waits.series
    assert (spread.counts, spread.sum) == ([2, 2, 1, 1], 15.5)


class Owner:
    def __init__(self, *found: Seen) -> None:
        self.found = found

    def seen(self) -> tuple[Seen, ...]:
        return self.found


def test_a_gauge_asks_its_owners_when_it_is_read_and_adds_up_what_they_say() -> None:
    rooms = Gauge("test.rooms", unit="{room}", description="Rooms.", attributes={"state": ("free", "taken")})
    one, other = Owner((3, ("free",)), (1, ("taken",))), Owner((2, ("free",)))
    rooms.watch(one, Owner.seen)
    rooms.watch(other, Owner.seen)
    assert numbers(rooms) == [({"state": "free"}, 5), ({"state": "taken"}, 1)]
    one.found = ()
    assert numbers(rooms) == [({"state": "free"}, 2), ({"state": "taken"}, 0)]


def test_a_gauge_keeps_no_owner_alive() -> None:
    rooms = Gauge("test.rooms", unit="{room}", description="Rooms.")
    owner = Owner((3, ()))
    rooms.watch(owner, Owner.seen)
    assert numbers(rooms) == [({}, 3)]
    del owner
    gc.collect()
    assert numbers(rooms) == [({}, 0)]


def test_a_gauge_tells_what_was_put_last() -> None:
    queue = Gauge("test.queue", unit="s", description="Age.", adds=False)
    queue.put(5)
    queue.put(2.5)
    assert numbers(queue) == [({}, 2.5)]


def test_a_name_is_declared_once() -> None:
    counter()
    with pytest.raises(AssertionError, match=r"test.counter is declared twice"):
        counter()


def test_the_table_names_everything_with_its_attributes() -> None:
    counter(colour=("red", "blue"), size=range(1, 4), shape=Known("some shape"))
    told = "`colour`: `red`, `blue`<br>`size`: 1 to 3<br>`shape`: some shape"
    assert f"| `test.counter` | counter | `{{thing}}` | {told} | Things. |" in table().splitlines()


def test_the_list_of_instruments_is_the_module_s_own() -> None:
    things = counter()
    assert instruments.DECLARED["test.counter"] is things

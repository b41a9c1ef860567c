"""Answers that are given again are measured where they are given again, and those that are made where they are made."""

from bench.gateway import Plan
from bench.repeats import READS, Repeated, measure
from bench.sections import given_again
from settings import Settings
from tests.running import Api


async def test_each_read_is_made_and_given_again(api: Api, settings: Settings) -> None:
    ada = await api.sign_up()
    assert ada.token
    repeated = await measure(settings, ada.token, Plan(requests=3, rounds=1), lambda _: None)
    assert [one.what for one in repeated] == list(READS)
    assert all(one.made > 0 < one.given for one in repeated)


def test_the_table_says_how_many_times_less_is_spent() -> None:
    assert list(given_again([Repeated("20 chats", 3000.0, 100.0)]).rows) == [("20 chats", "3000", "100", "30.0\N{MULTIPLICATION SIGN}")]

"""Scalars: how values look in JSON, and what is read and refused."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from graphql import GraphQLError
from hypothesis import given
from hypothesis import strategies as st
from strawberry.types.scalar import ScalarDefinition

from schema.scalars import SAFE, SCALARS, URL, BigInt, Seq, read_duration, read_time, write_duration, write_time


def scalar(kind: object) -> ScalarDefinition:
    return SCALARS[kind]


def read(kind: object, value: Any) -> Any:
    parse = scalar(kind).parse_value
    assert parse is not None
    return parse(value)


def write(kind: object, value: Any) -> Any:
    serialize = scalar(kind).serialize
    assert serialize is not None
    return serialize(value)


def test_every_scalar_is_described() -> None:
    assert all(one.description and one.name for one in SCALARS.values())


def test_a_time_is_shown_in_utc_with_milliseconds() -> None:
    assert write_time(datetime(2026, 11, 22, 19, 0, tzinfo=UTC)) == "2026-11-22T19:00:00.000Z"
    assert write_time(datetime(2026, 11, 22, 20, 0, 0, 123999, tzinfo=timezone(timedelta(hours=1)))) == "2026-11-22T19:00:00.123Z"


def test_a_time_without_an_offset_is_never_shown() -> None:
    with pytest.raises(GraphQLError):
        write_time(datetime(2026, 11, 22, 19, 0))  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize("text", ["2026-11-22T19:00:00Z", "2026-11-22t20:00:00.000+01:00", "2026-11-22 19:00:00.0z"])
def test_a_time_is_read_with_its_offset(text: str) -> None:
    assert read_time(text) == datetime(2026, 11, 22, 19, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-22T19:00:00",
        "2026-11-22",
        "20261122T190000Z",
        "2026-02-30T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "now",
        "",
        0,
        None,
        "٢026-11-22T19:00:00Z",
    ],
)
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(GraphQLError):
        read_time(value)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive
def test_a_time_survives_to_the_millisecond(value: datetime) -> None:
    assert read_time(write_time(value)) == value.replace(microsecond=value.microsecond // 1000 * 1000)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(0), "PT0S"),
        (timedelta(minutes=15), "PT15M"),
        (timedelta(days=1, hours=2), "P1DT2H"),
        (timedelta(days=30), "P30D"),
        (timedelta(seconds=1.5), "PT1.5S"),
        (timedelta(seconds=-90), "-PT1M30S"),
    ],
)
def test_a_duration_is_short_iso_8601(value: timedelta, text: str) -> None:
    assert write_duration(value) == text
    assert read_duration(text) == value


@given(st.timedeltas(min_value=timedelta(days=-900_000), max_value=timedelta(days=900_000)))
def test_a_duration_survives(value: timedelta) -> None:
    assert read_duration(write_duration(value)) == value


@pytest.mark.parametrize("value", ["", "P", "PT", "P1Y", "P1M", "1D", "PT1", "P1H", "PT1M1H", "P1.5D", 15, None, "P9999999D T1S"])
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(GraphQLError):
        read_duration(value)


@pytest.mark.parametrize("value", [0, 1, SAFE, "0", "42", str(SAFE)])
def test_a_position_is_a_safe_whole_number(value: object) -> None:
    assert read(Seq, value) == int(str(value))
    assert write(Seq, int(str(value))) == int(str(value))


@pytest.mark.parametrize("value", [-1, SAFE + 1, "-1", "1.0", "01", "", " 1", 1.0, True, None, "1e3", "٣"])
def test_what_is_no_position_is_refused(value: object) -> None:
    with pytest.raises(GraphQLError):
        read(Seq, value)


def test_a_big_number_is_text_where_a_double_would_round_it() -> None:
    assert write(BigInt, SAFE) == SAFE
    assert write(BigInt, SAFE + 1) == str(SAFE + 1)
    assert write(BigInt, -SAFE - 1) == str(-SAFE - 1)


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_a_big_number_survives(value: int) -> None:
    assert read(BigInt, write(BigInt, value)) == value


@pytest.mark.parametrize("value", [2**63, str(2**63), -(2**63) - 1, "x", 1.5, False, "9" * 5000])
def test_what_is_no_64_bit_number_is_refused(value: object) -> None:
    with pytest.raises(GraphQLError):
        read(BigInt, value)


@pytest.mark.parametrize("text", ["https://example.com", "http://localhost:8000/a?b=c#d", "https://[::1]/"])
def test_an_absolute_address_is_a_url(text: str) -> None:
    assert read(URL, text) == text


@pytest.mark.parametrize(
    "value",
    [
        "",
        "example.com",
        "/a",
        "//example.com",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://",
        "https:///a",
        "https://a b",
        "https://a\n",
        "https://a:99999",
        "https://[",
        "https://" + "a" * 2048,
        "https://é.com",
        1,
    ],
)
def test_what_is_no_url_is_refused(value: object) -> None:
    with pytest.raises(GraphQLError):
        read(URL, value)

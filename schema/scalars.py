"""The scalars: how times, numbers, addresses and free-form values look in JSON."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NewType
from urllib.parse import urlsplit

import orjson
import strawberry
from graphql import GraphQLError
from strawberry.scalars import JSON
from strawberry.types.scalar import ScalarDefinition

Seq = NewType("Seq", int)
BigInt = NewType("BigInt", int)
URL = NewType("URL", str)

# What every JSON reader keeps exactly: the integers that a double holds (RFC 8259, section 6).
SAFE: Final = 2**53 - 1
_INT64: Final = 2**63
_LONGEST_URL: Final = 2048

# RFC 3339, section 5.6, with the offset that it demands.
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d{0,18})", re.ASCII)
_DECIMAL: Final = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,12})?", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# Months and years are left out: they have no fixed length.
_DURATION: Final = re.compile(
    r"(?P<sign>-?)P(?=\d|T\d)(?:(?P<weeks>\d{1,6})W)?(?:(?P<days>\d{1,7})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,12}(?:\.\d{1,6})?)S)?)?",
    re.ASCII,
)


def write_time(value: datetime) -> str:
    """Spell a moment in UTC with milliseconds: `2026-11-22T19:00:00.000Z`."""
    if value.tzinfo is not UTC:  # which rows have
        if value.tzinfo is None:
            raise GraphQLError("A time without an offset cannot be shown.")
        value = value.astimezone(UTC)
    # A fifth of what `isoformat` costs; a page has hundreds. orjson leaves the fraction of a whole second out.
    text = orjson.dumps(value)
    return text[1:24].decode() + "Z" if value.microsecond else text[1:20].decode() + ".000Z"


def read_time(value: object) -> datetime:
    """Read RFC 3339 with an offset."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise GraphQLError("A DateTime is RFC 3339 text with an offset, such as `2026-11-22T19:00:00.000Z`.")
    try:
        # Digits beyond microseconds are cut off.
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise GraphQLError(f"There is no such moment: {value}") from None


def write_duration(value: timedelta) -> str:
    """Spell a length of time in days, hours, minutes and seconds: `P1DT2H`."""
    sign, value = ("-", -value) if value < timedelta(0) else ("", value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    exact = f"{seconds}.{value.microseconds:06}".rstrip("0") if value.microseconds else str(seconds)
    parts = [f"{amount}{unit}" for amount, unit in ((str(hours), "H"), (str(minutes), "M"), (exact, "S")) if amount != "0"]
    days = f"{value.days}D" if value.days else ""
    if not days and not parts:
        return "PT0S"
    return f"{sign}P{days}{'T' if parts else ''}{''.join(parts)}"


def read_duration(value: object) -> timedelta:
    """Read an ISO 8601 duration of weeks, days, hours, minutes and seconds."""
    if isinstance(value, timedelta):
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise GraphQLError("A Duration is ISO 8601 text of weeks, days, hours, minutes and seconds, such as `PT15M`.")
    amounts = {
        unit: float(amount) if "." in amount else int(amount) for unit, amount in found.groupdict().items() if unit != "sign" and amount
    }
    length = timedelta(**amounts)
    return -length if found["sign"] else length


def _reader(name: str, least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        number = value
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            number = int(value)
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise GraphQLError(f"{name} is a whole number from {least} to {most}, as a number or as decimal text.")
        return number

    return read


def _write_seq(value: Any) -> int:
    number = int(value)
    if not 0 <= number <= SAFE:
        raise GraphQLError(f"{number} is no position.")
    return number


def _write_big(value: Any) -> int | str:
    number = int(value)
    return number if -SAFE <= number <= SAFE else str(number)


def write_decimal(value: Decimal) -> str:
    """Spell an exact number without an exponent and without zeros that say nothing."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def read_decimal(value: object) -> Decimal:
    """Read an exact number: a number with a fraction has passed through a float, unless it is written as text."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise GraphQLError('A Decimal is decimal text of at most 18 digits before and 12 after the point, such as `"2.50"`.')
    return Decimal(value)


def _read_date(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise GraphQLError("A Date is written as `2026-11-22`.")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise GraphQLError(f"There is no such day: {value}") from None


def _read_url(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_URL or not value.isascii() or not value.isprintable() or " " in value:
        raise GraphQLError(f"A URL is ASCII text of at most {_LONGEST_URL} characters.")
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise GraphQLError("A URL is absolute and begins with `https://` or `http://`.")
    return value


def _same(value: Any) -> Any:
    return value


SCALARS: Final[Mapping[object, ScalarDefinition]] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment in time: RFC 3339 text. Answers are in UTC with milliseconds; inputs need an offset.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time",
        serialize=write_time,
        parse_value=read_time,
    ),
    timedelta: strawberry.scalar(
        name="Duration",
        description="A length of time: ISO 8601 text of weeks, days, hours, minutes and seconds, such as `PT15M`. No months or years.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339#appendix-A",
        serialize=write_duration,
        parse_value=read_duration,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=_same,
        parse_value=_same,
    ),
    Seq: strawberry.scalar(
        name="Seq",
        description="A position in a log: a JSON number from 0 to 9007199254740991. Inputs may also be decimal text.",
        serialize=_write_seq,
        parse_value=_reader("A Seq", 0, SAFE),
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="A whole number of 64 bits: a JSON number up to ±9007199254740991 and decimal text beyond. Inputs may be either.",
        serialize=_write_big,
        parse_value=_reader("A BigInt", -_INT64, _INT64 - 1),
    ),
    Decimal: strawberry.scalar(
        name="Decimal",
        description="An exact number: decimal text without an exponent, such as `2.5`. Inputs may also be whole JSON numbers.",
        serialize=write_decimal,
        parse_value=read_decimal,
    ),
    date: strawberry.scalar(
        name="Date",
        description="A day: ISO 8601 text such as `2026-11-22`.",
        specified_by_url="https://scalars.graphql.org/andimarek/local-date",
        serialize=date.isoformat,
        parse_value=_read_date,
    ),
    URL: strawberry.scalar(
        name="URL",
        description="An absolute address that begins with `https://` or `http://`, of at most 2048 ASCII characters.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3986",
        serialize=str,
        parse_value=_read_url,
    ),
}

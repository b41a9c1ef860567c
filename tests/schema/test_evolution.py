"""Nothing that clients use goes away before the date that its deprecation named."""

from datetime import date
from pathlib import Path

import pytest
from graphql import build_schema

from schema import schema
from schema.evolution import breaking, deprecated, undated

TODAY = date(2027, 4, 1)
NOTICE = "Since 2026-12-01, until 2027-04-01: use other."
RELEASED = f"""
type Query {{
  kept: Int
  gone(of: Int @deprecated(reason: "{NOTICE}")): Int @deprecated(reason: "{NOTICE}")
  asked(by: In, old: Int @deprecated(reason: "{NOTICE}")): Colour
}}
input In {{ new: Int old: Int @deprecated(reason: "{NOTICE}") }}
enum Colour {{ RED GREEN @deprecated(reason: "{NOTICE}") }}
"""
WITHOUT_THE_OLD = "type Query { kept: Int asked(by: In): Colour } input In { new: Int } enum Colour { RED }"


def broken(built: str, *, released: str = RELEASED, today: date = TODAY, known: tuple[str, ...] = ()) -> list[str]:
    return breaking(build_schema(released), build_schema(built), today=today, known=known)


def test_what_had_its_notice_may_go_on_the_day_that_was_named() -> None:
    assert broken(WITHOUT_THE_OLD) == []


def test_nothing_goes_a_day_too_early() -> None:
    assert broken(WITHOUT_THE_OLD, today=date(2027, 3, 31)) == [
        "Argument Query.asked(old:) was removed.",
        "Enum value Colour.GREEN was removed.",
        "Field In.old was removed.",
        "Field Query.gone was removed.",
    ]


@pytest.mark.parametrize(
    "reason", ["use other", "Since 2027-03-01, until 2027-04-01: use other.", "Since 2026-13-01, until 2027-04-01: x."]
)
def test_a_deprecation_without_dates_or_with_too_little_notice_lets_nothing_go(reason: str) -> None:
    released = RELEASED.replace(NOTICE, reason)
    assert len(broken(WITHOUT_THE_OLD, released=released)) == 4
    assert len(undated(build_schema(released))) == 5


@pytest.mark.parametrize(
    "built",
    [
        RELEASED.replace("kept: Int", ""),
        RELEASED.replace("kept: Int", "kept: String"),
        RELEASED.replace("by: In", "by: In!"),
        RELEASED.replace("new: Int", "new: Int more: Int!"),
        RELEASED.replace("RED", "BLUE"),
    ],
)
def test_what_was_never_deprecated_stays(built: str) -> None:
    assert broken(built)


def test_additions_break_nobody() -> None:
    assert (
        broken(RELEASED.replace("kept: Int", "kept: Int! more: Int").replace("RED", "RED BLUE").replace("new: Int", "new: Int more: Int"))
        == []
    )


def test_a_break_that_is_known_is_named_with_its_reason() -> None:
    built = RELEASED.replace("kept: Int", "")
    assert broken(built, known=("# a comment", "Field Query.kept was removed. — nobody could ask for it (decision 99)")) == []
    assert broken(built, known=("Field Query.kept was removed.",)) == ["Field Query.kept was removed."]


def test_the_schema_breaks_no_client_of_the_last_release_and_dates_its_deprecations() -> None:
    here = Path(str(schema.__file__)).parent
    built = build_schema(schema.sdl())
    known = (here / "breaking.txt").read_text().splitlines()
    assert breaking(build_schema((here / "released.graphql").read_text()), built, today=date.max, known=known) == []
    assert undated(built) == []
    assert [one.name for one in deprecated(build_schema(RELEASED))] == [
        "Query.gone",
        "Query.gone(of:)",
        "Query.asked(old:)",
        "In.old",
        "Colour.GREEN",
    ]

"""Pages and their cursors: what may be asked, what comes back, and which cursors are believed."""

import base64
import os
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from auth.encryption.ciphers import TenantCipher
from errors import Invalid
from loaders.pages import CursorIsInvalid, Cursors, PageArguments, page_of

TENANT = uuid4()
KEY = os.urandom(32)
VALUES = (datetime(2026, 11, 22, 19, 0, 0, 123456, tzinfo=UTC), UUID("019aaaaa-0000-7000-8000-000000000001"), 7, "näme", None)


def cursors(kind: str = "chats", *, tenant: UUID = TENANT, key: bytes = KEY) -> Cursors:
    return Cursors(TenantCipher(tenant, {1: key}, 1), kind)


def test_a_cursor_returns_what_was_written() -> None:
    text = cursors().write(VALUES)
    assert cursors().read(text) == VALUES
    assert text.isascii()
    assert not set(text) & set("+/=")


def test_the_cursor_of_a_time_and_an_id_is_short() -> None:
    assert len(cursors().write(VALUES[:2])) < 60


@pytest.mark.parametrize(
    "reader",
    [cursors("runs"), cursors(tenant=uuid4()), cursors(key=os.urandom(32))],
    ids=["another list", "another tenant", "another key"],
)
def test_a_cursor_is_refused_elsewhere(reader: Cursors) -> None:
    text = cursors().write(VALUES)
    assert cursors().read(text) == VALUES
    with pytest.raises(CursorIsInvalid, match="not valid here"):
        reader.read(text)


def test_every_changed_bit_is_noticed() -> None:
    blob = bytearray(base64.urlsafe_b64decode(cursors().write(VALUES[1:2]) + "=="))
    for bit in range(len(blob) * 8):
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CursorIsInvalid):
            cursors().read(base64.urlsafe_b64encode(changed).rstrip(b"=").decode())


@pytest.mark.parametrize("text", ["", "a", "é", "====", "!!!", "AAAA", "A" * 16, "A" * 5000, "null", "\x00", "-1", "😀" * 9])
def test_garbage_is_no_cursor(text: str) -> None:
    with pytest.raises(CursorIsInvalid) as refusal:
        cursors().read(text, path=["after"])
    assert refusal.value.path == ("after",)


def test_a_cursor_outlives_the_rotation_of_its_key() -> None:
    text = cursors().write(VALUES)
    rotated = TenantCipher(TENANT, {1: KEY, 2: os.urandom(32)}, 2)
    assert Cursors(rotated, "chats").read(text) == VALUES
    assert Cursors(rotated, "chats").write(VALUES) != text


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({}, "first"),
        ({"first": 0}, "first"),
        ({"first": 101}, "first"),
        ({"last": -1}, "last"),
        ({"last": 101}, "last"),
        ({"first": 1, "last": 1}, "last"),
        ({"first": 1, "before": "x"}, "before"),
        ({"last": 1, "after": "x"}, "after"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_by_name(arguments: dict[str, Any], path: str) -> None:
    with pytest.raises(Invalid) as refusal:
        PageArguments.checked(**arguments, limit=100)
    assert refusal.value.path == (path,)


@pytest.mark.parametrize("arguments", [{"first": 1}, {"first": 100, "after": "x"}, {"last": 1}, {"last": 100, "before": "x"}])
def test_arguments_within_the_limits_are_taken(arguments: dict[str, Any]) -> None:
    asked = PageArguments.checked(**arguments, limit=100)
    assert asked.limit == asked.size + 1
    assert asked.backwards == ("last" in arguments)


def test_a_default_size_goes_where_the_cursor_points() -> None:
    assert PageArguments.checked(limit=100, default=20).first == 20
    assert PageArguments.checked(limit=100, default=20, after="x").first == 20
    assert PageArguments.checked(limit=100, default=20, before="x").last == 20


def test_the_start_of_a_page_is_read_from_its_cursor() -> None:
    text = cursors().write([7])
    assert PageArguments.checked(first=1, limit=9).start(cursors()) is None
    assert PageArguments.checked(first=1, after=text, limit=9).start(cursors()) == (7,)
    assert PageArguments.checked(last=1, before=text, limit=9).start(cursors()) == (7,)
    with pytest.raises(CursorIsInvalid) as refusal:
        PageArguments.checked(last=1, before="nonsense", limit=9).start(cursors())
    assert refusal.value.path == ("before",)


def rows(*numbers: int) -> list[Any]:
    return [{"n": number} for number in numbers]


@pytest.mark.parametrize(
    ("arguments", "fetched", "shown", "around"),
    [
        ({"first": 2}, [1, 2, 3], [1, 2], (False, True)),
        ({"first": 3}, [1, 2, 3], [1, 2, 3], (False, False)),
        ({"first": 2, "after": "x"}, [3, 4], [3, 4], (True, False)),
        ({"last": 2}, [3, 2, 1], [2, 3], (True, False)),
        ({"last": 2, "before": "x"}, [2, 1], [1, 2], (False, True)),
        ({"first": 2}, [], [], (False, False)),
    ],
)
def test_a_page_knows_what_is_around_it(arguments: dict[str, Any], fetched: list[int], shown: list[int], around: tuple[bool, bool]) -> None:
    page = page_of(rows(*fetched), PageArguments.checked(**arguments, limit=100), lambda row: str(row["n"]), total=9)
    assert page.rows == rows(*shown)
    assert page.cursors == [str(number) for number in shown]
    assert (page.has_previous, page.has_next, page.total) == (*around, 9)


@pytest.mark.parametrize(("arguments", "ends"), [({"first": 3}, ("1", "3")), ({"last": 3}, ("3", "1")), ({"first": 1}, ("1", "1"))])
def test_only_the_cursors_that_are_asked_for_are_written(arguments: dict[str, Any], ends: tuple[str, str]) -> None:
    written: list[int] = []

    def cursor_of(row: Any) -> str:
        written.append(row["n"])
        return str(row["n"])

    page = page_of(rows(1, 2, 3, 4)[: arguments.get("first", 3)], PageArguments.checked(**arguments, limit=100), cursor_of)
    assert len(page.rows) == arguments.get("first", 3)
    assert written == []
    assert (page.start_cursor, page.end_cursor) == ends
    assert [str(number) for number in written] == list(ends)
    assert page.edges == list(zip(page.cursors, page.rows, strict=True))
    assert len(written) == 2 + len(page.rows)


def test_an_empty_page_begins_and_ends_nowhere() -> None:
    page = page_of([], PageArguments.checked(first=1, limit=100), str)
    assert (page.start_cursor, page.end_cursor, page.edges, page.cursors) == (None, None, [], [])

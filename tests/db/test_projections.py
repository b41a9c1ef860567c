"""Statements that read only the columns that are wanted, and never a text that somebody wrote."""

from typing import Any

import pytest

from db.statements.projections import Projection
from db.tables.chats import Chat
from db.tables.users import User

BY_ID = Projection("SELECT {columns} FROM penny.chats WHERE id = $1", Chat, always=("id",))


def test_the_wanted_columns_stand_in_the_table_s_order_with_what_is_always_needed() -> None:
    assert BY_ID.text(frozenset({"updated_at", "owner_id"})) == "SELECT id, owner_id, updated_at FROM penny.chats WHERE id = $1"
    assert BY_ID.text(frozenset()) == "SELECT id FROM penny.chats WHERE id = $1"


def test_without_a_wish_there_are_all_columns() -> None:
    columns = BY_ID.text(None).removeprefix("SELECT ").split(" FROM")[0].split(", ")
    assert columns == [column._meta.name for column in Chat.all_columns()]


def test_columns_are_those_of_the_table_s_name_in_the_statement() -> None:
    joined = Projection("SELECT {columns} FROM penny.memberships m JOIN directory.users u ON true", User, of="u")
    assert joined.text(frozenset({"name", "id"})) == "SELECT u.id, u.name FROM penny.memberships m JOIN directory.users u ON true"


def test_the_same_columns_are_the_same_text() -> None:
    assert BY_ID.text(frozenset(("title", "owner_id"))) is BY_ID.text(frozenset(("owner_id", "title")))


@pytest.mark.parametrize("name", ["", "nothing", "ID", "id, 1", "*", "id FROM penny.chats; DROP TABLE penny.chats; --", "{columns}"])
def test_a_name_that_is_no_column_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="shows no columns"):
        BY_ID.text(frozenset({"title", name}))


def test_what_must_not_be_shown_is_not_and_cannot_be_asked_for() -> None:
    shown = Projection("SELECT {columns} FROM directory.users", User, without=("password_hash",))
    assert "password_hash" not in shown.text(None)
    assert "email" in shown.text(None)
    with pytest.raises(ValueError, match="password_hash"):
        shown.text(frozenset({"password_hash"}))


def test_ever_new_sets_of_columns_do_not_fill_the_memory() -> None:
    projection: Any = Projection("SELECT {columns}", User)
    names = [column._meta.name for column in User.all_columns()]
    for number in range(2 ** len(names)):
        projection.text(frozenset(name for bit, name in enumerate(names) if number >> bit & 1))
    assert projection._text.cache_info().currsize == 256

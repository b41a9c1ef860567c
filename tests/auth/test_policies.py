"""Who may do what, case by case."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from auth.policies.accounts import can_manage_account
from auth.policies.api_keys import can_create_key, can_revoke_key, can_rotate_key, can_see_all_keys
from auth.policies.chats import ROLES, actions_on_chat, role_in_chat
from auth.policies.members import can_change_member, can_end_session, can_grant, can_remove_member
from auth.viewers import Viewer

ME, OTHER, KEY, KEY_2 = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4)
END = datetime(2030, 1, 1, tzinfo=UTC)
ADMIN = ("members:admin", "chats:read")


def person(*scopes: str) -> Viewer:
    return Viewer(tenant_id=UUID(int=9), user_id=ME, role_id=UUID(int=8), scopes=frozenset(scopes), session_id=UUID(int=7), expires_at=END)


def key(*scopes: str, expires_at: datetime | None = None) -> Viewer:
    return Viewer(tenant_id=UUID(int=9), user_id=ME, role_id=UUID(int=8), scopes=frozenset(scopes), api_key_id=KEY, expires_at=expires_at)


@pytest.mark.parametrize(
    ("viewer", "scopes", "may"),
    [
        (person(*ADMIN), [], True),
        (person(*ADMIN), ["chats:read"], True),
        (person(*ADMIN), ["chats:read", "members:admin"], True),
        (person(*ADMIN), ["chats:write"], False),
        (person("chats:read"), [], False),
        (person("chats:read"), ["chats:read"], False),
        (person(), [], False),
        (key(*ADMIN), ["chats:read"], True),
        (key(*ADMIN), ["chats:write"], False),
    ],
)
def test_rights_over_others_end_where_ones_own_end(viewer: Viewer, scopes: list[str], may: bool) -> None:  # noqa: FBT001 - the expected answer
    assert can_grant(viewer, scopes) is may
    assert can_change_member(viewer, scopes) is may
    assert can_remove_member(viewer, {"user_id": OTHER, "scopes": scopes}) is may
    assert can_end_session(viewer, {"user_id": OTHER, "scopes": scopes}) is may


@pytest.mark.parametrize(
    ("viewer", "may"), [(person(), True), (person("chats:read"), True), (key("chats:read"), False), (key("chats:write", *ADMIN), True)]
)
def test_everybody_may_leave_and_sign_out_but_a_key_is_not_its_owner(viewer: Viewer, may: bool) -> None:  # noqa: FBT001 - the expected answer
    own = {"user_id": ME, "scopes": ["chats:read", "chats:write"]}
    assert can_remove_member(viewer, own) is may
    assert can_end_session(viewer, own) is may


def test_only_a_person_manages_an_account() -> None:
    assert can_manage_account(person())
    assert not can_manage_account(key(*ADMIN))


@pytest.mark.parametrize(
    ("viewer", "scopes", "expires_at", "may"),
    [
        (person("keys:write", "chats:read"), [], None, True),
        (person("keys:write", "chats:read"), ["chats:read"], None, True),
        (person("keys:write", "chats:read"), ["chats:write"], None, False),
        (person("chats:read"), [], None, False),
        (key("keys:write"), [], None, True),
        (key("keys:write"), ["chats:read"], None, False),
        (key("keys:write", expires_at=END), [], None, False),
        (key("keys:write", expires_at=END), [], END, True),
        (key("keys:write", expires_at=END), [], END + timedelta(seconds=1), False),
    ],
)
def test_a_key_is_worth_no_more_than_its_maker(viewer: Viewer, scopes: list[str], expires_at: datetime | None, may: bool) -> None:  # noqa: FBT001 - the expected answer
    assert can_create_key(viewer, scopes, expires_at) is may


@pytest.mark.parametrize(
    ("viewer", "owner", "key_id", "rotate", "revoke"),
    [
        (person("keys:write"), ME, KEY, True, True),
        (person("keys:write"), OTHER, KEY, False, False),
        (person("chats:read"), ME, KEY, False, False),
        (person("keys:admin"), OTHER, KEY, False, True),
        (person("keys:admin"), ME, KEY, False, True),
        (person("keys:admin", "keys:write"), OTHER, KEY, False, True),
        (key("keys:write"), ME, KEY, True, True),
        (key("keys:write"), ME, KEY_2, False, True),
        (key("chats:read"), ME, KEY, False, False),
        (key("keys:admin"), OTHER, KEY_2, False, True),
    ],
)
def test_a_key_is_rotated_by_its_owner_and_revoked_by_administrators_too(
    viewer: Viewer,
    owner: UUID,
    key_id: UUID,
    rotate: bool,  # noqa: FBT001 - the expected answer
    revoke: bool,  # noqa: FBT001 - the expected answer
) -> None:
    row = {"user_id": owner, "id": key_id}
    assert can_rotate_key(viewer, row) is rotate
    assert can_revoke_key(viewer, row) is revoke
    assert can_see_all_keys(viewer) is ("keys:admin" in viewer.scopes)


ALL = ("chats:read", "chats:write", "chats:delete")


def chat(begun_by: UUID = OTHER, visibility: str = "SHARED", /, **roles: UUID) -> dict[str, object]:
    return {
        "owner_id": begun_by,
        "visibility": visibility,
        "participant_ids": list(roles.values()),
        "participant_roles": [role.upper() for role in roles],
    }


@pytest.mark.parametrize(
    ("row", "role"),
    [
        (chat(ME, "PRIVATE"), "OWNER"),
        (chat(ME, "TENANT"), "OWNER"),
        (chat(), None),
        (chat(OTHER, "PRIVATE", editor=ME), None),
        (chat(viewer=ME), "VIEWER"),
        (chat(viewer=KEY, editor=ME), "EDITOR"),
        (chat(owner=ME), "OWNER"),
        (chat(editor=KEY), None),
        (chat(OTHER, "TENANT"), "VIEWER"),
        (chat(OTHER, "TENANT", commenter=ME), "COMMENTER"),
        (chat(OTHER, "TENANT", editor=KEY), "VIEWER"),
    ],
)
def test_a_chat_s_row_says_what_somebody_is_in_it(row: dict[str, object], role: str | None) -> None:
    assert role_in_chat(person(*ALL), row) == role


@pytest.mark.parametrize("scopes", [ALL, ("chats:read",), ("chats:write",), ()])
@pytest.mark.parametrize(("role", "actions"), list(zip([None, *ROLES], range(5), strict=True)))
def test_a_role_in_a_chat_and_the_scopes_must_both_allow_a_thing(role: str | None, actions: int, scopes: tuple[str, ...]) -> None:
    needs = {"read": "chats:read", "comment": "chats:write", "write": "chats:write", "manage": "chats:write", "delete": "chats:delete"}
    by_role = [*needs][: actions if actions < 4 else 5]
    row = chat() if role is None else chat(OTHER, "SHARED", **{role.lower(): ME})
    assert actions_on_chat(person(*scopes), row) == [action for action in by_role if needs[action] in scopes]

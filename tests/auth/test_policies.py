"""Who may do what, case by case."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from auth.policies.accounts import can_manage_account
from auth.policies.api_keys import can_create_key, can_revoke_key, can_rotate_key, can_see_all_keys
from auth.policies.chats import ROLES, actions_on_chat, role_in_chat
from auth.policies.facts import RULES, can_hear, shown_as
from auth.policies.members import can_change_member, can_end_session, can_grant, can_remove_member
from auth.roles import SCOPES
from auth.viewers import Viewer
from events.facts import (
    TYPES,
    ApiKeyCreated,
    AssistantFact,
    Fact,
    InvitationCreated,
    JobUpdated,
    MemberUpdated,
    ModelUpdated,
    PasswordChanged,
    ProfileUpdated,
    ProviderCredentialCreated,
    RoleUpdated,
    SessionOpened,
)

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


def test_somebody_decides_who_is_told_of_every_fact() -> None:
    elsewhere = [kind for kind in TYPES.values() if "chat_id" not in kind.__struct_fields__ and not issubclass(kind, AssistantFact)]
    assert elsewhere
    assert [kind for kind in elsewhere if not any(issubclass(kind, family) for family in RULES)] == []
    assert [family for family in RULES if not any(issubclass(kind, family) for kind in elsewhere)] == []


@pytest.mark.parametrize(
    ("fact", "own", "scope"),
    [
        (MemberUpdated(membership_id=KEY, user_id=ME), True, "members:read"),
        (MemberUpdated(membership_id=KEY, user_id=OTHER), False, "members:read"),
        (InvitationCreated(invitation_id=KEY), False, "members:read"),
        (RoleUpdated(role_id=person().role_id), True, "members:read"),
        (RoleUpdated(role_id=KEY), False, "members:read"),
        (SessionOpened(session_id=KEY, user_id=ME), True, None),
        (SessionOpened(session_id=KEY, user_id=OTHER), False, None),
        (ApiKeyCreated(api_key_id=KEY, user_id=ME), True, "keys:admin"),
        (ApiKeyCreated(api_key_id=KEY, user_id=OTHER), False, "keys:admin"),
        (ProfileUpdated(user_id=ME), True, "members:read"),
        (ProfileUpdated(user_id=OTHER), False, "members:read"),
        (PasswordChanged(user_id=ME), True, None),
        (PasswordChanged(user_id=OTHER), False, None),
        (ModelUpdated(model_id=KEY), False, "models:read"),
        (ProviderCredentialCreated(credential_id=KEY, provider_id=KEY_2), False, "models:read"),
        (ProviderCredentialCreated(credential_id=KEY, provider_id=KEY_2, user_id=ME), False, "models:write"),
        (ProviderCredentialCreated(credential_id=KEY, provider_id=KEY_2, user_id=OTHER), False, None),
        (JobUpdated(job_id=KEY, user_id=ME), False, None),
    ],
)
def test_a_fact_is_told_to_those_who_see_what_it_is_about(fact: Fact, *, own: bool, scope: str | None) -> None:
    assert can_hear(person(), fact) is own
    assert [one for one in SCOPES if can_hear(person(one), fact) and one != "models:admin"] == (
        [one for one in SCOPES if one != "models:admin"] if own else [one for one in SCOPES if one == scope]
    )


def test_a_tenant_s_key_is_its_provider_to_those_who_do_not_keep_keys() -> None:
    fact = ProviderCredentialCreated(credential_id=KEY, provider_id=KEY_2)
    assert shown_as(person("models:read"), fact) == ("Provider", KEY_2)
    assert shown_as(person("models:admin"), fact) == ("ProviderCredential", KEY)

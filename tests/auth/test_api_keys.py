"""An API key never allows more than its scopes and its owner's role, and ends when it is told to."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from auth.roles import BUILTIN
from auth.tokens import new_api_key
from auth.viewers import Viewer
from errors import Conflict, Invalid, NotFound, PermissionDenied, Unauthenticated
from tests.auth.people import House, open_house
from web.works import Process

CHATS = ["chats:read", "chats:write"]


async def made(house: House, viewer: Viewer, *scopes: str, **given: object) -> tuple[Viewer, str]:
    """A new key's viewer and text."""
    _, text = await house.api_keys.create(viewer, **{"name": "test", "scopes": list(scopes), "expires_at": None, **given})  # type: ignore[arg-type] # as given
    return await house.api_keys.viewer_of(text), text


async def reason_of(house: House, text: str) -> str | None:
    """Why the key does not count, or None when it does."""
    try:
        await house.api_keys.viewer_of(text)
    except Unauthenticated as error:
        return error.reason
    return None


async def test_a_key_speaks_for_its_owner_within_its_scopes(house: House) -> None:
    owner = (await house.signed_up()).viewer
    row, text = await house.api_keys.create(owner, name="robot", scopes=CHATS, expires_at=None)
    viewer = await house.api_keys.viewer_of(text)
    assert (viewer.tenant_id, viewer.user_id, viewer.api_key_id, viewer.session_id) == (owner.tenant_id, owner.user_id, row["id"], None)
    assert viewer.scopes == frozenset(CHATS)
    assert text.startswith(row["prefix"])
    assert not {"secret_hash", "previous_hash"} & set(dict(row))


async def test_a_key_without_scopes_may_do_nothing(house: House) -> None:
    viewer, _ = await made(house, (await house.signed_up()).viewer)
    assert viewer.scopes == frozenset()


async def test_a_key_shrinks_with_its_owners_role(house: House) -> None:
    owner = (await house.signed_up()).viewer
    member = (await house.joined(owner, "manager")).viewer
    _, text = await made(house, member, "chats:read", "members:admin")
    role = await house.role(owner.tenant_id, "viewer")
    await house.members.change(owner, (await house.membership(member))["id"], role_id=role["id"])
    house.api_keys.forget(None)
    assert (await house.api_keys.viewer_of(text)).scopes == {"chats:read"}


async def test_a_key_grants_only_what_exists_and_what_its_maker_may(house: House) -> None:
    creator = (await house.joined((await house.signed_up()).viewer, "creator")).viewer
    for scopes, refusal in ((["chats:fly"], Invalid), (["members:admin"], PermissionDenied)):
        with pytest.raises(refusal):
            await house.api_keys.create(creator, name="x", scopes=scopes, expires_at=None)
    with pytest.raises(Invalid):
        await house.api_keys.create(creator, name=" ", scopes=CHATS, expires_at=None)
    with pytest.raises(Invalid):
        await house.api_keys.create(creator, name="x", scopes=CHATS, expires_at=house.watch())
    assert await house.api_keys.page(creator, limit=10) == []
    await made(house, creator, *BUILTIN["creator"])
    assert len(await house.api_keys.page(creator, limit=10)) == 1


async def test_who_may_not_make_keys_makes_none(house: House) -> None:
    viewer = (await house.joined((await house.signed_up()).viewer, "viewer")).viewer
    with pytest.raises(PermissionDenied):
        await house.api_keys.create(viewer, name="x", scopes=[], expires_at=None)


async def test_a_member_has_a_bounded_number_of_keys_that_have_not_ended(process: Process) -> None:
    async with open_house(process, member_api_keys=2) as house:
        owner = (await house.signed_up()).viewer
        other = (await house.joined(owner, "creator")).viewer
        end = house.watch() + timedelta(hours=1)
        made_at_once = await asyncio.gather(*(made(house, owner, expires_at=end) for _ in range(4)), return_exceptions=True)
        assert sorted(type(one).__name__ for one in made_at_once) == ["Invalid", "Invalid", "tuple", "tuple"]
        keys = await house.api_keys.page(owner, limit=10)
        assert len(keys) == 2
        await made(house, other)
        await house.api_keys.revoke(owner, keys[0]["id"])
        await made(house, owner, expires_at=end)
        with pytest.raises(Invalid):
            await made(house, owner)
        house.watch.pass_(hours=1)
        await made(house, owner)
        assert len(await house.api_keys.page(owner, limit=10)) == 4


async def test_a_key_made_by_a_key_allows_no_more_and_lasts_no_longer(house: House) -> None:
    owner = (await house.signed_up()).viewer
    end = house.watch() + timedelta(hours=1)
    maker, _ = await made(house, owner, "keys:write", "chats:read", expires_at=end)
    for scopes, expires_at in ((["chats:write"], end), (["chats:read"], None), (["chats:read"], end + timedelta(seconds=1))):
        with pytest.raises(PermissionDenied):
            await house.api_keys.create(maker, name="x", scopes=scopes, expires_at=expires_at)
    child, _ = await made(house, maker, "chats:read", expires_at=end)
    assert child.scopes == {"chats:read"}


async def test_a_key_ends_with_its_time_even_in_the_cache(process: Process) -> None:
    async with open_house(process, session_cache_seconds=600) as house:
        owner = (await house.signed_up()).viewer
        _, text = await made(house, owner, *CHATS, expires_at=house.watch() + timedelta(minutes=1))
        house.watch.pass_(seconds=59)
        assert await reason_of(house, text) is None
        house.watch.pass_(seconds=1)
        assert await reason_of(house, text) == "TOKEN_EXPIRED"


async def test_a_text_that_is_no_key_of_ours_does_not_count(house: House) -> None:
    owner = (await house.signed_up()).viewer
    viewer, text = await made(house, owner, *CHATS)
    assert viewer.api_key_id
    assert await reason_of(house, text) is None
    forged = (
        new_api_key(owner.tenant_id, viewer.api_key_id),
        new_api_key(uuid4(), viewer.api_key_id),
        new_api_key(owner.tenant_id, uuid4()),
        text[:-1],
        "",
        "\0",
    )
    for other in forged:
        assert await reason_of(house, other) == "UNAUTHENTICATED"


async def test_a_rotated_key_keeps_its_old_secret_for_the_overlap_and_only_the_last_one(process: Process) -> None:
    async with open_house(process, api_key_rotation_hours=2) as house:
        owner = (await house.signed_up()).viewer
        viewer, first = await made(house, owner, *CHATS)
        assert viewer.api_key_id
        row, second = await house.api_keys.rotate(owner, viewer.api_key_id)
        assert row["previous_valid_until"] == house.watch() + timedelta(hours=2)
        assert [await reason_of(house, text) for text in (first, second)] == [None, None]
        assert (await house.api_keys.viewer_of(first)).expires_at == row["previous_valid_until"]
        assert (await house.api_keys.viewer_of(second)).expires_at is None
        _, third = await house.api_keys.rotate(owner, viewer.api_key_id)
        assert [await reason_of(house, text) for text in (first, second, third)] == ["UNAUTHENTICATED", None, None]
        house.watch.pass_(hours=2)
        assert [await reason_of(house, text) for text in (second, third)] == ["TOKEN_EXPIRED", None]


async def test_without_an_overlap_the_old_secret_ends_at_once(process: Process) -> None:
    async with open_house(process, api_key_rotation_hours=0, session_cache_seconds=600) as house:
        owner = (await house.signed_up()).viewer
        viewer, first = await made(house, owner, *CHATS)
        assert viewer.api_key_id
        _, second = await house.api_keys.rotate(owner, viewer.api_key_id)
        assert [await reason_of(house, text) for text in (first, second)] == ["TOKEN_EXPIRED", None]


async def test_a_revoked_key_ends_with_all_its_secrets_and_stays_ended(process: Process) -> None:
    async with open_house(process, session_cache_seconds=600) as house:
        owner = (await house.signed_up()).viewer
        viewer, first = await made(house, owner, *CHATS)
        assert viewer.api_key_id
        _, second = await house.api_keys.rotate(owner, viewer.api_key_id)
        assert [await reason_of(house, text) for text in (first, second)] == [None, None]
        row = await house.api_keys.revoke(owner, viewer.api_key_id)
        house.watch.pass_(minutes=1)
        assert (await house.api_keys.revoke(owner, viewer.api_key_id))["revoked_at"] == row["revoked_at"]
        assert [await reason_of(house, text) for text in (first, second)] == ["SESSION_TERMINATED"] * 2
        with pytest.raises(Conflict):
            await house.api_keys.rotate(owner, viewer.api_key_id)


async def test_keys_of_others_are_seen_and_revoked_by_administrators_only_and_rotated_by_nobody(house: House) -> None:
    owner = (await house.signed_up()).viewer
    creator, other = (await house.joined(owner, "creator")).viewer, (await house.joined(owner, "creator")).viewer
    stranger = (await house.signed_up()).viewer
    key, text = await made(house, creator, *CHATS)
    assert key.api_key_id
    for who in (other, stranger):
        for act in (house.api_keys.rotate, house.api_keys.revoke):
            with pytest.raises(NotFound):
                await act(who, key.api_key_id)
    with pytest.raises(PermissionDenied):
        await house.api_keys.rotate(owner, key.api_key_id)
    with pytest.raises(PermissionDenied):
        await house.api_keys.page(other, limit=10, everyone=True)
    assert await reason_of(house, text) is None
    assert [row["id"] for row in await house.api_keys.page(owner, limit=10, everyone=True)] == [key.api_key_id]
    assert await house.api_keys.page(owner, limit=10) == []
    await house.api_keys.revoke(owner, key.api_key_id)
    assert await reason_of(house, text) == "SESSION_TERMINATED"


async def test_a_key_rotates_itself_but_not_another(house: House) -> None:
    owner = (await house.signed_up()).viewer
    one, _ = await made(house, owner, "keys:write")
    other, _ = await made(house, owner, *CHATS)
    assert one.api_key_id
    assert other.api_key_id
    with pytest.raises(PermissionDenied):
        await house.api_keys.rotate(one, other.api_key_id)
    _, text = await house.api_keys.rotate(one, one.api_key_id)
    assert await reason_of(house, text) is None


async def test_the_list_is_read_page_by_page_in_either_direction(house: House) -> None:
    owner = (await house.signed_up()).viewer
    ids = [(await made(house, owner))[0].api_key_id for _ in range(5)]
    newest = [row["id"] for row in await house.api_keys.page(owner, limit=3)]
    assert newest == ids[:1:-1]
    assert [row["id"] for row in await house.api_keys.page(owner, limit=3, beyond=newest[-1])] == ids[1::-1]
    assert [row["id"] for row in await house.api_keys.page(owner, limit=2, beyond=ids[0], newest_first=False)] == ids[1:3]


async def test_use_is_noted_at_most_once_a_minute(process: Process) -> None:
    async with open_house(process, session_cache_seconds=0) as house:
        owner = (await house.signed_up()).viewer
        viewer, text = await made(house, owner, *CHATS)
        assert viewer.api_key_id
        noted = []
        for seconds in (0, 59, 1):
            house.watch.pass_(seconds=seconds)
            await house.api_keys.viewer_of(text)
            await house.background.idle()
            noted.append((await house.key_row(owner.tenant_id, viewer.api_key_id))["last_used_at"])
        assert noted == [house.watch() - timedelta(minutes=1), house.watch() - timedelta(minutes=1), house.watch()]


async def test_the_keys_of_a_removed_member_go_with_them(house: House) -> None:
    owner = (await house.signed_up()).viewer
    member = (await house.joined(owner, "creator")).viewer
    _, text = await made(house, member, *CHATS)
    await house.members.remove(owner, (await house.membership(member))["id"])
    house.api_keys.forget(None)
    assert await reason_of(house, text) == "UNAUTHENTICATED"

"""A session counts until it expires or is ended, and no longer, in every process that hears of it."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from auth.tokens import new_session_token
from errors import NotFound, PermissionDenied, Unauthenticated
from events.revocations import Revoked
from tests.auth.people import House, open_house
from web.works import Process


async def reason_of(house: House, token: str) -> str | None:
    """Why the token does not count, or None when it does."""
    try:
        await house.sessions.viewer_of(token)
    except Unauthenticated as error:
        return error.reason
    return None


async def set_tenant_status(house: House, tenant_id: UUID, status: str) -> None:
    async with house.scopes.writing(tenant_id) as scope:
        await scope.run("UPDATE penny.tenants SET status = $2 WHERE tenant_id = $1", tenant_id, status)


async def test_a_token_is_stored_as_its_hash_only(house: House) -> None:
    opened = await house.signed_up()
    async with house.system.reading() as scope:
        rows = await scope.rows("SELECT s::text AS written FROM penny.sessions s WHERE id = $1", opened.viewer.session_id)
    assert rows
    assert opened.token not in rows[0]["written"]
    assert opened.token not in repr(opened)


async def test_only_a_token_that_was_given_out_counts(house: House) -> None:
    opened = await house.signed_up()
    assert await reason_of(house, opened.token) is None
    for other in (new_session_token(), opened.token[:-1], opened.token + "x", "", "\0", "pns_\ud800", "pny_live_x"):
        assert await reason_of(house, other) == "UNAUTHENTICATED"


async def test_a_session_ends_with_its_time_even_in_the_cache(process: Process) -> None:
    async with open_house(process, session_hours=1, session_cache_seconds=600) as house:
        opened = await house.signed_up()
        house.watch.pass_(minutes=59)
        assert await reason_of(house, opened.token) is None
        house.watch.pass_(minutes=1)
        assert await reason_of(house, opened.token) == "TOKEN_EXPIRED"


async def test_what_a_client_says_of_itself_is_kept_in_bounds(house: House) -> None:
    opened = await house.signed_up(user_agent="x\0\ud800" * 1000)
    (row,) = await house.sessions.of_viewer(opened.viewer)
    assert row["user_agent"] == ("x?" * 1000)[:512]
    assert "token_hash" not in dict(row)


async def test_a_disabled_member_and_a_closed_tenant_are_told_apart(house: House) -> None:
    owner = await house.signed_up()
    member = await house.joined(owner.viewer, "creator")
    membership = await house.membership(member.viewer)
    await house.members.change(owner.viewer, membership["id"], status="DISABLED")
    assert await reason_of(house, member.token) == "SESSION_TERMINATED"
    await house.members.change(owner.viewer, membership["id"], status="ACTIVE")
    assert await reason_of(house, member.token) is None
    house.sessions.forget(None)
    for status, reason in (("PAST_DUE", None), ("SUSPENDED", "TENANT_SUSPENDED"), ("DELETED", "TENANT_SUSPENDED"), ("ACTIVE", None)):
        await set_tenant_status(house, owner.viewer.tenant_id, status)
        house.sessions.forget(None)
        assert await reason_of(house, member.token) == reason


async def test_a_checked_session_is_trusted_for_a_while_and_forgotten_when_told(process: Process) -> None:
    async with open_house(process, session_cache_seconds=30) as here, open_house(process) as elsewhere:
        opened = await here.signed_up()
        assert await here.sessions.viewer_of(opened.token) is await here.sessions.viewer_of(opened.token)
        await elsewhere.sessions.revoke(opened.viewer, [opened.viewer.session_id or uuid4()])
        assert await reason_of(elsewhere, opened.token) == "SESSION_TERMINATED"
        assert await reason_of(here, opened.token) is None, "nobody told this process: the cache is what is tested"
        here.sessions.forget(Revoked(kind="session", tenant_id=opened.viewer.tenant_id, id=uuid4(), reason="of another"))
        assert await reason_of(here, opened.token) is None
        here.watch.pass_(seconds=31)
        assert await reason_of(here, opened.token) == "SESSION_TERMINATED"


@pytest.mark.parametrize("kind", ["session", "user", "role", "tenant", None])
async def test_whatever_a_revocation_is_about_is_looked_up_anew(process: Process, kind: str | None) -> None:
    async with open_house(process, session_cache_seconds=600) as house:
        viewer = (opened := await house.signed_up()).viewer
        first = await house.sessions.viewer_of(opened.token)
        ids = {"session": viewer.session_id, "user": viewer.user_id, "role": viewer.role_id, "tenant": viewer.tenant_id}
        if kind is not None:
            house.sessions.forget(Revoked(kind=kind, tenant_id=uuid4(), id=ids[kind], reason="another tenant"))  # type: ignore[arg-type] # parametrized
            assert await house.sessions.viewer_of(opened.token) is first
        told = None if kind is None else Revoked(kind=kind, tenant_id=viewer.tenant_id, id=ids[kind], reason="test")  # type: ignore[arg-type] # parametrized
        house.sessions.forget(told)
        assert await house.sessions.viewer_of(opened.token) is not first


async def test_a_look_up_that_a_revocation_overtakes_is_not_remembered(process: Process) -> None:
    async with open_house(process, session_cache_seconds=600) as house:
        opened = await house.signed_up()
        look_up = asyncio.create_task(house.sessions.viewer_of(opened.token))
        await asyncio.sleep(0)  # it has begun and waits for the database
        house.sessions.forget(None)
        first = await look_up
        assert await house.sessions.viewer_of(opened.token) is not first


async def test_being_here_is_noted_at_most_once_a_minute_and_behind_the_answer(process: Process) -> None:
    async with open_house(process, session_cache_seconds=0) as house:
        opened, noted = await house.signed_up(), []
        began = house.watch()
        for seconds in (59, 1, 30):
            house.watch.pass_(seconds=seconds)
            await house.sessions.viewer_of(opened.token)
            await house.background.idle()
            row = await house.session_row(opened.viewer)
            noted.append(row and row["last_seen_at"])
        assert noted == [began, began + timedelta(minutes=1), began + timedelta(minutes=1)]
        assert (await house.membership(opened.viewer))["last_active_at"] == began + timedelta(minutes=1)


async def test_members_see_and_end_their_own_sessions_and_administrators_those_of_others(house: House) -> None:
    owner = await house.signed_up()
    creator, other = await house.joined(owner.viewer, "creator"), await house.joined(owner.viewer, "creator")
    stranger = await house.signed_up()
    assert [row["id"] for row in await house.sessions.of_viewer(creator.viewer)] == [creator.viewer.session_id]
    assert creator.viewer.session_id
    assert other.viewer.session_id
    for who, ids, refusal in (
        (creator, [other.viewer.session_id], PermissionDenied),
        (creator, [creator.viewer.session_id, other.viewer.session_id], PermissionDenied),
        (stranger, [other.viewer.session_id], NotFound),
        (owner, [other.viewer.session_id, uuid4()], NotFound),
    ):
        with pytest.raises(refusal):
            await house.sessions.revoke(who.viewer, ids)
    assert await reason_of(house, other.token) is None
    assert await reason_of(house, creator.token) is None
    assert await house.sessions.revoke(creator.viewer, [creator.viewer.session_id]) == [creator.viewer.session_id]
    assert await house.sessions.revoke(owner.viewer, [other.viewer.session_id]) == [other.viewer.session_id]
    for token in (creator.token, other.token):
        assert await reason_of(house, token) == "SESSION_TERMINATED"
    assert await house.sessions.of_viewer(creator.viewer) == []


async def test_a_manager_cannot_end_the_sessions_of_an_owner(house: House) -> None:
    owner = await house.signed_up()
    manager = await house.joined(owner.viewer, "manager")
    assert owner.viewer.session_id
    with pytest.raises(PermissionDenied):
        await house.sessions.revoke(manager.viewer, [owner.viewer.session_id])
    assert await reason_of(house, owner.token) is None


async def test_nobody_opens_a_session_where_they_are_no_member(house: House) -> None:
    one, other = await house.signed_up(), await house.signed_up()
    with pytest.raises(NotFound):
        await house.sessions.open(one.viewer.user_id, other.viewer.tenant_id, transport="BEARER", address=None, user_agent=None)
    await house.sessions.open(one.viewer.user_id, one.viewer.tenant_id, transport="COOKIE", address=None, user_agent=None)

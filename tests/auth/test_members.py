"""Members are invited, changed and removed by those who may, with effect at once, and a tenant keeps an owner."""

import asyncio
from uuid import uuid4

import pytest

from auth.members import LastOwnerStays
from auth.roles import BUILTIN
from auth.sessions import OpenedSession
from db.scopes import Row
from errors import Conflict, Invalid, NotFound, PermissionDenied, Unauthenticated
from events.revocations import Revocations, Revoked
from tests.auth.people import Holder, House, new_email
from web.works import Process


async def open_invitations(house: House, opened: OpenedSession) -> list[Row]:
    return await house.invitations.page(opened.viewer, limit=100)


async def test_an_invitation_lets_its_address_in_once(house: House) -> None:
    owner = await house.signed_up()
    email = new_email()
    role = await house.role(owner.viewer.tenant_id, "creator")
    row = await house.invitations.invite(owner.viewer, email=email, role_id=role["id"])
    assert "token_hash" not in dict(row)
    token = await house.token_for(email, "invitation")
    with pytest.raises(Invalid):
        await house.signed_up(invitation_token=token)
    member = await house.signed_up(email=email.upper(), invitation_token=token)
    assert member.viewer.tenant_id == owner.viewer.tenant_id
    assert member.viewer.scopes == frozenset(BUILTIN["creator"])
    assert await open_invitations(house, owner) == []
    with pytest.raises(Invalid):
        await house.signed_up(invitation_token=token)
    with pytest.raises(Invalid):
        await house.invitations.accept(member.viewer, token)


async def test_a_refused_invitation_leaves_no_account_behind(house: House) -> None:
    owner, email, another = await house.signed_up(), new_email(), new_email()
    role = await house.role(owner.viewer.tenant_id, "viewer")
    await house.invitations.invite(owner.viewer, email=email, role_id=role["id"])
    token = await house.token_for(email, "invitation")
    with pytest.raises(Invalid):
        await house.signed_up(email=another, invitation_token=token)
    await house.signed_up(email=another)
    await house.signed_up(email=email, invitation_token=token)


async def test_a_person_joins_a_second_tenant_by_invitation(house: House) -> None:
    email = new_email()
    person, host, other = await house.signed_up(email=email), await house.signed_up(), await house.signed_up()
    role = await house.role(host.viewer.tenant_id, "viewer")
    await house.invitations.invite(host.viewer, email=email, role_id=role["id"])
    token = await house.token_for(email, "invitation")
    with pytest.raises(Invalid):
        await house.invitations.accept(other.viewer, token)
    membership = await house.invitations.accept(person.viewer, token)
    assert (membership["tenant_id"], membership["user_id"]) == (host.viewer.tenant_id, person.viewer.user_id)
    assert {row["tenant_id"] for row in await house.accounts.tenants_of(person.viewer)} == {person.viewer.tenant_id, host.viewer.tenant_id}
    with pytest.raises(Conflict):
        await house.invitations.invite(host.viewer, email=email.upper(), role_id=role["id"])


async def test_an_invitation_ends_with_its_time_by_another_one_and_by_hand(house: House) -> None:
    owner, email = await house.signed_up(), new_email()
    role = await house.role(owner.viewer.tenant_id, "viewer")
    await house.invitations.invite(owner.viewer, email=email, role_id=role["id"])
    replaced = await house.token_for(email, "invitation")
    second = await house.invitations.invite(owner.viewer, email=email.upper(), role_id=role["id"])
    assert [row["id"] for row in await open_invitations(house, owner)] == [second["id"]]
    revoked = await house.token_for(email.upper(), "invitation")
    assert (await house.invitations.revoke(owner.viewer, second["id"]))["revoked_at"] == house.watch()
    with pytest.raises(NotFound):
        await house.invitations.revoke(owner.viewer, second["id"])
    await house.invitations.invite(owner.viewer, email=email, role_id=role["id"])
    expired = await house.token_for(email, "invitation")
    house.watch.pass_(days=7)
    for token in (replaced, revoked, expired):
        with pytest.raises(Invalid):
            await house.signed_up(email=email, invitation_token=token)
    await house.signed_up(email=email)


async def test_of_two_invitations_at_once_one_stays_open(house: House, holder: Holder) -> None:
    owner, email = await house.signed_up(), new_email()
    role = await house.role(owner.viewer.tenant_id, "viewer")
    # This lets them look for each other, and holds them up when they insert.
    async with holder.holding("SELECT id FROM penny.roles WHERE id = $1 FOR UPDATE", role["id"]):
        inviting = [asyncio.create_task(house.invitations.invite(owner.viewer, email=email, role_id=role["id"])) for _ in range(2)]
        await holder.until_waiting(2)
    await asyncio.gather(*inviting)
    assert len(await open_invitations(house, owner)) == 1


async def test_nobody_invites_beyond_their_own_rights_and_refusals_mail_nobody(house: House) -> None:
    owner = await house.signed_up()
    manager, creator = await house.joined(owner.viewer, "manager"), await house.joined(owner.viewer, "creator")
    stranger, email = await house.signed_up(), new_email()
    admin_role = await house.role(owner.viewer.tenant_id, "admin")
    for who, role_id, refusal in (
        (manager, admin_role["id"], PermissionDenied),
        (creator, creator.viewer.role_id, PermissionDenied),
        (stranger, admin_role["id"], NotFound),
        (owner, uuid4(), NotFound),
    ):
        with pytest.raises(refusal):
            await house.invitations.invite(who.viewer, email=email, role_id=role_id)
    with pytest.raises(PermissionDenied):
        await house.invitations.page((await house.joined(owner.viewer, "viewer")).viewer, limit=10)
    assert await open_invitations(house, owner) == []
    assert await house.mails_to(email) == []
    await house.invitations.invite(manager.viewer, email=email, role_id=creator.viewer.role_id)
    assert len(await house.mails_to(email)) == 1


async def test_the_last_owner_can_neither_leave_nor_be_demoted(house: House) -> None:
    owner = await house.signed_up()
    membership = await house.membership(owner.viewer)
    admin = await house.joined(owner.viewer, "admin")
    viewer_role, owner_role = await house.role(owner.viewer.tenant_id, "viewer"), await house.role(owner.viewer.tenant_id, "owner")
    for who in (owner, admin):
        for act in (
            house.members.remove(who.viewer, membership["id"]),
            house.members.change(who.viewer, membership["id"], role_id=viewer_role["id"]),
            house.members.change(who.viewer, membership["id"], status="DISABLED"),
        ):
            with pytest.raises(Conflict):
                await act
    assert (await house.membership(owner.viewer))["role_name"] == "owner"
    await house.members.change(owner.viewer, (await house.membership(admin.viewer))["id"], role_id=owner_role["id"])
    assert await house.members.remove(owner.viewer, membership["id"]) == membership["id"]
    assert await house.accounts.tenants_of(owner.viewer) == []


async def test_of_two_owners_that_leave_at_once_one_stays(house: House, holder: Holder) -> None:
    owner = await house.signed_up()
    owners = [owner, await house.joined(owner.viewer, "owner")]
    ids = [(await house.membership(one.viewer))["id"] for one in owners]
    # This lets them read and count each other, and holds them up when they delete.
    async with holder.holding("SELECT id FROM penny.memberships WHERE id = ANY($1::uuid[]) FOR KEY SHARE", ids):
        leaving = [asyncio.create_task(house.members.remove(one.viewer, member)) for one, member in zip(owners, ids, strict=True)]
        await holder.until_waiting(2)
    results = await asyncio.gather(*leaving, return_exceptions=True)
    assert sorted(isinstance(result, LastOwnerStays) for result in results) == [False, True]


async def test_a_disabled_owner_does_not_count_as_one(house: House) -> None:
    owner = await house.signed_up()
    other = await house.joined(owner.viewer, "owner")
    await house.members.change(owner.viewer, (await house.membership(other.viewer))["id"], status="DISABLED")
    with pytest.raises(Conflict):
        await house.members.remove(owner.viewer, (await house.membership(owner.viewer))["id"])


async def test_nobody_changes_somebody_who_may_do_more(house: House) -> None:
    owner = await house.signed_up()
    manager, creator, stranger = (
        await house.joined(owner.viewer, "manager"),
        await house.joined(owner.viewer, "creator"),
        await house.signed_up(),
    )
    other_owner = await house.joined(owner.viewer, "owner")
    target, role = await house.membership(other_owner.viewer), await house.role(owner.viewer.tenant_id, "viewer")
    for who, refusal in ((manager, PermissionDenied), (creator, PermissionDenied), (stranger, NotFound)):
        with pytest.raises(refusal):
            await house.members.change(who.viewer, target["id"], role_id=role["id"])
        with pytest.raises(refusal):
            await house.members.remove(who.viewer, target["id"])
    with pytest.raises(PermissionDenied):
        await house.members.change(manager.viewer, (await house.membership(creator.viewer))["id"], role_id=owner.viewer.role_id)
    assert (await house.membership(other_owner.viewer))["role_name"] == "owner"
    row = await house.members.change(manager.viewer, (await house.membership(creator.viewer))["id"], role_id=role["id"])
    assert row["role_id"] == role["id"]


async def test_a_change_that_means_nothing_is_refused(house: House) -> None:
    owner = await house.signed_up()
    member = await house.membership((await house.joined(owner.viewer, "viewer")).viewer)
    with pytest.raises(Invalid):
        await house.members.change(owner.viewer, member["id"], status="GONE")
    with pytest.raises(NotFound):
        await house.members.change(owner.viewer, member["id"], role_id=uuid4())
    with pytest.raises(NotFound):
        await house.members.change(owner.viewer, uuid4(), status="ACTIVE")


async def test_everybody_may_leave(house: House) -> None:
    owner = await house.signed_up()
    member = await house.joined(owner.viewer, "viewer")
    await house.members.remove(member.viewer, (await house.membership(member.viewer))["id"])
    with pytest.raises(Unauthenticated):
        await house.sessions.viewer_of(member.token)
    with pytest.raises(PermissionDenied):
        await house.signed_in(await house.email_of(member.viewer))


async def test_what_changes_about_members_and_roles_is_told_to_every_process(process: Process, house: House) -> None:
    owner = await house.signed_up()
    member = await house.joined(owner.viewer, "creator")
    membership = await house.membership(member.viewer)
    viewer_role = await house.role(owner.viewer.tenant_id, "viewer")
    heard = Revocations(process.valkey, process.works.settings).listen()
    assert await anext(heard) is None
    role = await house.members.upsert_role(owner.viewer, id=None, name="reader", scopes=["chats:read"])
    await house.members.upsert_role(owner.viewer, id=role["id"], name="reader", scopes=[])
    await house.members.change(owner.viewer, membership["id"], role_id=viewer_role["id"])
    await house.members.remove(owner.viewer, membership["id"])
    told = [await asyncio.wait_for(anext(heard), 5) for _ in range(3)]
    await heard.aclose()  # type: ignore[attr-defined] # an async generator
    tenant_id, user_id = owner.viewer.tenant_id, member.viewer.user_id
    assert told == [
        Revoked(kind="role", tenant_id=tenant_id, id=role["id"], reason="ROLE_CHANGED"),
        Revoked(kind="user", tenant_id=tenant_id, id=user_id, reason="MEMBER_CHANGED"),
        Revoked(kind="user", tenant_id=tenant_id, id=user_id, reason="MEMBER_REMOVED"),
    ]


async def test_a_tenant_defines_roles_within_the_rights_of_who_defines_them(house: House) -> None:
    owner = await house.signed_up()
    manager, creator = await house.joined(owner.viewer, "manager"), await house.joined(owner.viewer, "creator")
    stranger = await house.signed_up()
    strong = await house.members.upsert_role(owner.viewer, id=None, name=" strong ", scopes=["keys:admin", "keys:admin"])
    assert (strong["name"], strong["builtin"], strong["scopes"]) == ("strong", False, ["keys:admin"])
    for who, id_, name, scopes, refusal in (
        (creator, None, "x", [], PermissionDenied),
        (manager, None, "x", ["keys:admin"], PermissionDenied),
        (manager, strong["id"], "strong", [], PermissionDenied),
        (stranger, strong["id"], "x", [], NotFound),
        (owner, None, "x", ["chats:fly"], Invalid),
        (owner, None, "", [], Invalid),
        (owner, None, "strong", [], Conflict),
        (owner, None, "Owner", [], Conflict),
        (owner, creator.viewer.role_id, "creator", ["chats:read"], Conflict),
        (owner, creator.viewer.role_id, "other", ["chats:read"], Conflict),
    ):
        with pytest.raises(refusal):
            await house.members.upsert_role(who.viewer, id=id_, name=name, scopes=scopes)
    assert (await house.role(owner.viewer.tenant_id, "creator"))["scopes"] == list(BUILTIN["creator"])
    assert (await house.role(owner.viewer.tenant_id, "strong"))["scopes"] == ["keys:admin"]
    weak = await house.members.upsert_role(manager.viewer, id=None, name="weak", scopes=["chats:read"])
    assert (await house.members.upsert_role(manager.viewer, id=weak["id"], name="weaker", scopes=[]))["name"] == "weaker"

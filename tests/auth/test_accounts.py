"""Accounts are made once, guarded against guessing, and recovered by links that work once."""

import asyncio
from uuid import uuid4

import pytest

from auth.roles import BUILTIN, SCOPES
from db.statements import tenants
from errors import Conflict, Invalid, NotFound, PermissionDenied, RateLimited, Unauthenticated
from tests.auth.people import PASSWORD, Holder, House, new_email, open_house, place
from web.works import Process


async def count(house: House, table: str) -> int:
    async with house.system.reading() as scope:
        return int(str(await scope.value(f"SELECT count(*) FROM {table}")))


async def test_signing_up_makes_a_tenant_whose_owner_may_do_everything(house: House) -> None:
    opened = await house.signed_up(name="Ada", tenant_name="Ünïcode & Söhne GmbH")
    assert opened.viewer.scopes == frozenset(SCOPES)
    assert await house.sessions.viewer_of(opened.token) == opened.viewer
    (membership,) = await house.accounts.tenants_of(opened.viewer)
    assert membership["role_name"] == "owner"
    assert membership["tenant_name"] == "Ünïcode & Söhne GmbH"
    assert membership["tenant_slug"].startswith("unicode-sohne-gmbh")
    async with house.scopes.reading(opened.viewer.tenant_id) as scope:
        (key,) = await tenants.keys(scope, opened.viewer.tenant_id)
        roles = await scope.rows("SELECT name, builtin FROM penny.roles ORDER BY name")
    assert key["state"] == "ACTIVE"
    assert {row["name"] for row in roles} == set(BUILTIN)
    assert all(row["builtin"] for row in roles)


async def test_two_tenants_of_one_name_get_different_slugs(house: House) -> None:
    name = f"Twins {uuid4().hex[:12]}"
    slugs = [(await house.membership((await house.signed_up(tenant_name=name)).viewer))["tenant_slug"] for _ in range(2)]
    assert slugs[0] == name.lower().replace(" ", "-")
    assert slugs[1].startswith(slugs[0] + "-")


async def test_an_address_signs_up_once_whatever_its_case_and_a_refusal_leaves_nothing(house: House) -> None:
    email = new_email()
    await house.signed_up(email=f" {email.upper()} ")
    tables = ("directory.users", "penny.tenants", "directory.tenant_slugs", "directory.mails", "directory.user_tokens", "penny.sessions")
    before = [await count(house, table) for table in tables]
    with pytest.raises(Conflict):
        await house.signed_up(email=email)
    assert [await count(house, table) for table in tables] == before


async def test_of_two_that_sign_up_at_once_with_one_address_one_gets_it(house: House) -> None:
    email = new_email()
    results = await asyncio.gather(*(house.signed_up(email=email) for _ in range(3)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "Conflict", "OpenedSession"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", ""),
        ("email", "ada"),
        ("email", "ada@localhost"),
        ("email", "a b@example.org"),
        ("email", "ada@example.org, eve@example.org"),
        ("email", "ada@exam\0ple.org"),
        ("email", f"{'a' * 65}@example.org"),
        ("email", f"ada@{'a.' * 130}org"),
        ("password", "short"),
        ("password", "password123"),
        ("name", "  "),
        ("name", "a" * 101),
        ("name", "a\0b"),
        ("name", "half a character: \ud800"),
        ("tenant_name", "two\nlines"),
        ("invitation_token", "pni_nothing"),
        ("invitation_token", ""),
    ],
)
async def test_a_form_that_breaks_a_rule_is_refused(house: House, field: str, value: str) -> None:
    with pytest.raises(Invalid):
        await house.signed_up(**{field: value})


async def test_an_address_is_confirmed_by_a_link_that_works_once(house: House) -> None:
    email = new_email()
    opened = await house.signed_up(email=email)
    token = await house.token_for(email, "verify")
    assert await house.accounts.email_verify(token) == opened.viewer.user_id
    async with house.scopes.reading(opened.viewer.tenant_id) as scope:
        assert await scope.value("SELECT email_verified_at FROM directory.users WHERE id = $1", opened.viewer.user_id) == house.watch()
    for bad in (token, "pni_nothing", "\0"):
        with pytest.raises(Invalid):
            await house.accounts.email_verify(bad)


async def test_a_link_that_has_expired_or_is_for_something_else_does_not_work(house: House) -> None:
    email = new_email()
    await house.signed_up(email=email)
    verify = await house.token_for(email, "verify")
    with pytest.raises(Invalid):
        await house.accounts.password_reset(verify, "another long password")
    house.watch.pass_(hours=49)
    with pytest.raises(Invalid):
        await house.accounts.email_verify(verify)


async def test_an_unknown_account_and_a_wrong_password_are_the_same_answer(house: House) -> None:
    email = new_email()
    await house.signed_up(email=email)
    answers = set()
    for given in ({"email": email, "password": "wrong password"}, {"email": new_email()}, {"email": "no address\0"}):
        with pytest.raises(Invalid) as refused:
            await house.signed_in(**given)
        answers.add((refused.value.message, refused.value.path, refused.value.constraint))
    assert answers == {("E-mail or password is wrong.", (), "credentials")}
    await house.signed_in(email.upper())


async def test_guessing_at_one_account_is_stopped_even_for_the_right_password(process: Process) -> None:
    async with open_house(process, sign_in_account_attempts=3) as house:
        email, stranger = new_email(), new_email()
        await house.signed_up(email=email)
        for account in (email, stranger):
            for _ in range(3):
                with pytest.raises(Invalid):
                    await house.signed_in(account, "wrong password")
            with pytest.raises(RateLimited) as refused:
                await house.signed_in(account)
            assert refused.value.bucket == "sign_in_account"


async def test_guessing_from_one_address_is_stopped_whatever_the_account(process: Process) -> None:
    async with open_house(process, sign_in_address_attempts=3) as house:
        here = place()
        for _ in range(3):
            with pytest.raises(Invalid):
                await house.signed_in(new_email(), **here)
        with pytest.raises(RateLimited) as refused:
            await house.signed_in(new_email(), **here)
        assert refused.value.bucket == "sign_in_address"


async def test_signing_in_forgets_what_was_mistyped_before(process: Process) -> None:
    async with open_house(process, sign_in_account_attempts=3) as house:
        email, here = new_email(), place()
        await house.signed_up(email=email)
        for _ in range(3):
            for _ in range(2):
                with pytest.raises(Invalid):
                    await house.signed_in(email, "wrong password", **here)
            await house.signed_in(email, **here)


async def test_signing_in_enters_the_tenant_of_the_slug_or_the_one_last_used(house: House) -> None:
    email = new_email()
    first = await house.signed_up(email=email)
    host = await house.signed_up()
    house.watch.pass_(minutes=1)
    creator = await house.role(host.viewer.tenant_id, "creator")
    await house.invitations.invite(host.viewer, email=email, role_id=creator["id"])
    await house.invitations.accept(first.viewer, await house.token_for(email, "invitation"))
    slugs = {row["tenant_id"]: row["tenant_slug"] for row in await house.accounts.tenants_of(first.viewer)}
    for tenant_id, slug in slugs.items():
        house.watch.pass_(minutes=1)
        assert (await house.signed_in(email, tenant_slug=slug)).viewer.tenant_id == tenant_id
        assert (await house.signed_in(email)).viewer.tenant_id == tenant_id
    assert (await house.signed_in(email, tenant_slug="of-nobody")).viewer.tenant_id == tenant_id


async def test_switching_to_another_tenant_ends_the_session_that_was_left(house: House) -> None:
    email = new_email()
    first = await house.signed_up(email=email)
    host, stranger = await house.signed_up(), await house.signed_up()
    creator = await house.role(host.viewer.tenant_id, "creator")
    await house.invitations.invite(host.viewer, email=email, role_id=creator["id"])
    await house.invitations.accept(first.viewer, await house.token_for(email, "invitation"))
    with pytest.raises(NotFound):
        await house.accounts.tenant_switch(first.viewer, stranger.viewer.tenant_id, **place())
    assert await house.sessions.viewer_of(first.token) == first.viewer
    second = await house.accounts.tenant_switch(first.viewer, host.viewer.tenant_id, **place())
    assert (second.viewer.tenant_id, second.viewer.scopes) == (host.viewer.tenant_id, frozenset(BUILTIN["creator"]))
    with pytest.raises(Unauthenticated) as ended:
        await house.sessions.viewer_of(first.token)
    assert ended.value.reason == "SESSION_TERMINATED"


async def test_signing_out_ends_this_session_only(house: House) -> None:
    email = new_email()
    one = await house.signed_up(email=email)
    other = await house.signed_in(email)
    await house.accounts.sign_out(one.viewer)
    with pytest.raises(Unauthenticated):
        await house.sessions.viewer_of(one.token)
    assert await house.sessions.viewer_of(other.token) == other.viewer


async def test_changing_the_password_ends_the_other_sessions_and_tells_the_owner(house: House) -> None:
    email = new_email()
    one = await house.signed_up(email=email)
    other = await house.signed_in(email)
    with pytest.raises(Invalid):
        await house.accounts.password_change(one.viewer, "wrong password", "another long password")
    with pytest.raises(Invalid):
        await house.accounts.password_change(one.viewer, PASSWORD, "short")
    assert await house.sessions.viewer_of(other.token) == other.viewer
    await house.accounts.password_change(one.viewer, PASSWORD, "another long password")
    assert await house.sessions.viewer_of(one.token) == one.viewer
    with pytest.raises(Unauthenticated):
        await house.sessions.viewer_of(other.token)
    with pytest.raises(Invalid):
        await house.signed_in(email)
    await house.signed_in(email, "another long password")
    assert "password" in (await house.mails_to(email))[0]


async def test_a_forgotten_password_is_replaced_by_a_link_that_works_once(house: House) -> None:
    email = new_email()
    opened = await house.signed_up(email=email)
    await house.accounts.password_reset_request(email.upper(), "192.0.2.1")
    older = await house.token_for(email, "reset")
    await house.accounts.password_reset_request(email, "192.0.2.1")
    token = await house.token_for(email, "reset")
    with pytest.raises(Invalid):
        await house.accounts.password_reset(older, "another long password")
    with pytest.raises(Invalid):
        await house.accounts.password_reset(token, "short")
    assert await house.sessions.viewer_of(opened.token) == opened.viewer
    await house.accounts.password_reset(token, "another long password")
    with pytest.raises(Unauthenticated):
        await house.sessions.viewer_of(opened.token)
    await house.signed_in(email, "another long password")
    with pytest.raises(Invalid):
        await house.accounts.password_reset(token, "yet another password")


async def test_a_reset_for_a_stranger_says_the_same_and_mails_nobody(process: Process) -> None:
    async with open_house(process, sign_in_account_attempts=2) as house:
        before = await count(house, "directory.mails")
        stranger = new_email()
        for email in (stranger, stranger, "no address\0"):
            await house.accounts.password_reset_request(email, place()["address"])
        await house.background.idle()
        assert await count(house, "directory.mails") == before
        with pytest.raises(RateLimited):
            await house.accounts.password_reset_request(stranger, place()["address"])


async def test_a_reset_ends_the_sessions_of_every_tenant(house: House) -> None:
    email = new_email()
    first = await house.signed_up(email=email)
    host = await house.signed_up()
    await house.invitations.invite(host.viewer, email=email, role_id=(await house.role(host.viewer.tenant_id, "viewer"))["id"])
    await house.invitations.accept(first.viewer, await house.token_for(email, "invitation"))
    slugs = [row["tenant_slug"] for row in await house.accounts.tenants_of(first.viewer)]
    tokens = [first.token, *[(await house.signed_in(email, tenant_slug=slug)).token for slug in slugs]]
    await house.accounts.password_reset_request(email, "192.0.2.2")
    await house.accounts.password_reset(await house.token_for(email, "reset"), "another long password")
    for token in tokens:
        with pytest.raises(Unauthenticated):
            await house.sessions.viewer_of(token)
    assert await house.sessions.viewer_of(host.token) == host.viewer


async def test_a_reset_that_is_cut_off_has_ended_the_sessions_and_can_be_tried_again(house: House, holder: Holder) -> None:
    email = new_email()
    opened = await house.signed_up(email=email)
    await house.accounts.password_reset_request(email, "192.0.2.3")
    token = await house.token_for(email, "reset")
    async with holder.holding("SELECT id FROM directory.users WHERE email = $1 FOR UPDATE", email):
        reset = asyncio.create_task(house.accounts.password_reset(token, "another long password"))
        await holder.until_waiting(1)
        reset.cancel()
        await asyncio.gather(reset, return_exceptions=True)
    with pytest.raises(Unauthenticated):
        await house.sessions.viewer_of(opened.token)
    await house.signed_in(email)
    await house.accounts.password_reset(token, "another long password")
    await house.signed_in(email, "another long password")


async def test_a_session_opened_while_the_password_is_reset_ends_too(house: House, holder: Holder) -> None:
    email = new_email()
    await house.signed_up(email=email)
    await house.accounts.password_reset_request(email, "192.0.2.4")
    token = await house.token_for(email, "reset")
    async with holder.holding("SELECT id FROM directory.users WHERE email = $1 FOR UPDATE", email):
        reset = asyncio.create_task(house.accounts.password_reset(token, "another long password"))
        await holder.until_waiting(1)
        late = await house.signed_in(email)
    await reset
    with pytest.raises(Unauthenticated):
        await house.sessions.viewer_of(late.token)


async def test_a_profile_changes_only_where_something_is_given(house: House) -> None:
    viewer = (await house.signed_up(name="Ada")).viewer
    row = await house.accounts.profile_update(viewer, locale="de-CH", avatar_url="https://example.org/ada.png")
    assert (row["name"], row["locale"], row["avatar_url"]) == ("Ada", "de-CH", "https://example.org/ada.png")
    row = await house.accounts.profile_update(viewer, name="Ada L.", locale="")
    assert (row["name"], row["locale"], row["avatar_url"]) == ("Ada L.", None, "https://example.org/ada.png")
    assert "password_hash" not in dict(row)
    for wrong in (
        {"name": ""},
        {"locale": "not a locale"},
        {"avatar_url": "javascript:alert(1)"},
        {"avatar_url": "https://a:b@example.org"},
    ):
        with pytest.raises(Invalid):
            await house.accounts.profile_update(viewer, **wrong)
    assert (await house.accounts.profile_update(viewer))["name"] == "Ada L."


async def test_an_api_key_has_no_say_in_its_owners_account(house: House) -> None:
    owner = (await house.signed_up()).viewer
    _, text = await house.api_keys.create(owner, name="all", scopes=list(SCOPES), expires_at=None)
    key = await house.api_keys.viewer_of(text)
    for refused in (
        house.accounts.password_change(key, PASSWORD, "another long password"),
        house.accounts.profile_update(key, name="Eve"),
        house.accounts.tenant_switch(key, key.tenant_id, **place()),
        house.accounts.sign_out(key),
        house.invitations.accept(key, "pni_nothing"),
    ):
        with pytest.raises(PermissionDenied):
            await refused


async def test_a_hash_made_with_older_parameters_is_made_anew_at_the_next_sign_in(process: Process) -> None:
    email = new_email()
    async with open_house(process, password_time_cost=2) as older:
        await older.signed_up(email=email)
    async with open_house(process) as house:
        viewer = (await house.signed_in(email)).viewer
        async with house.system.reading() as scope:
            hashed = str(await scope.value("SELECT password_hash FROM directory.users WHERE id = $1", viewer.user_id))
        assert ",t=1," in hashed
        await house.signed_in(email)

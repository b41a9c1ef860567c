"""A credential that this process knows costs nothing to check again, and is forgotten within a second of its end elsewhere."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from auth.viewer_cache import ViewerCache
from auth.viewers import Viewer
from events.revocations import Revocations, Revoked
from tests.auth.people import House, Watch, open_house
from tests.loaders.counting import counted
from web.works import Process


@pytest.fixture
def watch() -> Watch:
    return Watch()


def viewer(tenant_id: UUID | None = None, **given: Any) -> Viewer:
    return Viewer(
        **{"tenant_id": tenant_id or uuid4(), "user_id": uuid4(), "role_id": uuid4(), "scopes": frozenset(), "session_id": uuid4(), **given}
    )


def test_the_cache_keeps_the_latest_and_not_more_than_it_should(watch: Watch) -> None:
    cache, viewers = ViewerCache(name="sessions", seconds=60, now=watch, most=3), [viewer() for _ in range(5)]
    for number, one in enumerate(viewers):
        cache.keep(bytes([number]), one, generation=cache.generation)
    assert [cache.find(bytes([number])) for number in range(5)] == [None, None, *viewers[2:]]
    assert set(cache._of_tenant) == {one.tenant_id for one in viewers[2:]}


def test_a_viewer_is_kept_for_its_time_and_never_beyond_its_end(watch: Watch) -> None:
    cache = ViewerCache(name="sessions", seconds=60, now=watch)
    cache.keep(b"long", viewer(expires_at=watch() + timedelta(days=1)), generation=0)
    cache.keep(b"short", viewer(expires_at=watch() + timedelta(seconds=5)), generation=0)
    watch.pass_(seconds=5)
    assert cache.find(b"long")
    assert cache.find(b"short") is None
    watch.pass_(seconds=55)
    assert cache.find(b"long") is None
    assert not cache._of_tenant


def test_forgetting_drops_whom_it_is_about_and_nobody_else(watch: Watch) -> None:
    cache, tenant_id = ViewerCache(name="sessions", seconds=60, now=watch), uuid4()
    one, other, stranger = viewer(tenant_id), viewer(tenant_id), viewer()
    for key, who in ((b"one", one), (b"other", other), (b"stranger", stranger)):
        cache.keep(key, who, generation=0)
    cache.forget(Revoked(kind="user", tenant_id=tenant_id, id=one.user_id, reason="test"))
    assert [cache.find(key) for key in (b"one", b"other", b"stranger")] == [None, other, stranger]
    cache.keep(b"one", one, generation=0)
    assert cache.find(b"one") is None, "it was found before something was forgotten"
    cache.forget(Revoked(kind="tenant", tenant_id=tenant_id, id=tenant_id, reason="test"))
    assert [cache.find(key) for key in (b"other", b"stranger")] == [None, stranger]
    cache.forget(None)
    assert cache.find(b"stranger") is None


async def credentials_of(house: House) -> list[tuple[Any, str, Revoked]]:
    """A session and an API key: who checks them, their texts, and how they are ended."""
    opened = await house.signed_up()
    row, key = await house.api_keys.create(opened.viewer, name="key", scopes=[], expires_at=None)
    tenant_id, session_id = opened.viewer.tenant_id, opened.viewer.session_id
    assert session_id is not None
    return [
        (house.sessions, opened.token, Revoked(kind="session", tenant_id=tenant_id, id=session_id, reason="test")),
        (house.api_keys, key, Revoked(kind="api_key", tenant_id=tenant_id, id=row["id"], reason="test")),
    ]


async def test_a_credential_that_is_known_costs_no_round_trip(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_house(process, session_cache_seconds=600) as house:
        for checks, text, _ in await credentials_of(house):
            assert checks.known(text) is None
            first = await checks.viewer_of(text)
            await house.background.idle()
            monkeypatch.setattr(process.valkey, "execute_command", None)
            async with counted(house.scopes, house.system) as sent:
                assert checks.known(text) is first
                assert await checks.viewer_of(text) is first
            monkeypatch.undo()
            assert sent.texts == []


async def test_a_credential_that_ends_in_another_process_is_unknown_here_at_once(process: Process) -> None:
    async with open_house(process, session_cache_seconds=600) as here:
        listening = asyncio.Event()

        async def hear() -> None:
            async for revoked in Revocations(process.valkey, process.works.settings).listen():
                here.sessions.forget(revoked)
                here.api_keys.forget(revoked)
                heard.set()
                listening.set()

        heard, hearing = asyncio.Event(), asyncio.create_task(hear())
        await asyncio.wait_for(listening.wait(), 10)
        for checks, text, end in await credentials_of(here):
            await checks.viewer_of(text)
            heard.clear()
            await process.revocations.publish(end)
            await asyncio.wait_for(heard.wait(), 10)
            assert checks.known(text) is None
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)

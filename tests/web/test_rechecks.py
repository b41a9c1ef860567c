"""What was revoked is looked at again at once, each credential once, and no tenant makes another one wait."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from auth.sessions import Sessions
from auth.viewers import Viewer
from events.revocations import Revoked
from schema.schema import build_schema
from settings import Settings
from tests.api.people import done
from tests.running import Api
from web.callers import viewer_of_token
from web.closings import FORBIDDEN, UNAUTHORIZED, Closing
from web.credentials import Credential
from web.door import Door
from web.rechecks import Rechecks
from web.works import Process


class Open:
    """A connection that notes why it was closed."""

    def __init__(self, credential: Credential) -> None:
        self.credential = credential
        self.closed: asyncio.Future[Closing] = asyncio.get_running_loop().create_future()

    def end(self, closing: Closing) -> None:
        if not self.closed.done():
            self.closed.set_result(closing)


class LookUps:
    """Which tokens are looked up, and in which order; those that are `held` get no answer yet."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.held: dict[str, asyncio.Event] = {}
        self.begun = asyncio.Event()


@pytest.fixture
def look_ups(monkeypatch: pytest.MonkeyPatch) -> LookUps:
    noted = LookUps()
    viewer_of = Sessions.viewer_of

    async def noting(sessions: Sessions, token: str) -> Viewer:
        noted.tokens.append(token)
        noted.begun.set()
        if token in noted.held:
            await noted.held[token].wait()
        return await viewer_of(sessions, token)

    monkeypatch.setattr(Sessions, "viewer_of", noting)
    return noted


@pytest.fixture
def door(settings: Settings, process: Process) -> Door:
    made = Door(settings, build_schema(settings))
    made.opened = process
    return made


async def opened(door: Door, api: Api, count: int = 1) -> tuple[Viewer, list[Open]]:
    """Connections of one token."""
    assert api.token is not None
    viewer = await viewer_of_token(door.process.works, api.token)
    return viewer, [Open(Credential(door, api.token, viewer)) for _ in range(count)]


def about(viewer: Viewer, kind: Any = "tenant") -> Revoked:
    told = viewer.tenant_id if kind == "tenant" else viewer.session_id or uuid4()
    return Revoked(kind=kind, tenant_id=viewer.tenant_id, id=told, reason="test")


async def ended(door: Door, viewer: Viewer) -> Revoked:
    """End a session, and say what is told of it."""
    await door.process.works.sessions.end(viewer, reason="SIGNED_OUT")
    return about(viewer, "session")


async def test_a_token_is_looked_up_once_for_all_its_connections(door: Door, api: Api, look_ups: LookUps) -> None:
    viewer, connections = await opened(door, await api.sign_up(), 20)
    revoked = await ended(door, viewer)
    look_ups.tokens.clear()
    rechecks = Rechecks(door)
    rechecks.begin(revoked, connections)
    await rechecks.idle()
    assert [one.closed.result().code for one in connections] == [UNAUTHORIZED] * 20
    assert len(look_ups.tokens) == 1


async def test_what_one_tenant_makes_be_looked_up_delays_no_other(door: Door, api: Api, look_ups: LookUps) -> None:
    ada, eve = await api.sign_up(), await api.sign_up()
    hers, theirs = await opened(door, ada), [await opened(door, eve.as_(token)) for token in [eve.token, *await tokens(door, eve, 5)]]
    rechecks, look_ups.begun = Rechecks(door), asyncio.Event()
    for _, (one,) in theirs:
        assert one.credential.token is not None
        look_ups.held[one.credential.token] = asyncio.Event()
    rechecks.begin(about(theirs[0][0]), [one for _, (one,) in theirs])
    await asyncio.wait_for(look_ups.begun.wait(), 10)
    rechecks.begin(await ended(door, hers[0]), hers[1])
    assert (await asyncio.wait_for(hers[1][0].closed, 10)).code == UNAUTHORIZED
    assert len(set(look_ups.tokens) & set(look_ups.held)) >= 1
    await rechecks.close()


async def tokens(door: Door, api: Api, count: int) -> list[str]:
    """More sessions of the same person."""
    viewer, _ = await opened(door, api)
    place: Any = {"transport": "BEARER", "address": None, "user_agent": None}
    return [(await door.process.works.sessions.open(viewer.user_id, viewer.tenant_id, **place)).token for _ in range(count)]


async def test_what_was_revoked_last_is_looked_at_first(door: Door, api: Api, look_ups: LookUps) -> None:
    ada = await api.sign_up()
    several = [await opened(door, ada.as_(token)) for token in await tokens(door, ada, 4)]
    connections = [one for _, (one,) in several]
    first = connections[-1].credential.token
    assert first is not None
    look_ups.held[first] = asyncio.Event()
    look_ups.tokens.clear()
    look_ups.begun.clear()
    rechecks = Rechecks(door)
    rechecks.begin(about(several[0][0]), connections)
    await asyncio.wait_for(look_ups.begun.wait(), 10)
    rechecks.begin(await ended(door, several[0][0]), connections)
    look_ups.held[first].set()
    await rechecks.idle()
    assert look_ups.tokens == [one.credential.token for one in (connections[-1], connections[0], *connections[2:0:-1])]
    assert connections[0].closed.result().code == UNAUTHORIZED
    assert not any(one.closed.done() for one in connections[1:])


async def test_a_connection_that_a_revocation_overtook_ends(door: Door, api: Api, look_ups: LookUps) -> None:
    viewer, (late, other) = await opened(door, await api.sign_up(), 2)
    look_ups.tokens.clear()
    rechecks = Rechecks(door)
    rechecks.join(other)
    assert look_ups.tokens == [], "what is known is not looked up"
    await ended(door, viewer)
    rechecks.join(late)
    await rechecks.idle()
    assert late.closed.result().code == UNAUTHORIZED


async def test_connections_end_when_their_documents_must_be_published_ones(door: Door, api: Api) -> None:
    viewer, (hers,) = await opened(door, ada := await api.sign_up())
    _, (key,) = await opened(door, ada.as_((await done(ada, "apiKeyCreate", "secretOnce", name="x", scopes=["chats:read"]))["secretOnce"]))
    await done(ada, "tenantUpdate", settings={"trustedDocumentsOnly": True})
    works = door.process.works
    works.sessions.forget(about(viewer))
    works.api_keys.forget(about(viewer))
    rechecks = Rechecks(door)
    rechecks.begin(about(viewer), [hers, key])
    await rechecks.idle()
    assert key.closed.result().code == FORBIDDEN
    assert not hers.closed.done(), "whoever administers the API sends what they like"


async def test_only_new_settings_of_a_tenant_are_told(door: Door, api: Api) -> None:
    ada = await api.sign_up()
    viewer, _ = await opened(door, ada)
    heard: list[Revoked] = []
    listening = aiter(door.process.revocations.listen())
    assert await anext(listening) is None
    await done(ada, "tenantUpdate", name="Other")
    await done(ada, "tenantUpdate", settings={"automaticDocuments": False})
    await done(ada, "tenantUpdate", settings={"automaticDocuments": True})
    await door.process.revocations.publish(last := about(viewer, "session"))
    async with asyncio.timeout(10):
        async for revoked in listening:
            if revoked == last:
                break
            if revoked is not None and revoked.tenant_id == viewer.tenant_id:
                heard.append(revoked)
    assert [one.kind for one in heard] == ["tenant"]

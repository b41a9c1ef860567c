"""Follows the facts of tenants: one reader a tenant and process, however many followers, and no fact lost or told twice.

PostgreSQL is the log. A feed reads what is settled after each hint, and every second or so without one; followers who come late, read
slowly or come back with a cursor read pages of their own until they have caught up.
"""

import asyncio
import contextlib
import contextvars
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import structlog

from db.scopes import Reading, Row, SystemScopes, TenantScopes
from db.statements import assistants, chats, facts
from errors import Unavailable
from events.entries import Entry
from events.facts import AssistantAudience, AssistantFact, Audience, decoded
from events.hints import Hints
from events.tails import Tails
from events.versions import Versions
from settings import Settings

log = structlog.get_logger()

PAGE: Final = 500
FIRST_PAUSE: Final = 0.002
LONGEST_PAUSE: Final = 0.25
FRESH_SECONDS: Final = 2.0
"""How old the rows may be by which somebody may see a fact; then it is read again."""
OUTAGE_PAUSE: Final = 0.5
NIL: Final = UUID(int=0)
POLICY: Final = frozenset(Audience.__struct_fields__)
POLICY_OF_ASSISTANTS: Final = frozenset(AssistantAudience.__struct_fields__)


class Place(NamedTuple):
    """Where a fact stands among all."""

    era: int
    xact: int
    id: UUID


class Happened:
    """A fact on its way to followers, with the row that policies look at, read when the fact was: of its chat, or of its assistant.

    `fact` is None for a type that only a newer version knows. `page` is what it was read with, for what followers share.
    """

    __slots__ = ("assistant", "at", "chat", "chat_id", "fact", "page", "place", "row")

    def __init__(self, row: Row, page: "Page") -> None:
        self.row = row
        self.place = Place(row["era"], row["xact"], row["id"])
        self.at: datetime = row["at"]
        self.chat_id: UUID | None = row["chat_id"]
        self.fact = decoded(row["details"])
        self.chat: Row | None = None
        self.assistant: Row | None = None
        self.page = page


class Page:
    """Settled facts that were read at once. `whole` says that nothing settled follows, `unsettled` that something else does.

    Nothing will ever appear before the `horizon`. `made` keeps what followers make of the page, so that it is made once for all.
    """

    __slots__ = ("happened", "horizon", "made", "read_at", "unsettled", "whole")

    def __init__(self, rows: Sequence[Row]) -> None:
        settled = [row for row in rows if row["settled"]]
        self.happened = [Happened(row, self) for row in settled]
        self.horizon = Place(rows[0]["horizon_era"], rows[0]["horizon_xact"], NIL)
        self.unsettled = any(row["settled"] is False for row in rows)
        self.whole = len(settled) < PAGE
        self.made: dict[Any, Any] = {}
        self.read_at = asyncio.get_running_loop().time()

    @property
    def is_fresh(self) -> bool:
        """Whether what was read with it may still decide who sees it."""
        return asyncio.get_running_loop().time() - self.read_at < FRESH_SECONDS


async def read_page(scopes: TenantScopes, tenant_id: UUID, place: Place) -> Page:
    """Read what follows a place."""
    async with scopes.reading(tenant_id) as scope:
        page = Page(await facts.after(scope, tenant_id, place, PAGE))
        await _judge_chats(scope, tenant_id, page)
        await _judge_assistants(scope, tenant_id, page)
    return page


async def _judge_chats(scope: Reading, tenant_id: UUID, page: Page) -> None:
    """Read by what to judge who sees the chats of a page."""
    if ids := {one.chat_id for one in page.happened if one.chat_id is not None}:
        found = {row["id"]: row for row in await chats.by_ids(scope, tenant_id, list(ids), POLICY)}
        for one in page.happened:
            one.chat = found.get(one.chat_id)


async def _judge_assistants(scope: Reading, tenant_id: UUID, page: Page) -> None:
    """Read by what to judge who sees the assistants of a page."""
    about = {one: one.fact.assistant_id for one in page.happened if isinstance(one.fact, AssistantFact)}
    if about:
        rows = await assistants.by_ids(scope, tenant_id, list(set(about.values())), POLICY_OF_ASSISTANTS)
        found = {row["id"]: {**row, "grants": msgspec.json.decode(row["grants"])} for row in rows}
        for one, assistant_id in about.items():
            one.assistant = found.get(assistant_id)


Concerns = Callable[[Happened], bool]
"""Says whether a follower wants a fact, and may see it by the rows that were read with it."""


class Follower:
    """One reader's place in a tenant's facts. What concerns it gathers here up to a limit; beyond it, it reads for itself."""

    def __init__(self, feeds: "Feeds", tenant_id: UUID, place: Place, concerns: Concerns) -> None:
        self._feeds = feeds
        self._tenant_id = tenant_id
        self._place = place
        self._concerns = concerns
        self._waiting: deque[Happened] = deque()
        self._lags = True
        self._news = asyncio.Event()

    def hear(self, happened: Sequence[Happened]) -> None:
        """Take what a feed has read."""
        if self._lags:
            return
        try:
            concerning = [one for one in happened if self._concerns(one)]
        except Exception:  # noqa: BLE001 - whatever it is, the follower meets it as it reads for itself, and others do not
            self._lag()
            self._news.set()
            return
        if len(self._waiting) + len(concerning) > self._feeds.backlog:
            self._lag()
        else:
            self._waiting.extend(concerning)
        if concerning:
            self._news.set()

    def _lag(self) -> None:
        self._waiting.clear()
        self._lags = True

    async def told(self) -> AsyncGenerator[Happened, None]:
        """Yield every fact that concerns it, in their order, each once."""
        feed = self._feeds.join(self._tenant_id, self)
        try:
            while True:
                if self._lags:
                    async with contextlib.aclosing(self._missed(feed)) as missed:
                        async for happened in missed:
                            yield happened
                while self._waiting and not self._lags:
                    happened = self._waiting.popleft()
                    if not happened.page.is_fresh:
                        self._lag()
                    elif happened.place > self._place:
                        self._place = happened.place
                        yield happened
                if not self._lags:
                    self._news.clear()
                    await self._news.wait()
        finally:
            self._feeds.leave(self._tenant_id, self)

    async def _missed(self, feed: "Feed") -> AsyncGenerator[Happened, None]:
        """Read what was missed. What the feed reads meanwhile gathers, and what is then there twice is dropped by its place."""
        floor = await feed.horizon()
        self._lags = False
        while not self._lags:
            page = await feed.read(self._place)
            for happened in page.happened:
                if not page.is_fresh:
                    break
                self._place = happened.place
                if self._concerns(happened):
                    yield happened
            else:
                if page.whole:
                    self._place = max(self._place, page.horizon)
                    if page.horizon >= floor:
                        return
                    await asyncio.sleep(LONGEST_PAUSE)  # a server that is behind the one that the feed asks


class Feed:
    """The facts of one tenant from the moment on that somebody follows them here, read once for all followers."""

    def __init__(self, tenant_id: UUID, scopes: TenantScopes, versions: Versions) -> None:
        self._tenant_id = tenant_id
        self._scopes = scopes
        self._versions = versions
        self._renewing = asyncio.Lock()
        self._renewed: Place | None = None
        self._place: Place | None = None
        self._begun = asyncio.Event()
        self._woken = asyncio.Event()
        self.followers: dict[Follower, None] = {}
        # It serves all of them, so it has nothing of the first one's context.
        self.task = asyncio.create_task(self._follow(), name="feed", context=contextvars.Context())

    def heard(self, entries: Sequence[Entry]) -> None:  # noqa: ARG002 - a hint says nothing but that it came
        """Look for facts."""
        self._woken.set()

    def lagged(self) -> None:
        """Look for facts: hints may have been lost."""
        self._woken.set()

    async def horizon(self) -> Place:
        """Return the place that everything which followers will hear from now on lies behind."""
        await self._begun.wait()
        assert self._place is not None
        return self._place

    async def read(self, place: Place) -> Page:
        """Read what follows a place; waits while PostgreSQL is away. Whoever hears of it is given nothing older from here on."""
        while True:
            try:
                page = await read_page(self._scopes, self._tenant_id, place)
            except Unavailable:
                await asyncio.sleep(OUTAGE_PAUSE)
            else:
                await self._renew(page)
                return page

    async def _renew(self, page: Page) -> None:
        """Renew the tenant's version, once for all who read these facts: it may be read here before their writer comes to it, or dies."""
        if not page.happened or not self._versions.are_kept:
            return
        last = page.happened[-1].place
        async with self._renewing:
            if self._renewed is None or last > self._renewed:
                await self._versions.renew(self._tenant_id)
                self._renewed = last

    async def _follow(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                if self._place is None:
                    self._place = await now(self._scopes, self._tenant_id)
                    self._begun.set()
                await self._woken.wait()
                self._woken.clear()
                page = await self.read(self._place)
                self._hand_out(page)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                log.warning("feed_broke", error=type(error).__name__)
                await asyncio.sleep(OUTAGE_PAUSE)
                self._woken.set()
                continue
            if page.whole and page.unsettled:
                # Somebody's transaction is under way: none of ours takes long after its first write.
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            elif page.whole:
                pause = FIRST_PAUSE
                continue
            self._woken.set()

    def _hand_out(self, page: Page) -> None:
        if page.happened:
            self._place = page.happened[-1].place
            for follower in tuple(self.followers):
                follower.hear(page.happened)
        if page.whole and (self._place is None or page.horizon > self._place):
            self._place = page.horizon


class Feeds:
    """The feeds of all tenants that somebody follows here, and one look a second whether any of them has missed a hint."""

    def __init__(  # noqa: PLR0913 - where it reads, and what it tells
        self, *, scopes: TenantScopes, system: SystemScopes, tails: Tails, hints: Hints, versions: Versions, settings: Settings
    ) -> None:
        self._scopes = scopes
        self._system = system
        self._tails = tails
        self._hints = hints
        self._versions = versions
        self._poll_seconds = settings.event_poll_seconds
        self.backlog = settings.event_backlog
        self._feeds: dict[UUID, Feed] = {}
        self._looking: asyncio.Task[None] | None = None

    async def now(self, tenant_id: UUID) -> Place:
        """Return the place that all facts to come lie behind."""
        return await now(self._scopes, tenant_id)

    async def is_kept(self, tenant_id: UUID, place: Place, most: int) -> bool:
        """Whether at most so many facts lie behind a place, and it is not ahead of all there are, as after a restore."""
        async with self._scopes.reading(tenant_id) as scope:
            horizon = await facts.horizon(scope)
            behind = await facts.count_after(scope, tenant_id, place, most + 1)
        return place <= Place(horizon["era"], horizon["newest"], NIL) and behind <= most

    def follow(self, tenant_id: UUID, place: Place, concerns: Concerns) -> Follower:
        """Return a follower of all facts behind a place."""
        return Follower(self, tenant_id, place, concerns)

    def join(self, tenant_id: UUID, follower: Follower) -> Feed:
        """Let a follower hear what its tenant's feed reads from now on."""
        if (feed := self._feeds.get(tenant_id)) is None:
            feed = self._feeds[tenant_id] = Feed(tenant_id, self._scopes, self._versions)
            self._tails.follow(self._hints.key(tenant_id), feed)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="feeds", context=contextvars.Context())
        feed.followers[follower] = None
        return feed

    def leave(self, tenant_id: UUID, follower: Follower) -> None:
        """Forget a follower, and its tenant's feed with the last one."""
        feed = self._feeds[tenant_id]
        del feed.followers[follower]
        if not feed.followers:
            del self._feeds[tenant_id]
            self._tails.leave(self._hints.key(tenant_id), feed)
            feed.task.cancel()

    async def close(self) -> None:
        """Stop looking and reading."""
        tasks = [feed.task for feed in self._feeds.values()]
        if self._looking is not None:
            tasks.append(self._looking)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        """Ask for all tenants at once which of them have facts since the last look."""
        seen: tuple[int, int] | None = None
        while True:
            await asyncio.sleep(self._poll_seconds)
            if not self._feeds:
                continue
            try:
                async with self._system.reading() as scope:
                    horizon = await facts.horizon(scope)
                    if seen is None or seen[0] != horizon["era"]:
                        found = list(self._feeds)
                    else:
                        found = await facts.tenants_since(scope, *seen)
                seen = horizon["era"], horizon["xact"]
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look finds the same and more
                log.warning("feeds_wait", error=type(error).__name__)
                continue
            for tenant_id in found:
                if (feed := self._feeds.get(tenant_id)) is not None:
                    feed.lagged()


async def now(scopes: TenantScopes, tenant_id: UUID) -> Place:
    """Return the place that all facts to come lie behind."""
    async with scopes.reading(tenant_id) as scope:
        row = await facts.horizon(scope)
    return Place(row["era"], row["xact"], NIL)

"""Manifests in one process: what is judged is paid for in shares, others get their turn, and a part touches none of those before it."""

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from auth.viewers import Viewer
from db.transactions import Reading
from errors import RateLimited
from events.revocations import Revocations
from gateway.formats import digest_of
from gateway.judging import Judged
from gateway.manifests import READ_AT_ONCE, ManifestDraft, Manifests
from settings import Settings
from tests.api.manifests import flat
from tests.gateway.test_registry import signed_up
from web.works import Process


class Judge:
    """Finds every document well, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, text: str) -> Judged:
        self.asked.append(text)
        return Judged(None, "Q", 1)

    def known(self, sha256: bytes) -> Judged | None:
        return Judged(None, "Q", 1) if sha256 in map(digest_of, self.asked) else None

    def reads(self, text: str) -> bool:
        raise AssertionError("nothing is asked after")

    def appraise(self, *_: Any) -> Any:
        raise AssertionError("nothing is appraised")


@dataclasses.dataclass
class Desk:
    """Manifests of one viewer, who has so many points, each of which pays for a document."""

    manifests: Manifests
    judge: Judge
    viewer: Viewer
    points: int = 1_000_000
    paid: list[int] = dataclasses.field(default_factory=list)

    async def pay(self, count: int) -> None:
        if count > self.points:
            raise RateLimited("Too much.", bucket="principal", retry_after_ms=1)
        self.points -= count
        self.paid.append(count)

    async def publish(self, texts: Sequence[str], **more: Any) -> Any:
        draft = ManifestDraft(client="web", version="1", manifest=flat(*texts), **more)
        return await self.manifests.publish(self.viewer, draft, pay=self.pay)


@pytest.fixture
async def desk(process: Process, settings: Settings) -> Desk:
    return await opened(process, settings)


async def opened(process: Process, settings: Settings) -> Desk:
    judge = Judge()
    manifests = Manifests(
        scopes=process.works.scopes,
        revocations=Revocations(process.valkey, settings),
        registry=process.works.documents,
        judge=judge,
        settings=settings,
    )
    return Desk(manifests, judge, await signed_up(process))


def texts(count: int) -> list[str]:
    return [f"query Q{uuid7().hex} {{ __typename }}" for _ in range(count)]


async def test_each_document_is_paid_for_once_some_at_a_time(desk: Desk) -> None:
    many = texts(2 * READ_AT_ONCE + 1)
    assert (await desk.publish([*many, many[0]])).manifest["document_count"] == len(many)
    assert desk.paid == [READ_AT_ONCE, READ_AT_ONCE, 1]
    await desk.publish(many)
    assert desk.paid == [READ_AT_ONCE, READ_AT_ONCE, 1], "what the process knows is not paid for again"


async def test_where_the_points_do_not_last_nothing_is_written_and_the_same_again_goes_on(desk: Desk, process: Process) -> None:
    many = texts(READ_AT_ONCE + 5)
    desk.points = READ_AT_ONCE
    with pytest.raises(RateLimited):
        await desk.publish(many)
    assert len(desk.judge.asked) == READ_AT_ONCE, "what was not paid for is not read"
    async with process.works.scopes.reading(desk.viewer.tenant_id) as scope:
        tables = ("manifest_drafts", "draft_documents", "trusted_documents", "document_manifests")
        assert [await scope.rows(f"SELECT 1 FROM penny.{table}") for table in tables] == [[]] * 4
    desk.points = 5
    assert (await desk.publish(many)).manifest["document_count"] == len(many)
    assert sorted(desk.judge.asked) == sorted(many)


async def test_a_share_is_never_more_than_a_caller_can_pay(process: Process, settings: Settings) -> None:
    dear = dataclasses.replace(settings, graphql_max_cost=100, graphql_unknown_points=15)
    desk = await opened(process, dear)
    await desk.publish(texts(7))
    assert desk.paid == [3, 3, 1]


async def test_others_get_their_turn_between_two_documents(desk: Desk) -> None:
    turns: list[int] = []

    async def look() -> None:
        while True:
            turns.append(len(desk.judge.asked))
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    await desk.publish(texts(20))
    looking.cancel()
    assert set(range(21)) <= set(turns)


async def test_a_part_touches_none_of_those_before_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    moved, here = 0, asyncio.current_task()
    sent = Reading._alone

    async def noted(self: Reading, send: Any, query: Any, arguments: Sequence[object]) -> Any:
        nonlocal moved
        answer = await sent(self, send, query, arguments)
        if asyncio.current_task() is here:  # others in this process have statements of their own
            moved += sum(len(one) for one in [*arguments, answer] if isinstance(one, list))
        return answer

    monkeypatch.setattr(Reading, "_alone", noted)
    each = []
    for part in range(1, 13):
        moved = 0
        published = await desk.publish(texts(10), part=part, parts=12)
        each.append(moved)
    assert published.manifest["document_count"] == 120
    assert len(set(each[1:-1])) == 1
    assert each[-1] < 120, "nor does the last one read what it publishes"

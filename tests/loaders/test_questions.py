"""Questions: one read for all who ask at about the same time, in a scope of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.scopes import Reading, ScopeIsOpen, TenantScopes
from loaders.questions import Question

TENANT = uuid4()


class Driver:
    """Stands in for the driver's connection, for what a scope says when it begins and ends."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def execute(self, sql: str) -> str:
        self.said.append(sql)
        await asyncio.sleep(0)
        return sql

    def is_in_transaction(self) -> bool:
        return True


class UnconnectedScopes(TenantScopes):
    def __init__(self) -> None:
        self.driver = Driver()

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        yield self.driver


class Squares:
    """Answers with squares, nothing for odd numbers, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.fails = False

    async def __call__(self, scope: Reading, tenant_id: UUID, keys: list[int]) -> Mapping[int, int]:
        assert tenant_id == TENANT
        self.asked.append(keys)
        if self.fails:
            raise ConnectionError("away")
        return {key: key * key for key in keys if key % 2 == 0}


@pytest.fixture
def squares() -> Squares:
    return Squares()


@pytest.fixture
def scopes() -> UnconnectedScopes:
    return UnconnectedScopes()


async def test_siblings_share_one_read_and_each_gets_its_own_answer(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT)
    assert await asyncio.gather(*(question.load(key) for key in (2, 3, 4, 2))) == [4, None, 16, 4]
    assert squares.asked == [[2, 3, 4]]
    assert len([sql for sql in scopes.driver.said if sql.startswith("BEGIN READ ONLY")]) == 1


async def test_siblings_that_come_some_turns_later_get_in_too(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT)

    async def deep(key: int) -> int | None:
        # As deep as a field below a list: each level is a task of its own.
        return await question.load(key) if key % 10 == 0 else await asyncio.create_task(deep(key - 2))

    assert await asyncio.gather(*(deep(key) for key in (10, 22, 34))) == [100, 400, 900]
    assert squares.asked == [[10, 20, 30]]


async def test_an_answer_is_kept_for_the_operation(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT)
    assert [await question.load(2), await question.load(2), await question.load(3), await question.load(3)] == [4, 4, None, None]
    assert squares.asked == [[2], [3]]


async def test_a_batch_has_a_largest_size(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT, max_batch=2)
    assert await asyncio.gather(*(question.load(key) for key in (2, 4, 6, 8, 10))) == [4, 16, 36, 64, 100]
    assert squares.asked == [[2, 4], [6, 8], [10]]


async def test_a_failure_reaches_all_who_asked_and_is_not_kept(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT)
    squares.fails = True
    answers = await asyncio.gather(question.load(2), question.load(4), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ConnectionError, ConnectionError]
    assert "ROLLBACK" in scopes.driver.said
    squares.fails = False
    assert await question.load(2) == 4


async def test_a_question_asked_inside_an_open_scope_opens_its_own(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT)
    async with scopes.reading(TENANT):
        assert await question.load(2) == 4
        # The scope that was open is still known to be open.
        with pytest.raises(ScopeIsOpen):
            async with scopes.reading(TENANT):
                pass


async def test_who_gives_up_does_not_take_the_answer_from_the_others(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT)
    impatient = asyncio.create_task(question.load(2))
    patient = asyncio.create_task(question.load(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == 4
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_a_failure_that_nobody_waits_for_stays_quiet(
    squares: Squares, scopes: UnconnectedScopes, caplog: pytest.LogCaptureFixture
) -> None:
    question = Question(squares, scopes, TENANT)
    squares.fails = True
    waiting = asyncio.create_task(question.load(2))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    # Asked again, the key is in the same read or, when that is over, in a new one: either way this waits until it failed.
    with pytest.raises(ConnectionError):
        await question.load(2)
    assert not caplog.records

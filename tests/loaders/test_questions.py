"""Questions: one read for all who ask at about the same time, in a scope of its own."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.scopes import Reading, ScopeIsOpen, TenantScopes
from db.statements.projections import Columns
from loaders.questions import Question

TENANT = uuid4()


class Driver:
    """Stands in for the driver's connection and the pool that holds it, for what a scope says when it begins and ends."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.spoken_to = asyncio.Event()
        self.lingers: str | None = None
        self.began = 0.0

    async def execute(self, sql: str) -> str:
        self.said.append(sql)
        self.spoken_to.set()
        await asyncio.sleep(0)
        return sql

    def is_in_transaction(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def terminate(self) -> None:
        self.said.append("terminated")

    def take(self, begin: str) -> "Driver":
        self.lingers = None
        return self

    def release(self, connection: "Driver") -> None:
        assert connection is self


class UnconnectedScopes(TenantScopes):
    def __init__(self) -> None:
        self.driver = Driver()
        pool: Any = self.driver
        super().__init__(pool, acquire_seconds=1)


class Squares:
    """Answers with squares, nothing for odd numbers, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.columns: list[Columns | None] = []
        self.fails = False

    async def __call__(self, scope: Reading, tenant_id: UUID, keys: list[int], columns: Columns | None = None) -> Mapping[int, int]:
        assert tenant_id == TENANT
        self.asked.append(keys)
        self.columns.append(columns)
        if self.fails:
            raise LookupError("away")
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
    assert [type(answer) for answer in answers] == [LookupError, LookupError]
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


async def test_when_the_one_who_reads_gives_up_the_next_reads_for_all(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT)
    reading, *others = (asyncio.create_task(question.load(key)) for key in (2, 2, 4))
    await scopes.driver.spoken_to.wait()
    reading.cancel()
    assert await asyncio.gather(*others) == [4, 16]
    assert await question.load(4) == 16
    assert len([sql for sql in scopes.driver.said if sql.startswith("BEGIN READ ONLY")]) == 2
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_who_asks_after_all_have_given_up_is_answered(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT)
    asking = [asyncio.create_task(question.load(2)) for _ in range(2)]
    await asyncio.sleep(0)
    for one in asking:
        one.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    assert await asyncio.wait_for(question.load(2), 5) == 4


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
    with pytest.raises(LookupError):
        await question.load(2)
    assert not caplog.records


async def test_many_keys_are_answered_in_their_order(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT)
    assert await question.load_many([4, None, 3, 2, 4]) == [16, None, None, 4, 16]
    assert await question.load_many([]) == []
    assert await question.load_many([None]) == [None]
    assert squares.asked == [[4, 3, 2]]


async def test_those_who_ask_for_one_and_for_many_share_reads_and_answers(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT)
    answers = await asyncio.gather(question.load(2), question.load_many([2, 4]), question.load_many([6, 4]), question.load(8))
    assert tuple(answers) == (4, [4, 16], [36, 16], 64)
    assert await question.load_many([8, 10, 2]) == [64, 100, 4]
    assert squares.asked == [[2, 4, 6, 8], [10]]


async def test_keys_of_a_read_under_way_are_not_read_again(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT)
    first = asyncio.create_task(question.load_many([2, 4]))
    await scopes.driver.spoken_to.wait()
    assert await question.load_many([4, 6]) == [16, 36]
    assert await first == [4, 16]
    assert squares.asked == [[2, 4], [6]]


async def test_many_keys_keep_to_the_largest_size_of_a_batch(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT, max_batch=2)
    one, other = await asyncio.gather(question.load_many([2, 4, 6]), question.load_many([8, 2, 10]))
    assert (one, other) == ([4, 16, 36], [64, 4, 100])
    assert squares.asked == [[2, 4], [6, 8], [10]]


async def test_a_failure_reaches_all_who_asked_for_many(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT, max_batch=2)
    squares.fails = True
    answers = await asyncio.gather(question.load_many([2, 4, 6]), question.load(6), question.load_many([None]), return_exceptions=True)
    assert [type(answer) for answer in answers] == [LookupError, LookupError, list]
    squares.fails = False
    assert await question.load_many([2, 4, 6]) == [4, 16, 36]


async def test_who_gives_up_many_does_not_take_them_from_the_others(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT)
    impatient, patient = (asyncio.create_task(question.load_many([2, key])) for key in (4, 6))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == [4, 36]
    with pytest.raises(asyncio.CancelledError):
        await impatient


A, B, AB = frozenset("a"), frozenset("b"), frozenset("ab")


@pytest.mark.parametrize(("wanted", "read"), [([A, A], A), ([A, B], AB), ([A, None], None), ([None, A], None), ([A, AB], AB)])
async def test_those_who_want_different_columns_share_a_read_of_all_of_them(
    squares: Squares, scopes: UnconnectedScopes, wanted: list[Columns | None], read: Columns | None
) -> None:
    question = Question(squares, scopes, TENANT)
    assert await asyncio.gather(*(question.of(columns).load_many([2]) for columns in wanted)) == [[4], [4]]
    assert (squares.asked, squares.columns) == ([[2]], [read])


async def test_an_answer_serves_whoever_wants_no_more_columns(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT)
    assert await question.of(AB).load(2) == 4
    assert await question.of(A).load_many([2]) == [4]
    assert squares.columns == [AB]
    assert await question.load_many([2, 4]) == [4, 16]
    assert await question.of(B).load(2) == 4
    assert squares.columns == [AB, None]


async def test_wider_answers_are_awaited_where_narrow_ones_are_under_way(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT)
    narrow = asyncio.create_task(question.of(A).load_many([2, 4]))
    await scopes.driver.spoken_to.wait()
    assert await question.of(AB).load_many([4, 6]) == [16, 36]
    assert await narrow == [4, 16]
    assert (squares.asked, squares.columns) == ([[2, 4], [4, 6]], [A, AB])


async def test_a_narrow_read_that_fails_leaves_a_wider_answer_alone(squares: Squares, scopes: UnconnectedScopes) -> None:
    question = Question(squares, scopes, TENANT)
    squares.fails = True
    narrow = asyncio.create_task(question.of(A).load(2))
    await scopes.driver.spoken_to.wait()
    wide = asyncio.create_task(question.of(AB).load(2))
    with pytest.raises(LookupError):
        await narrow
    squares.fails = False
    assert await wide == 4
    assert await question.of(AB).load(2) == 4
    assert squares.columns == [A, AB]

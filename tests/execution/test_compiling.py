"""What the compiler promises beside being equal to graphql-core: level by level, no more than is asked, once per document."""

import asyncio
import contextlib
import gc
import warnings
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import strawberry
from graphql import DocumentNode, OperationDefinitionNode, get_operation_ast, parse, validate
from strawberry.extensions import SchemaExtension
from strawberry.permission import BasePermission

from execution import Batch, Column, Compiler, Operation, Uncompilable, batched, read
from execution.planning import Planner
from execution.plans import Selection

MANY_SWITCHES = "query ({}) {{ books {{ {} }} }}".format(
    ", ".join(f"$v{n}: Boolean!" for n in range(33)), " ".join(f"a{n}: title @skip(if: $v{n})" for n in range(33))
)
BOOKS = {1: {"id": 1, "title": "Emma", "author": 7}, 2: {"id": 2, "title": "Sylvia's Lovers", "author": 8}, 3: {"id": 3, "author": 7}}
PEOPLE = {7: {"id": 7, "name": "Jane"}, 8: {"id": 8, "name": "Elizabeth"}}


@dataclass
class Asked:
    """The context of these tests: what was asked, in order."""

    loads: list[tuple[str, list[Any], frozenset[str] | None]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    may: bool = True

    def guard(self) -> None:
        if not self.may:
            raise PermissionError("not you")


async def _author(context: Asked, books: Sequence[Any], needed: frozenset[str] | None) -> list[Any]:
    context.loads.append(("author", [book["author"] for book in books], needed))
    return [PEOPLE[book["author"]] for book in books]


def _books(context: Asked, roots: Sequence[Any], needed: frozenset[str] | None, *, newest: int = 3) -> list[Any]:
    context.loads.append(("books", list(roots), needed))
    return [[BOOKS[number] for number in sorted(BOOKS)[:newest]]]


def declared(one: Column | Batch) -> Any:
    resolver = read(one) if isinstance(one, Column) else batched(one)
    return strawberry.field(resolver=resolver, metadata={"execution": one})


@strawberry.type
class Author:
    __source__: ClassVar[str] = "row"
    row: strawberry.Private[Any]
    name: str = declared(Column("name"))
    shout: str = declared(Column("name", str.upper))


@strawberry.type
class Book:
    __source__: ClassVar[str] = "row"
    row: strawberry.Private[Any]
    title: str = declared(Column("title"))
    author: Author = declared(Batch.of(_author, ["author"]))

    @strawberry.field
    def plain(self) -> str:
        return str(self.row["title"])


class Nobody(BasePermission):
    message = "nobody"

    def has_permission(self, source: Any, info: Any, **arguments: Any) -> bool:
        return False


@strawberry.type
class Query:
    refused: str = strawberry.field(
        resolver=batched(Batch.of(_books)), metadata={"execution": Batch.of(_books)}, permission_classes=[Nobody]
    )
    books: list[Book] = declared(Batch.of(_books, [], guard=Asked.guard))


def _note(info: strawberry.Info[Asked, None], name: str) -> str:
    info.context.done.append(name)
    if name == "fails":
        raise ValueError(name)
    return name


@strawberry.type
class Mutation:
    note: str = strawberry.mutation(resolver=_note)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def author(self) -> "Author":
        raise NotImplementedError

    @strawberry.subscription
    async def book(self) -> "Book":
        raise NotImplementedError


SCHEMA = strawberry.Schema(Query, Mutation, Subscription)


def parsed(text: str, name: str | None = None) -> tuple[DocumentNode, OperationDefinitionNode]:
    document = parse(text)
    assert validate(SCHEMA._schema, document) == []
    operation = get_operation_ast(document, name)
    assert operation is not None
    return document, operation


def compiled(text: str, **given: Any) -> Operation:
    return Compiler(SCHEMA, **given).compile(*parsed(text))


async def test_a_level_asks_once_for_all_parents_and_says_which_columns_are_read() -> None:
    context = Asked()
    result = await compiled("{ books { title author { name } } }").execute(context)
    assert context.loads == [("books", [None], frozenset({"title", "author"})), ("author", [7, 8, 7], frozenset({"name"}))]
    assert result.data is None, "the third book has no title, and all the way up nothing may be null"
    assert [(error.message, error.path) for error in result.errors or ()] == [("'title'", ["books", 2, "title"])]


async def test_the_answer_is_in_the_document_s_order_with_its_aliases() -> None:
    given = await compiled("{ few: books(newest: 2) { author { shout } b: __typename title } }").run(Asked())
    assert given == (
        b'{"data":{"few":[{"author":{"shout":"JANE"},"b":"Book","title":"Emma"},'
        b'{"author":{"shout":"ELIZABETH"},"b":"Book","title":"Sylvia\'s Lovers"}]}}'
    )


async def test_a_plain_resolver_below_makes_the_level_above_read_all_columns() -> None:
    context = Asked()
    result = await compiled("{ books(newest: 2) { plain } }").execute(context)
    assert result.data == {"books": [{"plain": "Emma"}, {"plain": "Sylvia's Lovers"}]}
    assert context.loads == [("books", [None], None)]


async def test_a_guard_stands_before_the_question() -> None:
    context = Asked(may=False)
    result = await compiled("{ books { title } }").execute(context)
    assert (result.data, context.loads) == (None, [])
    assert [error.message for error in result.errors or ()] == ["not you"]


async def test_mutations_run_one_after_the_other_and_stop_with_the_answer() -> None:
    context = Asked()
    result = await compiled('mutation { a: note(name: "1") b: note(name: "fails") c: note(name: "3") }').execute(context)
    assert context.done == ["1", "fails"]
    assert (result.data, [error.path for error in result.errors or ()]) == (None, [["b"]])


def noted_plans(monkeypatch: pytest.MonkeyPatch) -> list[Planner]:
    """Note each planner that plans."""
    planned: list[Planner] = []
    plan = Planner.plan

    def noted(planner: Planner) -> Selection:
        planned.append(planner)
        return plan(planner)

    monkeypatch.setattr(Planner, "plan", noted)
    return planned


async def test_a_switch_plans_once_for_each_of_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = noted_plans(monkeypatch)
    operation = compiled("query ($deep: Boolean!) { books(newest: 1) { title author @include(if: $deep) { name } } }")
    for deep, loads in ((True, 2), (False, 1), (True, 2)):
        context = Asked()
        await operation.execute(context, {"deep": deep})
        assert len(context.loads) == loads
    assert len(planned) == 2


async def test_plans_are_forgotten_and_made_again_when_together_they_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = noted_plans(monkeypatch)
    compiler = Compiler(SCHEMA, most_fields=5)
    first, second = (compiler.compile(*parsed(text)) for text in ("{ books(newest: 2) { title } }", "{ books(newest: 2) { plain title } }"))
    for operation in (first, second, second, first):
        assert (await operation.execute(Asked())).errors is None
    assert [one.fields for one in planned] == [2, 3]
    third = compiler.compile(*parsed("{ books(newest: 2) { plain } }"))
    assert (await first.execute(Asked())).errors is None
    assert (await second.execute(Asked())).errors is None
    assert (await third.execute(Asked())).errors is None
    assert len(planned) > 3, "what was forgotten is planned again"
    assert compiler._plans._fields <= 5


async def test_variables_that_do_not_fit_are_told_and_nothing_runs() -> None:
    context = Asked()
    result = await compiled("query ($n: Int!) { books(newest: $n) { title } }").execute(context, {"n": "two"})
    assert result.data is None
    assert "Int cannot represent non-integer value" in (result.errors or [])[0].message
    assert context.loads == []


async def test_a_trace_sees_what_fails_for_all_parents() -> None:
    seen: list[type[BaseException]] = []

    @contextlib.contextmanager
    def trace(_: str, __: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            seen.append(type(error))
            raise

    result = await compiled("{ books { title } }", trace=trace).execute(Asked(may=False))
    assert [error.message for error in result.errors or ()] == ["not you"]
    assert seen == [PermissionError]


async def test_a_trace_stands_around_each_batch_and_each_plain_resolver() -> None:
    traced: list[tuple[str, int]] = []

    @contextlib.contextmanager
    def trace(name: str, parents: int) -> Iterator[None]:
        traced.append((name, parents))
        yield
        traced.append((name, -parents))

    await compiled("{ books(newest: 2) { title plain author { name } } }", trace=trace).execute(Asked())
    assert sorted(traced[2:]) == sorted([("Book.plain", 2), ("Book.plain", -2), ("Book.author", 2), ("Book.author", -2)])
    assert traced[:2] == [("Query.books", 1), ("Query.books", -1)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{ __schema { types { name } } }", "introspection"),
        ('query ($v: Boolean!) { books { title } ... @include(if: $v) { __type(name: "Book") { name } } }', "introspection"),
        ("query @experimental_disableErrorPropagation { books { title } }", "@experimental_disableErrorPropagation"),
        (
            "query ($a: Boolean!, $b: Boolean!) { books { title } ... @include(if: $a) { __schema @skip(if: $b) { description } } }",
            "introspection",
        ),
        (
            MANY_SWITCHES,
            "too many switches",
        ),
        ("{ refused }", "Query.refused is declared and has extensions"),
    ],
)
def test_what_is_left_to_graphql_core_is_said_when_the_document_is_compiled(text: str, reason: str) -> None:
    document = parse(text)
    operation = get_operation_ast(document)
    assert operation is not None
    with pytest.raises(Uncompilable) as refused:
        Compiler(SCHEMA).compile(document, operation)
    assert refused.value.reason == reason


def test_an_operation_with_too_many_fields_is_left_to_graphql_core() -> None:
    with pytest.raises(Uncompilable, match="too many fields"):
        Compiler(SCHEMA, most_fields=2).compile(*parsed("{ books { title plain author { name } } }"))


def test_a_refusal_that_is_remembered_is_raised_anew() -> None:
    compiler = Compiler(SCHEMA)
    text = "{ __schema { description } }"
    refusals = []
    for _ in range(2):
        with pytest.raises(Uncompilable, match="introspection") as refused:
            compiler.compiled(text, *parsed(text))
        refusals.append(refused.value)
    assert refusals[0] is not refusals[1], "an exception that is raised again keeps every frame that it passed"


async def test_a_null_where_a_default_stood_is_referred_and_told() -> None:
    referred: list[str] = []
    operation = compiled("query ($v: Boolean = false) { books(newest: 1) { title @skip(if: $v) plain } }", refer=referred.append)
    assert (await operation.execute(Asked(), {"v": None})).errors
    assert referred == ["null switch"]


def test_a_schema_with_extensions_is_left_to_graphql_core() -> None:
    with pytest.raises(Uncompilable, match="schema extensions"):
        Compiler(strawberry.Schema(Query, extensions=[SchemaExtension])).compile(*parsed("{ books { title } }"))


def test_a_document_is_compiled_once_and_the_least_used_is_forgotten() -> None:
    compiler = Compiler(SCHEMA, most_operations=2)
    texts = ["query A { books { title } } query B { books { plain } }", "{ books { author { name } } }"]
    first = compiler.compiled(texts[0], *parsed(texts[0], "A"))
    second = compiler.compiled(texts[0], *parsed(texts[0], "B"))
    assert first is not second
    assert compiler.compiled(texts[0], *parsed(texts[0], "A")) is first
    compiler.compiled(texts[1], *parsed(texts[1]))
    assert compiler.compiled(texts[0], *parsed(texts[0], "A")) is first
    assert compiler.compiled(texts[0], *parsed(texts[0], "B")) is not second


def test_an_event_that_reads_itself_alone_is_the_same_for_everybody() -> None:
    tail = compiled("subscription { author { name loud: shout } }").tail()
    assert tail is not None
    assert tail.shared(PEOPLE[7]) == b'{"data":{"author":{"name":"Jane","loud":"JANE"}}}'
    assert tail.shared(Author(row=PEOPLE[8])) == b'{"data":{"author":{"name":"Elizabeth","loud":"ELIZABETH"}}}'
    assert tail.shared({"name": None}) is None, "a failure is told by whoever runs the whole operation"


async def test_an_event_that_asks_more_is_each_reader_s_own() -> None:
    tail = compiled("subscription { book { title author { name } } }").tail()
    assert tail is not None
    assert tail.shared(BOOKS[1]) is None
    result = await tail.execute(Asked(), BOOKS[1])
    assert result.data == {"book": {"title": "Emma", "author": {"name": "Jane"}}}


def test_tails_of_one_operation_share_their_key_while_the_switches_are_the_same() -> None:
    operation = compiled("subscription ($v: Boolean!) { author { name shout @include(if: $v) } }")
    yes, again, no = (operation.tail({"v": value}) for value in (True, True, False))
    assert yes is not None
    assert again is not None
    assert no is not None
    assert yes.key == again.key != no.key


async def test_a_plan_that_was_run_goes_when_it_is_forgotten_and_waits_for_no_garbage_collector() -> None:
    compiler = Compiler(SCHEMA)
    text = "query ($n: Int!) { books(newest: $n) { title author { name } } }"
    assert (await compiler.compiled(text, *parsed(text)).execute(Asked(), {"n": 2})).errors is None
    (plan,) = [weakref.ref(kept) for kept, _ in compiler._plans._kept.values()]
    gc.collect()
    gc.disable()
    try:
        compiler.forget(text)
        assert plan() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("turns", range(6))
async def test_an_operation_that_is_cancelled_leaves_nothing_behind_that_was_never_awaited(turns: int) -> None:
    """Whatever it was cancelled in: warnings are errors here, and Python warns when such a coroutine goes."""
    operation = compiled("{ books { author { name } again: author { name } } more: books { author { shout } again: author { name } } }")
    running = asyncio.create_task(operation.execute(Asked()))
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    with warnings.catch_warnings(record=True) as told, contextlib.suppress(asyncio.CancelledError):
        warnings.simplefilter("always")
        await running
    del running
    gc.collect()
    assert [str(one.message) for one in told] == []

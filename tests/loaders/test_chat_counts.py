"""How many transactions and statements a page of chats costs, with all that hangs on it: the same for one chat as for twenty."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from graphql import ExecutionResult, execute, get_operation_ast, parse

from auth.viewers import Viewer
from chat.drafts import ChatChange, ChatDraft, Draft
from db.scopes import Reading, Row, Statement, TenantScopes
from db.statements import messages, runs
from execution import Compiler
from resolvers.operations import Caller, Operation, Works
from schema.schema import build_schema
from settings import Secret, Settings
from stack.addresses import Addresses
from tests.conftest import TEMPLATE
from tests.db.databases import made_database
from tests.loaders.counting import counted as sent_over
from tests.running import PASSWORD
from web.works import open_works

CHATS, TURNS = 20, 5
SCHEMA = build_schema()
TWENTY = "{ chats(first: 20) { nodes { title messages(last: 10) { nodes { role parts { ... on TextPart { text } } } } } } }"


class CountingReading(Reading):
    """Sends what it is told to through another scope, and counts it."""

    def __init__(self, scope: Reading, counted: list[str]) -> None:
        self._scope = scope
        self._counted = counted

    async def rows(self, query: Statement, *arguments: object) -> list[Row]:
        self._counted.append(str(query))
        return await self._scope.rows(query, *arguments)


class CountingScopes(TenantScopes):
    """Opens the scopes of others, and counts them and their statements."""

    def __init__(self, scopes: TenantScopes) -> None:
        self._scopes = scopes
        self.opened = 0
        self.statements: list[str] = []

    @contextlib.asynccontextmanager
    async def reading(self, tenant_id: UUID) -> AsyncIterator[Reading]:
        self.opened += 1
        async with self._scopes.reading(tenant_id) as scope:
            yield CountingReading(scope, self.statements)


@pytest.fixture(scope="module")
async def works(settings: Settings, stack: Addresses, worker_id: str) -> AsyncIterator[Works]:
    """Works on a database of their own, where no worker answers: what is there does not change under the tests."""
    async with made_database(stack, f"chat_counts_{worker_id}", TEMPLATE) as name:
        app, system = (Secret(stack.database_url(role, name)) for role in ("penny_app", "penny_system"))
        own = dataclasses.replace(settings, database_url=app, database_system_url=system, valkey_prefix=name)
        async with open_works(own, application="penny counts") as process:
            yield process.works


@pytest.fixture(scope="module")
async def viewer(works: Works) -> Viewer:
    """Somebody with twenty chats, each of five questions that were answered, and one that waits."""
    opened = await works.accounts.sign_up(
        email=f"{uuid4().hex}@example.com", password=PASSWORD, name="Ada", tenant_name="Counted", invitation_token=None,
        transport="BEARER", address="127.0.0.1", user_agent=None,
    )  # fmt: skip
    viewer = opened.viewer
    for number in range(CHATS):
        chat = (await works.conversations.begin(viewer, ChatDraft(title=f"Chat {number}"), key=uuid4().hex)).chat
        for turn in range(TURNS):
            sent = await works.conversations.send(viewer, chat["id"], Draft(texts=[f"turn {turn}"]), key=uuid4().hex)
            if turn < TURNS - 1:
                await works.interventions.cancel(viewer, sent.runs[0]["id"])
        await works.conversations.change(viewer, chat["id"], ChatChange(visibility="TENANT"))
    return viewer


async def counted(works: Works, viewer: Viewer, mode: str, document: str, **variables: Any) -> tuple[Any, CountingScopes]:
    """Run a query; returns its data and what it cost."""
    scopes = CountingScopes(works.scopes)
    operation = Operation(
        works=dataclasses.replace(works, scopes=scopes),
        caller=Caller(address="127.0.0.1", user_agent=None, request_id="test"),
        credential=viewer,
    )
    done = await RUN[mode](document, operation, variables)
    assert done.errors is None
    return done.data, scopes


async def run_compiled(document: str, operation: Operation, variables: dict[str, Any]) -> ExecutionResult:
    parsed = parse(document)
    node = get_operation_ast(parsed)
    assert node is not None
    return await Compiler(SCHEMA).compile(parsed, node).execute(operation, variables)


async def run_by_graphql_core(document: str, operation: Operation, variables: dict[str, Any]) -> ExecutionResult:
    result = execute(SCHEMA._schema, parse(document), context_value=operation, variable_values=variables)
    return result if isinstance(result, ExecutionResult) else await result


RUN = {"compiled": run_compiled, "reference": run_by_graphql_core}


@pytest.fixture(params=RUN)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_twenty_chats_with_ten_messages_each_are_two_statements(works: Works, viewer: Viewer, mode: str) -> None:
    data, cost = await counted(works, viewer, mode, TWENTY)
    assert [len(chat["messages"]["nodes"]) for chat in data["chats"]["nodes"]] == [2 * TURNS] * CHATS
    assert data["chats"]["nodes"][0]["messages"]["nodes"][0]["parts"] == [{"text": "turn 0"}]
    assert (cost.opened, len(cost.statements)) == (2, 2), cost.statements


async def test_what_somebody_may_do_with_chats_of_others_takes_no_statement(works: Works, viewer: Viewer, mode: str) -> None:
    document = "{ chats(first: 20, sharedWithMe: true) { nodes { viewerCan messages(last: 10) { nodes { role } } } } }"
    other = dataclasses.replace(viewer, user_id=uuid4())
    data, cost = await counted(works, other, mode, document)
    assert [chat["viewerCan"] for chat in data["chats"]["nodes"]] == [["read"]] * CHATS
    assert (cost.opened, len(cost.statements)) == (2, 2), cost.statements


async def test_two_levels_are_one_transaction_and_each_is_one_round_trip_more(works: Works, viewer: Viewer) -> None:
    operation = Operation(works=works, caller=Caller(address="127.0.0.1", user_agent=None, request_id="test"), credential=viewer)
    async with sent_over(works.scopes) as sent:
        assert (await run_compiled(TWENTY, operation, {})).errors is None
    assert (len(sent.statements), sent.transactions, sent.round_trips) == (2, 1, 3), sent.texts  # the COMMIT rides with the next BEGIN
    assert not any(unread in text for text in sent.statements for unread in ("metadata", "author_id")), "only the columns that are read"


async def test_of_jobs_only_the_columns_that_are_shown_are_read(works: Works, viewer: Viewer) -> None:
    """What a job was told, remembers and found may be long, and nobody is shown it."""
    operation = Operation(works=works, caller=Caller(address="127.0.0.1", user_agent=None, request_id="test"), credential=viewer)
    document = "{ jobs(first: 3) { edges { cursor node { __typename } } nodes { id error { code } ... on BackgroundJob { kind } } } }"
    async with sent_over(works.scopes) as sent:
        assert (await run_compiled(document, operation, {})).errors is None
    (statement,) = sent.statements
    assert "SELECT id, kind, error_code, error_message FROM" in statement


RELATIONS = {
    "owner { name }": 2,
    "title metadata viewerCan": 1,
    "head { id }": 2,
    "head { siblingIndex siblings { id } }": 3,
    "head { parent { parent { id } } }": 4,
    "head { run { id usage { inputTokens } } chat { id } }": 4,
    "participants(first: 3) { nodes { role } }": 2,
    "shares { url live audience viewCount }": 2,
    "activeRuns { id }": 2,
    "activeRuns { input { id } outputs { id } }": 3,
    "runs(first: 3) { nodes { id status } }": 2,
    "runs(first: 3) { nodes { createdBy { ... on User { name } } } }": 3,
    "runs(first: 3) { nodes { chat { id } } }": 3,
    "branches(first: 3) { nodes { id messageCount updatedAt } }": 2,
    "branches(first: 3) { nodes { name leaf { id } forkPoint { id } } }": 3,
    "forkedFrom { id }": 1,
    "messages(first: 4) { nodes { siblingIndex siblings { id } } }": 4,
    "messages(first: 4) { nodes { parts { __typename } } }": 2,
    "messages(first: 4) { nodes { author { ... on User { name } } } }": 3,
    "messages(first: 4) { nodes { feedback { rating comment } } }": 3,
    "messages(first: 4) { nodes { children(first: 2) { nodes { id } } } }": 3,
}


@pytest.mark.parametrize(("relation", "statements"), RELATIONS.items())
async def test_what_hangs_on_a_chat_costs_the_same_for_one_as_for_many(
    works: Works, viewer: Viewer, mode: str, relation: str, statements: int
) -> None:
    document = f"query ($first: Int!) {{ chats(first: $first) {{ nodes {{ id {relation} }} }} }}"
    for first in (1, CHATS):
        data, cost = await counted(works, viewer, mode, document, first=first)
        assert len(data["chats"]["nodes"]) == first
        assert (cost.opened, len(cost.statements)) == (statements, statements), cost.statements


async def test_a_page_of_chats_shows_what_hangs_on_each(works: Works, viewer: Viewer, mode: str) -> None:
    document = """
        { chats(first: 20) { nodes { id head { id } messages(last: 1) { nodes { id chat { id } } }
          activeRuns { id } runs(first: 3) { nodes { id status outputs { id } } } } } }"""
    data, _ = await counted(works, viewer, mode, document)
    for chat in data["chats"]["nodes"]:
        assert chat["messages"]["nodes"] == [{"id": chat["head"]["id"], "chat": {"id": chat["id"]}}]
        assert [run["status"] for run in chat["runs"]["nodes"]] == ["QUEUED", "CANCELLED", "CANCELLED"]
        assert chat["activeRuns"] == [{"id": chat["runs"]["nodes"][0]["id"]}]
        assert chat["runs"]["nodes"][0]["outputs"] == [chat["head"]]


async def test_branches_asked_for_in_different_ways_share_a_transaction(works: Works, viewer: Viewer, mode: str) -> None:
    document = "{ chats(first: 3) { nodes { a: messages(first: 2) { nodes { id } } b: messages(last: 2) { nodes { id } } } } }"
    data, cost = await counted(works, viewer, mode, document)
    assert all(chat["a"]["nodes"] != chat["b"]["nodes"] for chat in data["chats"]["nodes"])
    assert (cost.opened, len(cost.statements)) == (2, 3)


async def test_many_nodes_are_one_read_a_kind_and_one_of_their_chats(works: Works, viewer: Viewer, mode: str) -> None:
    page = "{ chats(first: 5) { nodes { id head { id } runs(first: 1) { nodes { id } } } } }"
    chats = (await counted(works, viewer, mode, page))[0]["chats"]["nodes"]
    ids = [id_ for chat in chats for id_ in (chat["id"], chat["head"]["id"], chat["runs"]["nodes"][0]["id"])]
    data, cost = await counted(works, viewer, mode, "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids)
    assert [node["id"] for node in data["nodes"]] == ids
    assert len(cost.statements) == 3


async def test_a_page_of_branches_gives_each_branch_its_own_page(works: Works, viewer: Viewer, mode: str) -> None:
    """Pages that are asked for together are what each would be alone."""
    async with works.scopes.reading(viewer.tenant_id) as scope:
        chats = await scope.rows("SELECT * FROM penny.chats WHERE tenant_id = $1 ORDER BY id", viewer.tenant_id)
        asked = [(chat["id"], chat["head_message_id"]) for chat in chats]
        arguments: dict[str, Any] = {"newest_first": True, "above": 1, "below": 7, "roles": ["USER"], "limit": 2}
        together = await messages.pages_of_branches(scope, viewer.tenant_id, asked, **arguments)
        for branch in asked:
            alone = await messages.pages_of_branches(scope, viewer.tenant_id, [branch], **arguments)
            assert [row["depth"] for row in alone[branch]] == [6, 4]
            assert [row["id"] for row in alone[branch]] == [row["id"] for row in together[branch]]
        crossed = await messages.pages_of_branches(scope, viewer.tenant_id, [(asked[0][0], asked[1][1])], **arguments)
        assert crossed == {}
        of_chats = await runs.pages_of_chats(
            scope, viewer.tenant_id, [chat_id for chat_id, _ in asked], statuses=["CANCELLED"], beyond=None, limit=2
        )
        assert len(of_chats) == 2 * CHATS

"""GraphQL over HTTP as npm's clients have it: graphql-http's audits, and what Apollo, urql and graphql-request see of errors."""

import pytest

from tests.chat.talking import ask, new_chat
from tests.clients.test_clients import driven
from tests.running import Api, Server

pytestmark = pytest.mark.clients


async def test_graphql_http_finds_no_error_and_the_one_warning_that_the_release_asks_for(server: Server) -> None:
    """86EE is of the draft: a variable that does not fit was 400 there and is 422 now."""
    seen = await driven("audit.mjs", url=f"{server.url}/graphql")
    complaints = [one for one in seen["failed"] if one["status"] != "notice"]
    assert [(one["id"], one["status"]) for one in complaints] == [("86EE", "warn")], complaints
    notices = {one["name"].partition(" ")[0] for one in seen["failed"] if one["status"] == "notice"}
    assert notices == {"MAY"}


async def test_clients_see_data_with_errors_and_errors_alone(server: Server) -> None:
    query = 'query Partial { __typename node(id: "Q2hhdDox") { id } }'
    seen = await driven("partial.mjs", url=f"{server.url}/graphql", query=query, bad="query Bad { nothing }")
    expected = {
        "partial": {"data": {"__typename": "Query", "node": None}, "codes": ["UNAUTHENTICATED"]},
        "bad": {"data": None, "codes": ["GRAPHQL_VALIDATION_FAILED"]},
    }
    assert seen == dict.fromkeys(("apollo", "urql", "graphqlRequest"), expected)


async def test_graphql_sse_and_urql_follow_a_run_as_events(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=20 delay_ms=5")
    query = "query Name { viewer { user { name } } }"
    seen = await driven("events.mjs", url=f"{server.url}/graphql", token=ada.token, runId=run_id, query=query)
    assert seen["seqs"] == list(range(1, len(seen["seqs"]) + 1))
    assert seen["text"].split() == [f"word{number}" for number in range(20)]
    assert (seen["status"], seen["urqlSeqs"][-1]) == ("COMPLETED", seen["seqs"][-1])
    assert seen["data"]["viewer"] == {"user": {"name": "Ada"}}
    assert seen["urql"]["viewer"]["user"]["name"] == "Ada"

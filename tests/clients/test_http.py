"""GraphQL over HTTP as npm's clients have it: graphql-http's audits, and what Apollo, urql and graphql-request see of errors."""

import pytest

from tests.clients.test_clients import driven
from tests.running import Server

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

"""How many transactions a page of rows costs: the same for one row as for many."""

import dataclasses
import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from graphql import ExecutionResult, execute, parse
from uuid_utils.compat import uuid7

from auth.roles import OWNER
from auth.viewers import Viewer
from db.statements import documents
from db.statements.documents import NewDocument, Release
from resolvers.operations import Caller, Operation, Works
from schema.schema import build_schema
from tests.loaders.counting import CountingScopes
from tests.running import PASSWORD
from web.works import Process

ADDRESS = "127.0.0.1"


async def signed_up(works: Works, number: int, token: str | None) -> Viewer:
    opened = await works.accounts.sign_up(
        email=f"counts-{number}@example.com",
        password=PASSWORD,
        name=f"Person {number}",
        tenant_name="Counted",
        invitation_token=token,
        transport="BEARER",
        address=ADDRESS,
        user_agent=None,
    )
    return opened.viewer


@pytest.fixture(scope="module")
async def owner(process: Process) -> Viewer:
    """The owner of a tenant with six members, each with an API key."""
    works = process.works
    owner = await signed_up(works, 0, None)
    viewers = [owner]
    async with works.scopes.reading(owner.tenant_id) as scope:
        role_id = await scope.value("SELECT id FROM penny.roles WHERE tenant_id = $1 AND name = $2", owner.tenant_id, OWNER)
    assert isinstance(role_id, UUID)
    for number in range(1, 6):
        await works.invitations.invite(owner, email=f"counts-{number}@example.com", role_id=role_id)
        (mail, *_) = await process.mail_queue.recent(1)
        viewers.append(await signed_up(works, number, mail.mail.text.split("#token=")[1].split()[0]))
    for viewer in viewers:
        await works.api_keys.create(viewer, name="key", scopes=[], expires_at=None)
    return owner


async def counted(works: Works, viewer: Viewer, document: str, **variables: Any) -> tuple[Any, int]:
    """Run a query and return its data and how many reading scopes it opened."""
    scopes = CountingScopes(works.scopes)
    operation = Operation(
        works=dataclasses.replace(works, scopes=scopes),
        caller=Caller(address=ADDRESS, user_agent=None, request_id="test"),
        credential=viewer,
    )
    result = execute(build_schema()._schema, parse(document), context_value=operation, variable_values=variables)
    done = result if isinstance(result, ExecutionResult) else await result
    assert done.errors is None
    return done.data, scopes.opened


MEMBERS = "query ($first: Int!) { tenant { members(first: $first) { nodes { user { name } role { name } tenant { name } } } } }"
KEYS = "query ($first: Int!) { tenant { apiKeys(first: $first) { nodes { name owner { ... on User { name } } } } } }"


@pytest.mark.parametrize(("document", "list_"), [(MEMBERS, "members"), (KEYS, "apiKeys")])
async def test_a_page_of_many_costs_what_a_page_of_one_does(works: Works, owner: Viewer, document: str, list_: str) -> None:
    one, few = await counted(works, owner, document, first=1)
    many, most = await counted(works, owner, document, first=6)
    assert [len(data["tenant"][list_]["nodes"]) for data in (one, many)] == [1, 6]
    assert few == most


async def test_documents_of_many_manifests_are_one_read(works: Works, owner: Viewer) -> None:
    texts = [f"query Q{number} {{ __typename }}" for number in range(4)]
    new = [NewDocument(text, hashlib.sha256(text.encode()).digest(), text, text.split()[1], 0, False) for text in texts]
    for number in range(3):
        release = Release(owner.tenant_id, "web", str(number))
        async with works.scopes.writing(owner.tenant_id) as scope:
            await documents.add_to_draft(scope, release, part=1, documents=new[: number + 2])
            await documents.publish(scope, release, manifest_id=uuid7(), by=owner.user_id, at=datetime.now(UTC))
    manifests = """query ($first: Int!) { documentManifests(first: $first) { nodes {
        documents(first: 3) { nodes { sha256 } pageInfo { hasNextPage } } } } }"""
    _, few = await counted(works, owner, manifests, first=1)
    found, most = await counted(works, owner, manifests, first=3)
    pages = [node["documents"] for node in found["documentManifests"]["nodes"]]
    assert [[one["sha256"] for one in page["nodes"]] for page in pages] == [
        [one.sha256.hex() for one in new[:count]] for count in (3, 3, 2)
    ]
    assert [page["pageInfo"]["hasNextPage"] for page in pages] == [True, False, False]
    assert few == most


async def test_many_nodes_of_a_kind_are_one_read(works: Works, owner: Viewer) -> None:
    ids = "{ tenant { members(first: 6) { nodes { id user { id } role { id } } } } }"
    nodes = (await counted(works, owner, ids))[0]["tenant"]["members"]["nodes"]
    wanted = [node["id"] for node in nodes] + [node["user"]["id"] for node in nodes] + [nodes[0]["role"]["id"]]
    found, opened = await counted(works, owner, "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=wanted)
    assert [node["id"] for node in found["nodes"]] == wanted
    assert opened == 3


async def test_a_total_is_counted_only_when_it_is_asked_for(works: Works, owner: Viewer) -> None:
    _, without = await counted(works, owner, "{ tenant { members(first: 1) { nodes { id } } } }")
    data, counting = await counted(works, owner, "{ tenant { members(first: 1) { totalCount nodes { id } } } }")
    assert data["tenant"]["members"]["totalCount"] == 6
    assert counting == without + 1

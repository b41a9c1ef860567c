"""Manifests through the endpoint: published whole or not at all, listed, taken back."""

import asyncio
import hashlib
from typing import Any

import pytest

from schema.ids import local_id
from tests.api.manifests import SIGN_IN, VIEWER, flat, hash_of, live, publish, published
from tests.api.people import code_of, done, member, refused
from tests.running import Api, running_web
from web.works import Process

OLD_IOS = {hash_of(VIEWER): {"name": "Viewer", "source": VIEWER}}
APOLLO = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [{"id": hash_of(VIEWER), "name": "Viewer", "type": "query", "body": VIEWER}],
}
MD5 = {hashlib.md5(VIEWER.encode()).hexdigest(): VIEWER}
CODEGEN = {f"sha256:{hash_of(VIEWER)}": VIEWER}


@pytest.mark.parametrize("manifest", [OLD_IOS, APOLLO, MD5, CODEGEN, flat(VIEWER), {"viewer-1": VIEWER}], ids=range(6))
async def test_a_manifest_of_any_tool_is_published(api: Api, manifest: dict[str, Any]) -> None:
    ada = await api.sign_up()
    payload = await published(ada, manifest)
    assert (payload["errors"], payload["rejected"]) == ([], [])
    (document,) = payload["manifest"]["documents"]["nodes"]
    assert document == {
        "id": document["id"], "sha256": hash_of(VIEWER), "operationName": "Viewer", "body": VIEWER, "cost": 2,
    }  # fmt: skip
    assert await live(ada) == [payload["manifest"]]
    again = await published(ada, manifest)
    assert again == payload


async def test_nothing_of_a_manifest_is_published_with_a_document_that_cannot_run(api: Api) -> None:
    ada = await api.sign_up()
    texts = [VIEWER, "{ nothingLikeThis }", "{ viewer {", "query A { __typename } query B { __typename }", "{ __typename } # \0"]
    payload = await published(ada, {**flat(*texts), "a" * 64: SIGN_IN})
    assert payload["manifest"] is None
    assert [error["code"] for error in payload["errors"]] == ["VALIDATION"]
    assert len(payload["rejected"]) == 5
    assert any("nothingLikeThis" in one for one in payload["rejected"])
    assert any(one.startswith("a" * 64 + ": The id is not the hash") for one in payload["rejected"])
    assert await live(ada) == []


async def test_a_version_keeps_its_documents_and_versions_share_texts(api: Api) -> None:
    ada = await api.sign_up()
    await publish(ada, VIEWER, version="1.0")
    payload = await published(ada, flat(VIEWER, SIGN_IN), version="1.0")
    assert [error["code"] for error in payload["errors"]] == ["CONFLICT"]
    await publish(ada, VIEWER, SIGN_IN, version="1.1")
    newer, older = await live(ada)
    assert (newer["documentCount"], older["documentCount"]) == (2, 1)
    assert older["documents"]["nodes"][0]["id"] in [one["id"] for one in newer["documents"]["nodes"]]
    assert (await published(ada, {"viewer": VIEWER}, version="2"))["errors"] == []
    taken = await published(ada, {"viewer": SIGN_IN}, version="3")
    assert taken["rejected"] == ["viewer: this id is another document's already."]


async def test_many_who_publish_the_same_publish_it_once(api: Api) -> None:
    ada = await api.sign_up()
    payloads = await asyncio.gather(*(published(ada, flat(VIEWER, SIGN_IN)) for _ in range(6)))
    assert {payload["manifest"]["id"] for payload in payloads} == {(await live(ada))[0]["id"]}
    assert all(payload["errors"] == [] for payload in payloads)


async def test_a_tenant_has_room_for_so_much(api: Api, environment: dict[str, str]) -> None:
    ada = await api.sign_up()
    narrow = {"PENNY_TENANT_MANIFESTS": "1", "PENNY_TENANT_DOCUMENT_BYTES": "1024", "PENNY_MANIFEST_DOCUMENTS": "2"}
    async with running_web({**environment, **narrow}) as (url, _), Api(url, ada.token) as here:
        assert (await published(here, flat(*(f"{{ __typename }} # {number}" for number in range(3)))))["errors"][0]["code"] == "VALIDATION"
        large = f"{{ __typename }} # {'x' * 1024}"
        assert (await published(here, flat(large)))["errors"][0]["code"] == "VALIDATION"
        assert (await published(here, flat(large), parts=2))["errors"][0]["code"] == "VALIDATION"
        await publish(here, VIEWER, version="1")
        assert (await published(here, flat(VIEWER), version="2"))["errors"][0]["code"] == "CONFLICT"
    assert [one["version"] for one in await live(ada)] == ["1"]


async def test_a_large_manifest_comes_in_parts_and_counts_when_all_have_come(api: Api) -> None:
    ada = await api.sign_up()
    assert (await published(ada, flat(VIEWER), part=2, parts=2))["errors"][0]["code"] == "CONFLICT"
    first = await published(ada, flat(VIEWER), part=1, parts=2)
    assert (first["errors"], first["manifest"]) == ([], None)
    assert await live(ada) == []
    last = await published(ada, flat(SIGN_IN), part=2, parts=2)
    assert last["manifest"]["documentCount"] == 2
    assert (await published(ada, flat(SIGN_IN), part=2, parts=2))["errors"][0]["code"] == "CONFLICT"


async def test_parts_hold_each_id_once_and_one_that_is_refused_may_come_again(api: Api, environment: dict[str, str]) -> None:
    ada = await api.sign_up()
    await published(ada, {"taken": VIEWER}, version="0")
    await published(ada, flat(VIEWER), part=1, parts=3)
    for wrong in (flat(VIEWER), {"taken": SIGN_IN}, flat("{ nothing }")):
        payload = await published(ada, wrong, part=2, parts=3)
        assert (payload["manifest"], [error["code"] for error in payload["errors"]]) == (None, ["VALIDATION"])
    narrow = {"PENNY_MANIFEST_DOCUMENTS": "2"}
    async with running_web({**environment, **narrow}) as (url, _), Api(url, ada.token) as here:
        assert (await published(here, {"a": VIEWER, "b": VIEWER}, part=2, parts=3))["errors"][0]["code"] == "VALIDATION"
    assert (await published(ada, flat(SIGN_IN), part=2, parts=3))["errors"] == []
    # Another manifest comes between, and takes a name of the draft.
    await published(ada, {"late": VIEWER}, version="0.1")
    assert (await published(ada, {"late": SIGN_IN}, part=3, parts=3))["rejected"] == ["late: this id is another document's already."]
    last = await published(ada, {"late": VIEWER}, part=3, parts=3)
    names = [one["operationName"] for one in last["manifest"]["documents"]["nodes"]]
    assert (last["manifest"]["documentCount"], names) == (2, ["Viewer", "SignIn"]), "a text by two names is one document"
    again = [await published(ada, part, part=number, parts=2) for number, part in enumerate((flat(SIGN_IN, VIEWER), {"late": VIEWER}), 1)]
    assert again[-1]["manifest"] == last["manifest"]
    other = [await published(ada, part, part=number, parts=2) for number, part in enumerate((flat(SIGN_IN), {"late": VIEWER}), 1)]
    assert other[-1]["errors"][0]["code"] == "CONFLICT"


async def test_what_the_version_before_began_is_begun_again(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    await published(ada, flat(VIEWER), part=1, parts=2)
    tenant_id = local_id((await ada.data("{ tenant { id } }"))["tenant"]["id"], "Tenant")
    async with process.works.scopes.writing(tenant_id) as scope:
        assert await scope.run("UPDATE penny.manifest_drafts SET documents = '[]' WHERE tenant_id = $1", tenant_id) == 1
    assert (await published(ada, flat(SIGN_IN), part=2, parts=2))["errors"][0]["code"] == "CONFLICT"
    await published(ada, flat(VIEWER), part=1, parts=2)
    assert (await published(ada, flat(SIGN_IN), part=2, parts=2))["manifest"]["documentCount"] == 2


async def test_a_manifest_is_taken_back_with_what_no_other_has(api: Api) -> None:
    ada = await api.sign_up()
    old, new = await publish(ada, VIEWER, SIGN_IN, version="1"), await publish(ada, VIEWER, version="2")
    (manifest,) = [one for one in await live(ada) if one["id"] == old]
    ids = {one["operationName"]: one["id"] for one in manifest["documents"]["nodes"]}
    await done(ada, "documentManifestDelete", "deletedId", manifestId=old)
    nodes = (await ada.data("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[old, new, ids["Viewer"], ids["SignIn"]]))["nodes"]
    assert [node and node["id"] for node in nodes] == [None, new, ids["Viewer"], None]
    assert (await refused(ada, "documentManifestDelete", manifestId=old))["code"] == "NOT_FOUND"


async def test_only_who_administers_the_api_sees_and_publishes_manifests(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    manifest_id = await publish(ada, VIEWER)
    creator = await member(ada, process, "creator")
    assert (await published(creator, flat(SIGN_IN)))["errors"][0]["code"] == "PERMISSION_DENIED"
    assert await code_of(creator, "{ documentManifests(first: 1) { nodes { id } } }") == "PERMISSION_DENIED"
    assert (await creator.data("query ($id: ID!) { node(id: $id) { id } }", id=manifest_id)) == {"node": None}
    assert (await refused(creator, "documentManifestDelete", manifestId=manifest_id))["code"] == "PERMISSION_DENIED"
    stranger = await api.sign_up()
    assert (await refused(stranger, "documentManifestDelete", manifestId=manifest_id))["code"] == "NOT_FOUND"
    assert [one["id"] for one in await live(ada)] == [manifest_id]


@pytest.mark.parametrize("manifest", [{}, [], "x", {"format": "other", "operations": []}, {"a": 5}, {"a": {"text": "{ a }"}}])
async def test_what_is_no_manifest_is_refused(api: Api, manifest: Any) -> None:
    ada = await api.sign_up()
    payload = await published(ada, manifest)
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [("VALIDATION", ["manifest"])]
    assert await live(ada) == []

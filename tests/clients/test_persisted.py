"""Persisted documents as clients have them: manifests written by the tools themselves, and the clients that send ids."""

import hashlib
from typing import Any

import pytest

from tests.api.manifests import published
from tests.api.people import done, soon
from tests.chat.talking import ask, hear, new_chat
from tests.clients.test_clients import driven
from tests.running import ROOT, Api, Server

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
async def manifests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each tool writes for the same small client."""
    folder = tmp_path_factory.mktemp("client")
    return await driven("manifests.mjs", folder=str(folder), schema=str(ROOT / "schema" / "schema.graphql"), timeoutMs=100_000)


def older(manifest: dict[str, Any]) -> dict[str, Any]:
    """The same documents as older Apollo iOS and Kotlin write them."""
    return {one["id"]: {"name": one["name"], "source": one["body"]} for one in manifest["operations"]}


async def test_the_tools_manifests_are_published_byte_for_byte(api: Api, manifests: dict[str, Any]) -> None:
    ada = await api.sign_up()
    forms = {**manifests, "ios": older(manifests["apollo"])}
    for version, manifest in forms.items():
        payload = await published(ada, manifest, client="app", version=version)
        assert (payload["errors"], payload["rejected"]) == ([], []), version
        texts = {one["body"] for one in payload["manifest"]["documents"]["nodes"]}
        written = manifest["operations"] if "operations" in manifest else manifest.values()
        assert texts == {one if isinstance(one, str) else one.get("body") or one["source"] for one in written}
        for one in payload["manifest"]["documents"]["nodes"]:
            assert one["sha256"] == hashlib.sha256(one["body"].encode()).hexdigest()


async def test_clients_send_what_was_published(api: Api, server: Server, manifests: dict[str, Any]) -> None:
    ada = await api.sign_up()
    for version, manifest in manifests.items():
        await published(ada, manifest, client="app", version=version)
    run_id = await ask(ada, await new_chat(ada), "!script tokens=5")
    await hear(ada, run_id)
    viewer = next(name for name, text in manifests["codegen"].items() if "query Viewer" in text)
    key = (await done(ada, "apiKeyCreate", "secretOnce", name="app", scopes=["chats:read"], documentClient="app"))["secretOnce"]
    seen = await driven(
        "persisted.mjs", url=f"{server.url}/graphql", token=key, runId=run_id, manifest=manifests["apollo"],
        ids=[{"documentId": viewer}, *({"doc_id": name} for name in manifests["relay"]), {"query": "{ viewer { user { name } } }"}],
    )  # fmt: skip
    assert seen["apollo"] == "Ada"
    assert seen["requests"]["apollo"] == ["GET id"]
    assert seen["ids"] == ["Ada", "Ada", "PERSISTED_DOCUMENT_REQUIRED"]
    assert seen["seqs"] == list(range(1, len(seen["seqs"]) + 1))
    # urql prints a document in its own way, which nobody published: its hash, and then its text, are refused to a client's key.
    assert (seen["urql"], seen["requests"]["urql"]) == ("PERSISTED_QUERY_NOT_FOUND", ["GET id", "GET document"])


async def test_clients_register_documents_where_the_tenant_allows_it(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    await done(ada, "tenantUpdate", settings={"automaticDocuments": True})

    async def once_registered() -> None:
        seen = await driven("persisted.mjs", url=f"{server.url}/graphql", token=ada.token)
        assert (seen["apollo"], seen["urql"]) == ("Ada", "Ada")
        if seen["requests"] != {"apollo": ["GET id"], "urql": ["GET id"]}:
            assert seen["requests"]["urql"] in (["GET id", "GET document"], ["GET id"])
            raise LookupError(seen["requests"])

    await soon(once_registered, seconds=30)


async def test_clients_go_on_where_nothing_is_registered(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    seen = await driven("persisted.mjs", url=f"{server.url}/graphql", token=ada.token)
    assert (seen["apollo"], seen["urql"]) == ("Ada", "Ada")
    assert seen["requests"]["urql"] == ["GET id", "GET document"]
    assert seen["requests"]["apollo"] in (["GET id", "POST document"], ["GET id", "GET document"])

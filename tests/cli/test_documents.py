"""`penny documents` against a running PENNY: manifests published whole, and what a schema breaks."""

import asyncio
import json
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from cli import documents
from gateway.manifests import MOST_PARTS
from tests.api.manifests import SIGN_IN, VIEWER, flat, live, publish
from tests.api.people import done
from tests.running import ROOT, Api, running_web
from web.works import Process


async def penny(*arguments: str, key: str = "") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.main", "documents", *arguments, cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, told = await process.communicate(key.encode())
    return process.returncode or 0, out.decode(), told.decode()


async def admin_key(api: Api) -> str:
    return str((await done(api, "apiKeyCreate", "secretOnce", name="CI", scopes=["api:admin"]))["secretOnce"])


def written(folder: Path, *texts: str) -> str:
    path = folder / "manifest.json"
    path.write_text(json.dumps(flat(*texts)))
    return str(path)


async def test_a_manifest_is_published_with_a_key(api: Api, tmp_path: Path) -> None:
    ada = await api.sign_up()
    key = await admin_key(ada)
    given = ("publish", written(tmp_path, VIEWER, SIGN_IN), "--client", "mobile", "--version", "1.4.0", "--url", api.url, "--key-file", "-")
    for _ in range(2):
        status, out, told = await penny(*given, key=f"{key}\n")
        assert (status, out) == (0, "mobile 1.4.0 sends 2 documents.\n"), told
        assert "Publishing" in told
        assert key not in out + told
    (manifest,) = await live(ada)
    assert (manifest["client"], manifest["version"]) == ("mobile", "1.4.0")


async def test_a_manifest_that_is_larger_than_a_request_is_published(api: Api, tmp_path: Path) -> None:
    ada = await api.sign_up()
    texts = [f"query Q{number} {{ __typename }} # {'x' * 20_000}" for number in range(20)]
    assert sum(map(len, texts)) > 262_144
    given = ("publish", written(tmp_path, *texts), "--client", "web", "--version", "1", "--url", api.url, "--key", await admin_key(ada))
    status, out, told = await penny(*given)
    assert (status, out) == (0, "web 1 sends 20 documents.\n"), told
    (manifest,) = await live(ada)
    assert sorted(one["body"] for one in manifest["documents"]["nodes"]) == sorted(texts)


async def test_what_cannot_run_is_named_and_nothing_is_published(api: Api, tmp_path: Path) -> None:
    ada = await api.sign_up()
    given = ("--client", "mobile", "--version", "1", "--url", api.url)
    status, out, told = await penny("publish", written(tmp_path, VIEWER, "{ nothing }"), *given, "--key", await admin_key(ada))
    assert status == 1
    assert "Cannot query field 'nothing'" in out
    assert "Nothing was published: 1 of the documents cannot run." in told
    status, _, told = await penny("publish", written(tmp_path, VIEWER), *given, "--key", "pny_live_wrong")
    assert (status, told.splitlines()[-1]) == (1, "penny: This is no API key.")
    status, _, told = await penny("publish", written(tmp_path, VIEWER), *given)
    assert status == 2
    assert "--key-file" in told
    assert await live(ada) == []


async def test_check_names_what_the_schema_does_not_answer(api: Api, process: Process, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(flat(VIEWER, SIGN_IN)))
    bad.write_text(json.dumps(flat(VIEWER, "query Old { viewer { nickname } }")))
    assert await penny("check", str(good)) == (0, "", "2 of 2 documents are answered.\n")
    status, out, told = await penny("check", str(good), str(bad))
    assert (status, told) == (1, "3 of 4 documents are answered.\n")
    assert "Cannot query field 'nickname' on type 'Viewer'" in out
    (tmp_path / "no.json").write_text("[]")
    assert (await penny("check", str(tmp_path / "no.json")))[0] == 1
    assert (await penny("check"))[0] == 2


async def test_check_looks_at_what_is_live(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    await publish(ada, VIEWER, SIGN_IN, version="1.4.0")
    given = ("check", "--live", "--url", api.url, "--key", await admin_key(ada))
    assert await penny(*given) == (0, "", "2 of 2 documents are answered.\n")
    # The schema changes under what was published: of this document nothing is left that could be asked.
    tenant_id = (await process.works.api_keys.viewer_of(given[-1])).tenant_id
    async with process.works.scopes.writing(tenant_id) as scope:
        gone = """
            UPDATE penny.trusted_documents d SET body = new.body, sha256 = sha256(convert_to(new.body, 'UTF8'))
            FROM (SELECT id, replace(body, 'name', 'nickname') AS body FROM penny.trusted_documents) new
            WHERE d.tenant_id = $1 AND d.operation_name = 'Viewer' AND new.id = d.id
        """
        assert await scope.run(gone, tenant_id) == 1
    status, out, _ = await penny(*given)
    assert (status, out.partition(": Cannot")[0]) == (1, "mobile 1.4.0: Viewer")
    # Each manifest says what of it is gone, and no other one's.
    await publish(ada, SIGN_IN, version="1.5.0")
    changes = (await ada.data("{ documentManifests(first: 9) { nodes { breakingChanges } } }"))["documentManifests"]["nodes"]
    assert [len(one["breakingChanges"]) for one in changes] == [0, 1]
    assert changes[1]["breakingChanges"][0].startswith("Viewer: Cannot query field 'nickname'")


async def test_where_the_points_do_not_last_the_rest_waits(api: Api, environment: dict[str, str], tmp_path: Path) -> None:
    ada = await api.sign_up()
    key = await admin_key(ada)
    # What comes back in a second pays for five documents; so do the points that there are, beside the operation.
    little = {"UNKNOWN_POINTS": "100", "MAX_COST": "500"}
    narrow = {f"PENNY_GRAPHQL_{name}": value for name, value in little.items()}
    narrow |= {"PENNY_RATE_LIMIT_PRINCIPAL_POINTS": "500", "PENNY_RATE_LIMIT_PRINCIPAL_PER_SECOND": "500"}
    async with running_web({**environment, **narrow, "PENNY_VALKEY_PREFIX": f"publishing-{uuid4()}"}) as (url, _):
        given = ("publish", written(tmp_path, *(f"query Q{number} {{ __typename }}" for number in range(12))), "--client", "web")
        status, out, told = await penny(*given, "--version", "1", "--url", url, "--key", key)
    assert (status, out) == (0, "web 1 sends 12 documents.\n"), told
    assert len(await live(ada)) == 1


@pytest.mark.parametrize("sizes", [[10], [60_000] * 5, [200_000, 10], [0] * 3, [0] * 301, [100] * 60_000])
def test_parts_hold_everything_once_and_fit(sizes: list[int]) -> None:
    texts = {str(number): "x" * size for number, size in enumerate(sizes)}
    parts = list(documents._parts(texts))
    assert {name: text for part in parts for name, text in part.items()} == texts
    assert sum(map(len, parts)) == len(texts)
    assert all(len(json.dumps(part)) < documents.PART_BYTES * 1.1 for part in parts if len(part) > 1)
    assert len(parts) <= MOST_PARTS

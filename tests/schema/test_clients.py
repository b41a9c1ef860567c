"""The schema answers what PENNY's own clients send, and `penny documents check` says so when it does not any more."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from schema.schema import sdl
from tests.cli.test_main import penny
from tests.schema.clients import CLIENTS, FOLDER, manifest_of, path_of, paths_of, written

_BEGINS = re.compile(r"\b(query|mutation|subscription) (\w+) ?[({@]")


@pytest.mark.parametrize("client", CLIENTS)
def test_the_committed_manifest_of_a_client_is_what_it_sends(client: str) -> None:
    manifest = manifest_of(client)
    assert len(manifest["operations"]) > 0
    assert path_of(client).read_text() == written(manifest), "run `make schema`"


@pytest.mark.parametrize("client", CLIENTS)
def test_no_document_of_a_client_is_missed(client: str) -> None:
    """Counted in another way than they are found: by how operations begin, wherever that is."""
    counted = Counter(name for path in paths_of(client) for name in _BEGINS.findall(path.read_text()))
    found = Counter((operation["type"], operation["name"]) for operation in manifest_of(client)["operations"])
    assert counted == found


def test_the_schema_answers_all_that_clients_send() -> None:
    checked = penny("documents", "check", str(FOLDER))
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stdout


def test_a_field_that_is_taken_away_from_a_client_is_named_with_whose_it_is(tmp_path: Path) -> None:
    without = tmp_path / "schema.graphql"
    without.write_text(re.sub(r'\n  """[^"]*"""\n  documentCount: Int!', "", sdl()))
    assert without.read_text() != sdl()
    manifest = tmp_path / "mobile@1.4.0.json"
    manifest.write_text(json.dumps({"m1": "query Manifests { documentManifests(first: 1) { nodes { documentCount } } }"}))
    checked = penny("documents", "check", str(FOLDER), str(manifest), "--schema", str(without))
    assert checked.returncode == 1
    mobile, published = "mobile 1.4.0: Manifests: ", f"{path_of('cli').stem.replace('@', ' ')}: PublishManifest: "
    sentence = "Cannot query field 'documentCount' on type 'DocumentManifest'."
    assert f"{mobile}{sentence}" in checked.stdout
    assert f"{published}{sentence}" in checked.stdout

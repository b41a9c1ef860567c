"""Manifests: every form of every tool is read, and what is none is refused."""

import hashlib
from typing import Any

import pytest

from errors import Invalid
from gateway.formats import fault_of, texts_by_name

TEXT = "{ viewer { id } }"
HASHES = {name: hashlib.new(name, TEXT.encode(), usedforsecurity=False).hexdigest() for name in ("md5", "sha1", "sha256")}


@pytest.mark.parametrize("name", [*HASHES.values(), HASHES["sha256"].upper(), "viewer-1.4", "a" * 33, "ñ"])
def test_a_name_that_is_a_hash_is_the_text_s(name: str) -> None:
    assert fault_of(name, TEXT) is None
    is_hash = name.lower() in HASHES.values()
    assert (fault_of(name, f"{TEXT} ") is not None) is is_hash


@pytest.mark.parametrize("name", ["", "a" * 201, "a\0b", "a\nb"])
def test_a_name_can_be_read(name: str) -> None:
    assert fault_of(name, TEXT) is not None


def test_prefixes_fall_away_and_a_name_means_one_text() -> None:
    assert texts_by_name({f"sha256:{HASHES['sha256']}": TEXT, HASHES["sha256"]: TEXT}) == {HASHES["sha256"]: TEXT}
    with pytest.raises(Invalid, match="two documents"):
        texts_by_name({"sha256:a": TEXT, "a": "{ other }"})


@pytest.mark.parametrize(
    "manifest",
    [
        None, 5, "x", [], {}, {"a": 1}, {"a": None}, {"a": {"body": TEXT}}, {"a": {"source": 1}},
        {"format": "apollo-persisted-query-manifest", "version": 2, "operations": [{"id": "a", "body": TEXT}]},
        {"format": "apollo-persisted-query-manifest", "version": 1, "operations": {}},
        {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id": "a"}]},
        {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [5]},
        {"format": "apollo-persisted-query-manifest", "version": 1, "operations": []},
    ],
)  # fmt: skip
def test_what_is_no_manifest_is_refused(manifest: Any) -> None:
    with pytest.raises(Invalid):
        texts_by_name(manifest)

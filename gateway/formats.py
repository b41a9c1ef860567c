"""Manifests as the tools of clients write them: which document each name stands for.

Apollo Client's `generate-persisted-query-manifest`, Apollo Kotlin and Apollo iOS write a list of operations; Relay's compiler and
GraphQL Code Generator's client preset write texts by name; older Apollo iOS and Kotlin write `{name, source}` by name.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from errors import Invalid

APOLLO: Final = "apollo-persisted-query-manifest"
PREFIX: Final = "sha256:"
LONGEST_NAME: Final = 200
# The names that are hashes, by their length in hexadecimal digits: Relay's compiler uses MD5 unless it is told otherwise.
_HASHES: Final[Mapping[int, Callable[[bytes], Any]]] = {
    64: hashlib.sha256,
    40: lambda text: hashlib.sha1(text, usedforsecurity=False),
    32: lambda text: hashlib.md5(text, usedforsecurity=False),
}


def digest_of(text: str) -> bytes:
    """Return the SHA-256 of a document's text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def hash_of(text: str) -> str:
    """Return the SHA-256 of a document's text as ids spell it."""
    return digest_of(text).hex()


def texts_by_name(manifest: Any) -> dict[str, str]:
    """Read a manifest of any of these forms; raises `Invalid`."""
    if not isinstance(manifest, dict):
        raise _unreadable("A manifest is a JSON object.")
    found = _listed(manifest) if "format" in manifest and "operations" in manifest else _mapped(manifest)
    if not found:
        raise _unreadable("The manifest has no documents.")
    return found


def name_of(text: str) -> str:
    """Spell a document's id as it is stored: without the prefix of GraphQL over HTTP's hashes."""
    return text.removeprefix(PREFIX)


def fault_of(name: str, text: str) -> str | None:
    """Say why a document cannot be kept by this name: one that looks like a hash must be the text's."""
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        return f"An id has 1 to {LONGEST_NAME} printable characters."
    if "\0" in text:
        return "A document has no character NUL."
    digits = name.lower()
    made = _HASHES.get(len(name)) if all(digit in "0123456789abcdef" for digit in digits) else None
    if made is not None and made(text.encode()).hexdigest() != digits:
        return "The id is not the hash of the document's text."
    return None


def _listed(manifest: Mapping[str, Any]) -> dict[str, str]:
    if manifest["format"] != APOLLO or manifest.get("version") != 1 or not isinstance(manifest["operations"], list):
        raise _unreadable(f"A manifest with a format is `{APOLLO}`, version 1.")
    found: dict[str, str] = {}
    for one in manifest["operations"]:
        if not isinstance(one, dict) or not isinstance(one.get("id"), str) or not isinstance(one.get("body"), str):
            raise _unreadable("An operation of the manifest has an `id` and a `body`.")
        _add(found, one["id"], one["body"])
    return found


def _mapped(manifest: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in manifest.items():
        text = value.get("source") if isinstance(value, dict) else value
        if not isinstance(text, str):
            raise _unreadable("A manifest gives a document's text for each id.")
        _add(found, name, text)
    return found


def _add(found: dict[str, str], name: str, text: str) -> None:
    name = name_of(name)
    if found.setdefault(name, text) != text:
        raise _unreadable(f"The manifest has two documents of the id {name[:LONGEST_NAME]!r}.")


def _unreadable(message: str) -> Invalid:
    return Invalid(message, path=("manifest",), constraint="manifest")

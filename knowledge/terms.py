"""The blind index: what of a text's words the database is told, which is a keyed hash of each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from auth.encryption.ciphers import TenantCipher
from db.scopes import Writing
from db.statements import terms
from knowledge.words import composed, words

# That any two of a million words of a tenant share a hash has a chance of 1 in 37 million.
TERM_BYTES: Final = 8
# A message or title is found by so many different words at most: the first ones.
MOST_WORDS: Final = 2000
_PURPOSE: Final = "search terms"


def hashed(cipher: TenantCipher, some: Iterable[str], *, version: int | None = None) -> list[int]:
    """Hash words under the tenant's key; equal words of a tenant are equal terms, those of another tenant or key are not."""
    return [int.from_bytes(cipher.hmac(_PURPOSE, word.encode(), version=version)[:TERM_BYTES], "big", signed=True) for word in some]


def distinct(text: str, most: int) -> list[str]:
    """Return the different words of a text in the order in which they first come; those beyond the first `most` are left out."""
    found: dict[str, None] = {}
    for word in words(composed(text)):
        found[word.text] = None
        if len(found) == most:
            break
    return list(found)


async def keep_messages(scope: Writing, cipher: TenantCipher, texts: Mapping[UUID, str]) -> None:
    """Index messages anew, in the transaction that writes them. A text of nothing is found by nothing."""
    found = {message_id: hashed(cipher, distinct(text, MOST_WORDS)) for message_id, text in texts.items()}
    if found:
        await terms.keep_messages(scope, cipher.tenant_id, found, key_version=_version(cipher))


async def copy_messages(scope: Writing, cipher: TenantCipher, copies: Sequence[UUID]) -> None:
    """Index copies of messages as their originals are, in the transaction that writes them."""
    if copies:
        await terms.copy_messages(scope, cipher.tenant_id, copies)


async def keep_titles(scope: Writing, cipher: TenantCipher, titles: Mapping[UUID, str | None]) -> None:
    """Index titles of chats anew, in the transaction that writes them."""
    found = {chat_id: hashed(cipher, distinct(title or "", MOST_WORDS)) for chat_id, title in titles.items()}
    if found:
        await terms.keep_titles(scope, cipher.tenant_id, found, key_version=_version(cipher))


def _version(cipher: TenantCipher) -> int:
    assert cipher.active_version is not None, "nothing is hashed without an active key"
    return cipher.active_version

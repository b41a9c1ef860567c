"""One tenant's cipher: content is bound to its row, and what was moved or changed is refused.

An encrypted value is `0x01 | key version, 4 bytes big-endian | nonce, 12 bytes | ciphertext and tag`, AES-256-GCM with the associated
data `penny|v1|tenant|table|column|row id|key version`. Nonces are random: a key version serves for 2**30 values (NIST SP 800-38D
allows 2**32), then rotate.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES: Final = 32
_FORMAT: Final = b"\x01"
_NONCE_AT: Final = 5
_TEXT_AT: Final = 17
_SHORTEST: Final = _TEXT_AT + 16
# AESGCM.decrypt, and the associated data before and after the row's id.
_Opener = tuple[Callable[[bytes, bytes, bytes], bytes], bytes, bytes]


class ContentIsUnreadable(Exception):
    """Encrypted content cannot be decrypted: it was moved, changed or cut, or its key is missing. An internal fault."""


class KeyIsMissing(ContentIsUnreadable):
    """The cipher has no key of this version; a cipher that is loaded anew may have it."""


class KeyIsShredded(KeyIsMissing):
    """The key was destroyed on purpose: the content is gone for good."""


class DataKey(bytes):
    """The 32 bytes of a data key; never shown, so that no log or traceback carries them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "DataKey(***)"

    __str__ = __repr__


def key_version_of(blob: bytes) -> int:
    """The version of the key that the value was encrypted under; raises `ContentIsUnreadable` for what is no such value."""
    if len(blob) < _SHORTEST or blob[:1] != _FORMAT:
        raise ContentIsUnreadable("This is no encrypted value.")
    return int.from_bytes(blob[1:_NONCE_AT], "big")


def _begun_hmac(key: bytes) -> "tuple[hashlib._Hash, hashlib._Hash]":
    """HMAC-SHA-256 (RFC 2104) with its key taken in: copies of the two halves cost less than half of one that begins with the key."""
    block = key.ljust(hashlib.sha256().block_size, b"\0")
    return hashlib.sha256(bytes(byte ^ 0x36 for byte in block)), hashlib.sha256(bytes(byte ^ 0x5C for byte in block))


class TenantCipher:
    """Encrypts and decrypts for one tenant, with its data keys by version; without an active one it only reads."""

    __slots__ = ("_ciphers", "_hashes", "_keys", "_openers", "_owner", "_shredded", "active_version", "tenant_id")

    def __init__(self, tenant_id: UUID, keys: Mapping[int, bytes], active_version: int | None, shredded: Collection[int] = ()) -> None:
        if any(len(key) != KEY_BYTES for key in keys.values()):
            raise ValueError("A data key has 32 bytes.")
        if active_version is not None and active_version not in keys:
            raise ValueError("The active version's key is not among the keys.")
        self.tenant_id = tenant_id
        self.active_version = active_version
        self._owner = f"penny|v1|{tenant_id}"
        self._shredded = frozenset(shredded)
        self._keys = {version: DataKey(key) for version, key in keys.items()}
        self._ciphers = {version: AESGCM(key) for version, key in keys.items()}
        self._openers: dict[tuple[str, str, bytes], _Opener] = {}
        self._hashes: dict[tuple[str, int], tuple[hashlib._Hash, hashlib._Hash]] = {}

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions that can be read, the newest first: a look-up by `hmac` asks for each while a rotation runs."""
        return tuple(sorted(self._keys, reverse=True))

    def knows(self, version: int) -> bool:
        """Whether this cipher has the version or knows that it was shredded."""
        return version in self._keys or version in self._shredded

    def encrypt(self, table: str, column: str, row_id: UUID | str, plaintext: bytes) -> bytes:
        """Encrypt under the active key for exactly this place; raises `KeyIsMissing` when no key is active."""
        version = self._active()
        nonce = os.urandom(12)
        text = self._ciphers[version].encrypt(nonce, plaintext, self._place(table, column, row_id, version))
        return b"".join((_FORMAT, version.to_bytes(4, "big"), nonce, text))

    def decrypt(self, table: str, column: str, row_id: UUID | str, blob: bytes) -> bytes:
        """The plaintext; raises `ContentIsUnreadable` unless it was encrypted for exactly this place and is unchanged."""
        (content,) = self.decrypt_many(table, column, ((row_id, blob),))
        if isinstance(content, ContentIsUnreadable):
            raise content
        return content

    def decrypt_many(self, table: str, column: str, rows: Iterable[tuple[UUID | str, bytes]]) -> list[bytes | ContentIsUnreadable]:
        """`decrypt` the values of many rows; in the place of one that is unreadable stands why."""
        found: list[bytes | ContentIsUnreadable] = []
        for row_id, blob in rows:
            try:
                # The values of a page mostly begin alike: their format and the version of their key.
                decrypt, before, after = self._openers.get((table, column, blob[:_NONCE_AT])) or self._opener(table, column, blob)
            except ContentIsUnreadable as error:
                found.append(error)
                continue
            try:
                found.append(decrypt(blob[_NONCE_AT:_TEXT_AT], blob[_TEXT_AT:], before + str(row_id).encode() + after))
            except (InvalidTag, ValueError):  # ValueError is what a nonce cut short is called
                found.append(ContentIsUnreadable(f"{table}.{column} of {row_id} is not what was encrypted for it."))
        return found

    def _opener(self, table: str, column: str, blob: bytes) -> _Opener:
        """What decrypts this column's values under the same key, and what stands in their place before and after the row's id."""
        version = key_version_of(blob)
        if (cipher := self._ciphers.get(version)) is None:
            raise self._missing(version)
        opener = self._openers[table, column, blob[:_NONCE_AT]] = (cipher.decrypt, *self._around_row(table, column, version))
        return opener

    def hmac(self, purpose: str, data: bytes, *, version: int | None = None) -> bytes:
        """A keyed hash, 32 bytes, to find or compare content without storing it; `version` defaults to the active one.

        Each purpose has a key of its own (HKDF of the data key), so equal data gives unrelated hashes. Purposes are named in the code.
        """
        version = self._active() if version is None else version
        if (begun := self._hashes.get((purpose, version))) is None:
            begun = self._hashes[purpose, version] = _begun_hmac(self._hash_key(purpose, version))
        inner, outer = begun[0].copy(), begun[1].copy()
        inner.update(data)
        outer.update(inner.digest())
        return outer.digest()

    def _hash_key(self, purpose: str, version: int) -> DataKey:
        if (key := self._keys.get(version)) is None:
            raise self._missing(version)
        info = f"penny|v1|hmac|{self.tenant_id}|{version}|{purpose}".encode()
        return DataKey(HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(key))

    def _active(self) -> int:
        if self.active_version is None:
            raise KeyIsMissing(f"Tenant {self.tenant_id} has no active key.")
        return self.active_version

    def _missing(self, version: int) -> KeyIsMissing:
        if version in self._shredded:
            return KeyIsShredded(f"Key {version} of tenant {self.tenant_id} was shredded.")
        return KeyIsMissing(f"There is no key {version} of tenant {self.tenant_id} here.")

    def _place(self, table: str, column: str, row_id: UUID | str, version: int) -> bytes:
        before, after = self._around_row(table, column, version)
        return before + str(row_id).encode() + after

    def _around_row(self, table: str, column: str, version: int) -> tuple[bytes, bytes]:
        """A place's text before and after the row's id."""
        if "|" in table or "|" in column:
            raise ValueError("A table's and a column's name have no '|': two places would look the same.")
        return f"{self._owner}|{table}|{column}|".encode(), f"|{version}".encode()

    def __repr__(self) -> str:
        return f"TenantCipher(tenant_id={self.tenant_id}, versions={self.versions}, active_version={self.active_version})"

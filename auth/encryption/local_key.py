"""A key-encryption key in a file of this machine: 32 random bytes that only their owner may read."""

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Final, Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from auth.encryption.ciphers import KEY_BYTES
from auth.encryption.key_encryption import DataKeyIsUnreadable
from settings import SettingsError

_FORMAT: Final = b"\x01"
_SHORTEST: Final = 1 + 12 + 16


class KeyFileIsUnusable(SettingsError):
    """The key file is missing, not ours alone, or no key; the text is one line for the person who starts PENNY."""


class LocalKey:
    """Wraps by AES-256-GCM with the tenant's id as associated data: `0x01 | nonce, 12 bytes | ciphertext and tag`."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError("A key-encryption key has 32 bytes.")
        self._cipher = AESGCM(key)
        # A fingerprint, so that a value wrapped by another file is known as such.
        self.id = f"local:{hmac.digest(key, b'penny|v1|key id', hashlib.sha256)[:8].hex()}"

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Self:
        """The key in the file; `create` makes a new one where there is none. Raises `KeyFileIsUnusable`."""
        if create and not os.path.lexists(path):
            _create(path)
        return cls(_content(path))

    async def wrap(self, data_key: bytes, tenant_id: UUID) -> bytes:
        nonce = os.urandom(12)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, data_key, _owner(tenant_id))

    async def unwrap(self, wrapped: bytes, tenant_id: UUID) -> bytes:
        foreign = DataKeyIsUnreadable(f"The data key of tenant {tenant_id} was not wrapped for it by {self.id}.")
        if wrapped[:1] != _FORMAT or len(wrapped) < _SHORTEST:
            raise foreign
        try:
            return self._cipher.decrypt(wrapped[1:13], wrapped[13:], _owner(tenant_id))
        except InvalidTag:
            raise foreign from None

    async def check(self) -> None:
        """Nothing can be away: the key is in memory."""

    async def close(self) -> None: ...

    def __repr__(self) -> str:
        return f"LocalKey(id={self.id!r})"


def _owner(tenant_id: UUID) -> bytes:
    return f"penny|v1|data key|{tenant_id}".encode()


def _create(path: Path) -> None:
    """Written beside its place and linked into it: a crash leaves no half key, and of two processes that start at once one wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _content(path: Path) -> bytes:
    try:
        # What is checked is the open file, not a name that may change meanwhile. NONBLOCK: a pipe must not hold the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise KeyFileIsUnusable(f"The key file {path} does not exist; restore it, or nothing that was stored can be read.") from None
    except OSError as error:
        raise KeyFileIsUnusable(f"The key file {path} cannot be opened ({error.strerror}); it must be a plain file.") from error
    try:
        _refuse_shared(path, os.fstat(descriptor))
        key = os.read(descriptor, KEY_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(key) != KEY_BYTES:
        raise KeyFileIsUnusable(f"The key file {path} must hold exactly {KEY_BYTES} bytes.")
    return key


def _refuse_shared(path: Path, about: os.stat_result) -> None:
    if not stat.S_ISREG(about.st_mode):
        raise KeyFileIsUnusable(f"The key file {path} must be a plain file.")
    if about.st_uid != os.geteuid():
        raise KeyFileIsUnusable(f"The key file {path} belongs to user {about.st_uid}; it must belong to user {os.geteuid()}.")
    if about.st_mode & 0o077:
        raise KeyFileIsUnusable(f"The key file {path} is open to others (mode {about.st_mode & 0o777:o}); run `chmod 600 {path}`.")

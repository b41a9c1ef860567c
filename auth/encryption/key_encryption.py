"""What a key-encryption key does, and how it fails."""

from typing import Protocol
from uuid import UUID

from auth.encryption.ciphers import ContentIsUnreadable
from errors import Unavailable


class KeyServiceIsAway(Unavailable):
    """The key-encryption key cannot be used now; nothing is stored or read without it."""

    def __init__(self, message: str = "The keys cannot be reached; try again in a moment.") -> None:
        super().__init__(message)


class DataKeyIsUnreadable(ContentIsUnreadable):
    """A wrapped data key was changed, belongs to another tenant, or was wrapped by another key-encryption key."""


class KeyEncryptionKey(Protocol):
    """Wraps data keys, each bound to its tenant.

    `unwrap` raises `DataKeyIsUnreadable` for what this key did not wrap for this tenant; both raise `KeyServiceIsAway`.
    """

    @property
    def id(self) -> str:
        """Which key it is, as stored beside what it wrapped."""

    async def wrap(self, data_key: bytes, tenant_id: UUID) -> bytes: ...

    async def unwrap(self, wrapped: bytes, tenant_id: UUID) -> bytes: ...

    async def check(self) -> None:
        """Wrap and unwrap once; raises `KeyServiceIsAway` unless that works."""

    async def close(self) -> None: ...

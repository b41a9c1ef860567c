"""Mails that wait in the database, encrypted, until a worker has sent them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from auth.encryption.keyring import Keyring
from auth.mailer import Mail, Mailer
from db.scopes import Row, SystemScopes, Writing
from settings import Settings


@dataclass(frozen=True)
class SealedMail:
    id: UUID
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class QueuedMail:
    row: Row
    mail: Mail


class MailQueue:
    def __init__(
        self, system: SystemScopes, keyring: Keyring, mailer: Mailer, settings: Settings, *, now: Callable[[], datetime] = ...
    ) -> None:
        raise NotImplementedError

    async def seal(self, mail: Mail) -> SealedMail:
        """Encrypt, before a scope is opened (the key may have to be fetched)."""
        raise NotImplementedError

    async def enqueue(self, scope: Writing, mail: SealedMail) -> None:
        """Queue in the caller's transaction."""
        raise NotImplementedError

    async def send_due(self, limit: int) -> int:
        raise NotImplementedError

    async def recent(self, limit: int) -> list[QueuedMail]:
        raise NotImplementedError

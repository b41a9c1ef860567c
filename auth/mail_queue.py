"""Mails that wait in the database, encrypted, until a worker has sent them."""

import contextlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec
import structlog
from uuid_utils.compat import uuid7

from auth.clock import Clock, utc_now
from auth.encryption.ciphers import ContentIsUnreadable, key_version_of
from auth.encryption.keyring import Keyring
from auth.key_store import PLATFORM
from auth.mailer import Mail, Mailer, MailWasNotTaken
from db.scopes import Row, SystemScopes, Writing
from db.statements import mails
from settings import Settings

log = structlog.get_logger()

# A claimed mail is nobody else's for this long; a mail server has half of it to answer.
_CLAIM: Final = timedelta(minutes=1)
_FIRST_PAUSE: Final = timedelta(minutes=1)
_LONGEST_PAUSE: Final = timedelta(hours=6)


@dataclass(frozen=True)
class SealedMail:
    """A mail as it is stored."""

    id: UUID
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class QueuedMail:
    """A mail's row and what the mail says."""

    row: Row
    mail: Mail


class MailQueue:
    """Queues mails in the transactions that ask for them, and sends each at least once."""

    def __init__(self, system: SystemScopes, keyring: Keyring, mailer: Mailer, settings: Settings, *, now: Clock = utc_now) -> None:
        self._system = system
        self._keyring = keyring
        self._mailer = mailer
        self._attempts = settings.mail_attempts
        self._keep = settings.is_development
        self._now = now

    async def seal(self, mail: Mail) -> SealedMail:
        """Encrypt a mail for the queue. Before a scope is opened: the platform's key may have to be fetched."""
        cipher, mail_id = await self._keyring.cipher(PLATFORM), uuid7()
        return SealedMail(mail_id, cipher.encrypt("mails", "content", mail_id, msgspec.json.encode(mail)))

    async def enqueue(self, scope: Writing, mail: SealedMail) -> None:
        """Queue a mail with the caller's transaction, of a tenant or of the system."""
        await mails.create(scope, mail.id, mail.content, self._now())

    async def send_due(self, limit: int) -> int:
        """Try at most so many mails that are due, and return how many were tried; several workers share the work."""
        # A key service that is away must not use up the mails' attempts.
        await self._keyring.cipher(PLATFORM)
        for tried in range(limit):
            now = self._now()
            async with self._system.writing() as scope:
                row = await mails.claim(scope, now=now, until=now + _CLAIM)
            if row is None:
                return tried
            await self._send(row)
        return limit

    async def recent(self, limit: int) -> list[QueuedMail]:
        """The mails that were queued last and can be read, for developers; production keeps none that is done with."""
        async with self._system.reading() as scope:
            rows = await mails.newest(scope, limit)
        readable: list[QueuedMail] = []
        for row in rows:
            with contextlib.suppress(ContentIsUnreadable):
                readable.append(QueuedMail(row, await self._opened(row)))
        return readable

    async def _send(self, row: Row) -> None:
        try:
            await self._mailer.send(await self._opened(row))
        except MailWasNotTaken as error:
            await self._refused(row, permanent=error.permanent, reason=str(error))
        except ContentIsUnreadable as error:
            await self._refused(row, permanent=True, reason=str(error))
        else:
            async with self._system.writing() as scope:
                await mails.sent(scope, row["id"], self._now(), keep=self._keep)

    async def _opened(self, row: Row) -> Mail:
        content: bytes = row["content"]
        cipher = await self._keyring.cipher(PLATFORM, version=key_version_of(content))
        return msgspec.json.decode(cipher.decrypt("mails", "content", row["id"], content), type=Mail)

    async def _refused(self, row: Row, *, permanent: bool, reason: str) -> None:
        over = permanent or row["attempts"] >= self._attempts
        log.warning("mail_not_taken", id=str(row["id"]), attempts=row["attempts"], given_up=over, reason=reason)
        async with self._system.writing() as scope:
            if over:
                await mails.failed(scope, row["id"], self._now(), keep=self._keep)
            else:
                await mails.postponed(scope, row["id"], self._now() + _pause(row["attempts"]))


def _pause(attempts: int) -> timedelta:
    """The wait after so many failed attempts: a minute, then twice as long each time."""
    return min(_FIRST_PAUSE * (1 << min(attempts - 1, 20)), _LONGEST_PAUSE)

"""Sends mails by SMTP, or prints them in development."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid, parseaddr
from ssl import SSLContext, create_default_context
from typing import Protocol

import aiosmtplib

from settings import Settings, SettingsError


@dataclass(frozen=True)
class Mail:
    """A plain text mail to one address; its text may hold a secret link."""

    to: str
    subject: str
    text: str = field(repr=False)


class MailWasNotTaken(Exception):
    """The mail was not handed over; a `permanent` failure would come again, any other may be tried again later."""

    def __init__(self, reason: str, *, permanent: bool) -> None:
        super().__init__(reason)
        self.permanent = permanent


class Mailer(Protocol):
    async def send(self, mail: Mail) -> None:
        """Hand the mail over; raises `MailWasNotTaken`."""


class SmtpMailer:
    """Hands each mail to the SMTP server of the settings over a connection of its own; `timeout_seconds` is for each command."""

    def __init__(self, settings: Settings, *, tls: SSLContext | None = None, timeout_seconds: float = 10.0) -> None:
        self._settings = settings
        self._tls = tls or create_default_context()
        self._timeout_seconds = timeout_seconds
        self._sender = _sender(settings)

    async def send(self, mail: Mail) -> None:
        message = self._message(mail)
        try:
            await self._hand_over(message)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailWasNotTaken(f"The mail server did not take the mail: {error}", permanent=_is_permanent(error)) from error

    async def _hand_over(self, message: EmailMessage) -> None:
        settings = self._settings
        await aiosmtplib.send(
            message,
            sender=self._sender.addr_spec,
            recipients=[message["To"].addresses[0].addr_spec],
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_username or None,
            password=str(settings.smtp_password) or None,
            use_tls=settings.smtp_security == "tls",
            start_tls=settings.smtp_security == "starttls",
            tls_context=self._tls,
            timeout=self._timeout_seconds,
        )

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self._sender
        try:
            # One address exactly: these classes refuse line breaks, lists and groups.
            message["To"] = Address(addr_spec=mail.to)
            message["Subject"] = mail.subject
            message.set_content(mail.text, cte="quoted-printable")
        except (ValueError, IndexError, MessageError) as error:
            raise MailWasNotTaken("The mail's address, subject or text cannot be sent.", permanent=True) from error
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = make_msgid(domain=self._sender.domain)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation notice answers it
        return message


class PrintedMailer:
    """Writes each mail as a block of text, for a developer to read and to follow its link."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    async def send(self, mail: Mail) -> None:
        lines = [f"To: {mail.to}", f"Subject: {mail.subject}", "", *mail.text.splitlines()]
        body = "\n".join(f"    {_printable(line)}".rstrip() for line in lines)
        self._write(f"\nMail, not sent because PENNY_SMTP_HOST is empty:\n\n{body}\n\n")


def open_mailer(settings: Settings, write: Callable[[str], object] = sys.stderr.write) -> Mailer:
    """By SMTP where a server is set, else printed, in development only; raises `SettingsError`."""
    if settings.smtp_host:
        return SmtpMailer(settings)
    if settings.is_development:
        return PrintedMailer(write)
    raise SettingsError("PENNY_SMTP_HOST is not set: without it mails are only printed, and that in development only.")


def _sender(settings: Settings) -> Address:
    try:
        name, address = parseaddr(settings.mail_from)
        return Address(name, addr_spec=address)
    except (ValueError, IndexError, MessageError):
        raise SettingsError(f"PENNY_MAIL_FROM must be like `PENNY <penny@example.org>`, not {settings.mail_from!r}.") from None


def _is_permanent(error: Exception) -> bool:
    """Whether the server refused this mail for good (5xx, RFC 5321 section 4.2.1); a refused sign-in is our setting, not the mail."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(one.code >= 500 for one in error.recipients)
    if isinstance(error, aiosmtplib.SMTPAuthenticationError | aiosmtplib.SMTPConnectError | aiosmtplib.SMTPHeloError):
        return False
    return isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= 500


def _printable(line: str) -> str:
    """Without what would steer the terminal: names in mails come from strangers."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line)

"""Mails arrive whole at exactly one address, say where they were refused and why, and link to our own address only."""

import asyncio
import contextlib
import datetime as dt
import email
import ssl
from collections.abc import AsyncIterator
from email.message import EmailMessage
from email.policy import default
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from auth.mailer import Mail, MailWasNotTaken, PrintedMailer, SmtpMailer, open_mailer
from auth.mails import invitation_mail, password_changed_mail, reset_mail, verification_mail
from settings import Settings, SettingsError

MAIL = Mail("ada@example.org", "Grüße", "A line.\n.\nÜber " + "long " * 300 + "\n")


def settings(**given: str) -> Settings:
    servers = {"PENNY_DATABASE_URL": "-", "PENNY_DATABASE_SYSTEM_URL": "-", "PENNY_VALKEY_URL": "-"}
    return Settings.from_environment(servers | {f"PENNY_{name.upper()}": value for name, value in given.items()})


class Sink:
    """An SMTP server that keeps what it is given; `answers` replaces its answer to a command, None keeps silent."""

    def __init__(self) -> None:
        self.tls: ssl.SSLContext | None = None
        self.answers: dict[str, str | None] = {}
        self.commands: list[str] = []
        self.mails: list[EmailMessage] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            writer.write(b"220 sink\r\n")
            while line := (await reader.readline()).decode().strip():
                self.commands.append(line)
                await self._answer(line.split()[0].upper(), reader, writer)
        writer.close()

    async def _answer(self, verb: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = self.answers.get(verb, self._usual(verb))
        if answer is None:
            return
        writer.write(f"{answer}\r\n".encode())
        if verb == "STARTTLS" and self.tls:
            await writer.start_tls(self.tls)
        if verb == "DATA" and answer.startswith("354"):
            data = await reader.readuntil(b"\r\n.\r\n")
            text = data.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
            self.mails.append(email.message_from_bytes(text, policy=default))
            writer.write(f"{self.answers.get('CONTENT', '250 kept')}\r\n".encode())

    def _usual(self, verb: str) -> str:
        if verb == "EHLO":
            return "250-sink\r\n" + ("250-STARTTLS\r\n" if self.tls else "") + "250 AUTH PLAIN"
        return {"STARTTLS": "220 go on", "DATA": "354 go on", "AUTH": "235 welcome", "QUIT": "221 bye"}.get(verb, "250 well")


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    sink = Sink()
    async with await asyncio.start_server(sink.serve, "127.0.0.1", 0) as server:
        sink.port = server.sockets[0].getsockname()[1]
        yield sink


def mailer(sink: Sink, **given: str) -> SmtpMailer:
    return SmtpMailer(at(sink, **given), timeout_seconds=5)


def at(sink: Sink, **given: str) -> Settings:
    place = {"smtp_host": "127.0.0.1", "smtp_port": str(sink.port), "smtp_security": "none", "mail_from": "PENNY <penny@example.com>"}
    return settings(**place | given)


async def test_a_mail_arrives_whole_with_what_standards_ask_for(sink: Sink) -> None:
    await mailer(sink).send(MAIL)
    await mailer(sink).send(MAIL)
    first, second = sink.mails
    assert first["To"] == "ada@example.org"
    assert first["From"] == "PENNY <penny@example.com>"
    assert first["Subject"] == "Grüße"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first.get_content().replace("\r\n", "\n") == MAIL.text
    assert first.get_content_type() == "text/plain"
    assert abs(parsedate_to_datetime(first["Date"]) - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    assert first["Message-ID"].endswith("@example.com>")
    assert first["Message-ID"] != second["Message-ID"]
    assert "MAIL FROM:<penny@example.com>" in {command.split(" BODY")[0].split(" SIZE")[0] for command in sink.commands}
    assert [command for command in sink.commands if command.startswith("RCPT")] == ["RCPT TO:<ada@example.org>"] * 2


@pytest.mark.parametrize(
    "mail",
    [
        Mail("ada@example.org\r\nBcc: eve@example.org", "Hello", "x"),
        Mail("ada@example.org, eve@example.org", "Hello", "x"),
        Mail("Ada <ada@example.org>", "Hello", "x"),
        Mail("friends:ada@example.org;", "Hello", "x"),
        Mail("", "Hello", "x"),
        Mail("@", "Hello", "x"),
        Mail("ada", "Hello", "x"),
        Mail("ada@example.org", "Hello\r\nBcc: eve@example.org", "x"),
        Mail("ada@example.org", "Hello\nBcc: eve@example.org", "x"),
        Mail("ada@example.org", "Hello", "half a character: \ud800"),
    ],
)
async def test_no_header_and_no_second_address_can_be_smuggled_in(sink: Sink, mail: Mail) -> None:
    with pytest.raises(MailWasNotTaken) as refused:
        await mailer(sink).send(mail)
    assert refused.value.permanent
    assert sink.commands == []
    await mailer(sink).send(Mail("ada@example.org", "Hello", "x\r\nBcc: eve@example.org\r\n\r\n.\r\nQUIT\r\n"))
    assert len(sink.mails) == 1
    assert sink.mails[0]["Bcc"] is None


@pytest.mark.parametrize(
    ("verb", "answer", "permanent"),
    [
        ("RCPT", "550 no such user", True),
        ("RCPT", "451 try later", False),
        ("MAIL", "553 not you", True),
        ("DATA", "552 full", True),
        ("CONTENT", "554 spam", True),
        ("CONTENT", "421 going down", False),
        ("AUTH", "535 wrong password", False),
        ("EHLO", "554 go away", False),
    ],
)
async def test_a_refusal_for_good_is_told_from_one_for_now(sink: Sink, verb: str, answer: str, *, permanent: bool) -> None:
    sink.answers |= {verb: answer} | ({"HELO": answer} if verb == "EHLO" else {})
    with pytest.raises(MailWasNotTaken) as refused:
        await mailer(sink, smtp_username="penny", smtp_password="hunter2").send(MAIL)
    assert refused.value.permanent is permanent
    assert "hunter2" not in str(refused.value)
    sink.answers.clear()
    await mailer(sink, smtp_username="penny", smtp_password="hunter2").send(MAIL)


async def test_a_silent_or_absent_server_may_take_the_mail_later(sink: Sink, unused_tcp_port: int) -> None:
    sink.answers["MAIL"] = None
    with pytest.raises(MailWasNotTaken) as silent:
        await SmtpMailer(at(sink), timeout_seconds=0.1).send(MAIL)
    with pytest.raises(MailWasNotTaken) as absent:
        await mailer(sink, smtp_port=str(unused_tcp_port)).send(MAIL)
    assert (silent.value.permanent, absent.value.permanent) == (False, False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for loopback, signed by itself, with its key in the same file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sink")])
    now, address = dt.datetime.now(dt.UTC), x509.IPAddress(ip_address("127.0.0.1"))
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + dt.timedelta(hours=1))
    signed = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False).sign(key, hashes.SHA256())
    path = tmp_path_factory.mktemp("tls") / "sink.pem"
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()) + signed.public_bytes(pem))
    return path


async def test_a_password_and_a_mail_cross_only_a_connection_that_is_trusted(sink: Sink, certificate: Path) -> None:
    signed_in = at(sink, smtp_security="starttls", smtp_username="penny", smtp_password="hunter2")
    with pytest.raises(MailWasNotTaken):  # the server offers no TLS: nothing goes on in the clear
        await SmtpMailer(signed_in).send(MAIL)

    sink.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    sink.tls.load_cert_chain(certificate)
    with pytest.raises(MailWasNotTaken) as untrusted:
        await SmtpMailer(signed_in).send(MAIL)
    assert not untrusted.value.permanent
    assert not [command for command in sink.commands if command.startswith(("AUTH", "MAIL"))]

    sink.commands.clear()
    await SmtpMailer(signed_in, tls=ssl.create_default_context(cafile=certificate)).send(MAIL)
    assert len(sink.mails) == 1
    assert [command.split()[0] for command in sink.commands][:4] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]


async def test_a_developer_reads_the_mail_and_its_link() -> None:
    written: list[str] = []
    await PrintedMailer(written.append).send(
        Mail("ada@example.org", "Hello", "Open this:\n\nhttp://localhost:8000/verify#token=x\n\x1b[2J")
    )
    [block] = written
    assert "    To: ada@example.org\n    Subject: Hello\n\n    Open this:\n" in block
    assert "http://localhost:8000/verify#token=x\n" in block
    assert "\x1b" not in block


async def test_only_development_prints_mails(sink: Sink) -> None:
    written: list[str] = []
    await open_mailer(settings(environment="development"), written.append).send(MAIL)
    assert len(written) == 1
    with pytest.raises(SettingsError, match="PENNY_SMTP_HOST"):
        open_mailer(settings())
    with pytest.raises(SettingsError, match="PENNY_MAIL_FROM"):
        open_mailer(settings(smtp_host="127.0.0.1", mail_from="nobody"))
    await open_mailer(settings(smtp_host="127.0.0.1", smtp_port=str(sink.port), smtp_security="none")).send(MAIL)
    assert len(sink.mails) == 1


def test_links_lead_to_our_own_address_and_hide_the_token_from_servers() -> None:
    given = settings(
        public_url="https://penny.example.org/", invitation_hours="168", email_verification_hours="1", password_reset_minutes="90"
    )
    invitation = invitation_mail(given, to="a@b.org", tenant="Acme", invited_by="Bob", token="pni_1")
    verification = verification_mail(given, to="a@b.org", name="Ada", token="pni_2")
    reset = reset_mail(given, to="a@b.org", name="Ada", token="pni_3")
    changed = password_changed_mail(given, to="a@b.org", name="Ada")
    assert "\n\nhttps://penny.example.org/invitation#token=pni_1\n\n" in invitation.text
    assert "\n\nhttps://penny.example.org/verify#token=pni_2\n\n" in verification.text
    assert "\n\nhttps://penny.example.org/reset#token=pni_3\n\n" in reset.text
    assert "\n\nhttps://penny.example.org/reset\n" in changed.text
    assert [mail.text.count("://") for mail in (invitation, verification, reset, changed)] == [1, 1, 1, 1]
    assert "within 7 days" in invitation.text
    assert "within 1 hour." in verification.text
    assert "within 90 minutes" in reset.text
    assert "pni_1" not in repr(invitation)


def test_a_strangers_name_stays_one_short_line() -> None:
    name = "Bob\r\nBcc: eve@example.org\n\nYour account is closed\u202e\x1b[2J" + "!" * 500
    mail = invitation_mail(settings(), to="a@b.org", tenant=name, invited_by="Bob", token="pni_1")
    assert mail.subject.startswith("Bob invites you to Bob Bcc: eve@example.org Your account is closed [2J!!!")
    assert "\n" not in mail.subject
    assert len(mail.subject) < 140
    assert not [line for line in mail.text.splitlines() if line.startswith(("Bcc", "Your"))]

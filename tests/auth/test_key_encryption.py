"""The key-encryption key serves its own tenant only, is refused when others can read it, and its absence is never papered over."""

import asyncio
import base64
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web

from auth.encryption.key_encryption import DataKeyIsUnreadable, KeyServiceIsAway
from auth.encryption.kms_key import KmsKey
from auth.encryption.local_key import KeyFileIsUnusable, LocalKey
from auth.encryption.providers import open_key_encryption_key
from errors import Unavailable
from settings import Settings, SettingsError

ACME, OTHER = UUID(int=1), UUID(int=2)


def settings(**given: str) -> Settings:
    servers = {"PENNY_DATABASE_URL": "-", "PENNY_DATABASE_SYSTEM_URL": "-", "PENNY_VALKEY_URL": "-"}
    return Settings.from_environment(servers | {f"PENNY_{name.upper()}": value for name, value in given.items()})


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "own" / "key"
    LocalKey.open(path, create=True)
    return path


def test_the_first_start_makes_a_key_that_only_its_owner_reads(key_file: Path) -> None:
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert key_file.parent.stat().st_mode & 0o777 == 0o700
    assert len(key_file.read_bytes()) == 32
    assert list(key_file.parent.iterdir()) == [key_file]


def test_a_later_start_finds_the_same_key(key_file: Path, tmp_path: Path) -> None:
    first = LocalKey.open(key_file)
    assert LocalKey.open(key_file, create=True).id == first.id
    assert LocalKey.open(tmp_path / "second", create=True).id != first.id


def _shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:31])


def _lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def _link(path: Path) -> None:
    path.symlink_to(path.rename(path.with_name("elsewhere")))


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (Path.unlink, "does not exist"),
        (lambda path: path.chmod(0o640), "mode 640"),
        (lambda path: path.chmod(0o604), "mode 604"),
        (lambda path: path.chmod(0o620), "mode 620"),
        (_shorten, "exactly 32 bytes"),
        (_lengthen, "exactly 32 bytes"),
        (_link, "plain file"),
        (_pipe, "plain file"),
        (_folder, "plain file"),
    ],
)
def test_a_key_file_that_is_not_ours_alone_or_no_key_stops_the_start(key_file: Path, spoil: Callable[[Path], None], reason: str) -> None:
    LocalKey.open(key_file)
    spoil(key_file)
    with pytest.raises(KeyFileIsUnusable, match=reason) as refused:
        LocalKey.open(key_file)
    assert isinstance(refused.value, SettingsError)
    assert "\n" not in str(refused.value)


def test_another_users_key_file_stops_the_start(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: key_file.stat().st_uid + 1)
    with pytest.raises(KeyFileIsUnusable, match="belongs to user"):
        LocalKey.open(key_file)


def test_a_spoilt_key_file_is_never_replaced(key_file: Path) -> None:
    _shorten(key_file)
    spoilt = key_file.read_bytes()
    with pytest.raises(KeyFileIsUnusable):
        LocalKey.open(key_file, create=True)
    assert key_file.read_bytes() == spoilt


def test_only_development_makes_its_own_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(KeyFileIsUnusable):
        open_key_encryption_key(settings(key_file=str(path)))
    assert not path.exists()
    made = open_key_encryption_key(settings(key_file=str(path), environment="development"))
    assert open_key_encryption_key(settings(key_file=str(path))).id == made.id


async def test_a_data_key_is_unwrapped_only_for_its_tenant_and_only_unchanged() -> None:
    key, data_key = LocalKey(os.urandom(32)), os.urandom(32)
    wrapped = await key.wrap(data_key, ACME)
    assert await key.unwrap(wrapped, ACME) == data_key
    assert data_key not in wrapped
    foreign = LocalKey(os.urandom(32)).unwrap(wrapped, ACME)
    for attempt in (
        foreign,
        key.unwrap(wrapped, OTHER),
        key.unwrap(wrapped[:-1], ACME),
        key.unwrap(b"\x02" + wrapped[1:], ACME),
        key.unwrap(b"", ACME),
    ):
        with pytest.raises(DataKeyIsUnreadable):
            await attempt


# The key in KMS


class FakeKms:
    """Speaks the two calls of KMS that we use, binds ciphertexts to their context as KMS does, and fails on request."""

    def __init__(self) -> None:
        self.contexts: list[object] = []
        self.failure: str | None = None
        self.silence: asyncio.Event | None = None

    async def answer(self, request: web.Request) -> web.Response:
        asked = json.loads(await request.read())
        self.contexts.append(asked["EncryptionContext"])
        if self.silence:
            await self.silence.wait()
        if self.failure:
            return self._failed(self.failure)
        bound = {"key": asked["KeyId"], "context": asked["EncryptionContext"]}
        if request.headers["X-Amz-Target"] == "TrentService.Encrypt":
            blob = base64.b64encode(json.dumps(bound | {"text": asked["Plaintext"]}).encode()).decode()
            return self._said({"CiphertextBlob": blob, "KeyId": asked["KeyId"]})
        held = json.loads(base64.b64decode(asked["CiphertextBlob"]))
        text = held.pop("text")
        return self._said({"Plaintext": text}) if held == bound else self._failed("InvalidCiphertextException")

    def _said(self, answer: dict[str, str], status: int = 200) -> web.Response:
        return web.Response(body=json.dumps(answer), status=status, content_type="application/x-amz-json-1.1")

    def _failed(self, code: str) -> web.Response:
        return self._said({"__type": code, "message": "No."}, 400)


@pytest.fixture
async def fake_kms() -> AsyncIterator[tuple[FakeKms, str]]:
    fake = FakeKms()
    app = web.Application()
    app.router.add_post("/", fake.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield fake, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def kms(fake_kms: tuple[FakeKms, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[FakeKms, KmsKey]]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    fake, address = fake_kms
    key = KmsKey(settings(key_provider="aws_kms", kms_key_id="alias/penny", kms_endpoint=address), call_seconds=3)
    yield fake, key
    await key.close()


async def test_kms_binds_each_data_key_to_its_tenant(kms: tuple[FakeKms, KmsKey]) -> None:
    fake, key = kms
    data_key = os.urandom(32)
    wrapped = await key.wrap(data_key, ACME)
    assert await key.unwrap(wrapped, ACME) == data_key
    assert fake.contexts == [{"tenant": str(ACME)}] * 2
    with pytest.raises(DataKeyIsUnreadable):
        await key.unwrap(wrapped, OTHER)
    assert key.id == "aws_kms:alias/penny"
    await key.check()


@pytest.mark.parametrize("failure", ["DisabledException", "AccessDeniedException", "NotFoundException", "KMSInvalidStateException"])
async def test_a_kms_that_refuses_is_away_not_a_wrong_key(kms: tuple[FakeKms, KmsKey], failure: str) -> None:
    fake, key = kms
    wrapped = await key.wrap(os.urandom(32), ACME)
    fake.failure = failure
    for attempt in (key.wrap(os.urandom(32), ACME), key.unwrap(wrapped, ACME), key.check()):
        with pytest.raises(KeyServiceIsAway) as refused:
            await attempt
        assert failure not in refused.value.message
    fake.failure = None
    await key.check()


async def test_a_silent_kms_is_given_up_in_time(fake_kms: tuple[FakeKms, str], kms: tuple[FakeKms, KmsKey]) -> None:
    fake, key = kms
    await key.check()
    fake.silence = asyncio.Event()
    key._call_seconds = 0.2
    start = time.monotonic()
    with pytest.raises(KeyServiceIsAway):
        await key.wrap(os.urandom(32), ACME)
    assert time.monotonic() - start < 2
    fake.silence.set()
    key._call_seconds = 3
    await key.check()


async def test_an_absent_kms_is_away(monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    given = settings(key_provider="aws_kms", kms_key_id="k", kms_endpoint=f"http://127.0.0.1:{unused_tcp_port}")
    key = open_key_encryption_key(given)
    with pytest.raises(Unavailable):
        await key.check()
    await key.close()


async def test_no_log_carries_a_data_key_to_kms_or_back(kms: tuple[FakeKms, KmsKey], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    data_key = os.urandom(32)
    await kms[1].unwrap(await kms[1].wrap(data_key, ACME), ACME)
    for spelling in (base64.b64encode(data_key).decode(), repr(data_key)[2:-1], data_key.hex()):
        assert spelling not in caplog.text


def test_kms_without_a_key_id_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="PENNY_KMS_KEY_ID"):
        open_key_encryption_key(settings(key_provider="aws_kms"))

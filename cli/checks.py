"""The checks of `penny doctor`, one for each part that PENNY needs."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import aiosmtplib

from artifacts.objects import BucketIsMissing, ObjectStore
from auth.encryption.providers import open_key_encryption_key
from auth.mailer import open_mailer
from cli.database_checks import check_app_role, check_migrations, check_system_role
from cli.findings import FAIL, OK, WARN, Finding, said
from errors import PennyError
from events.valkey import OUTAGES, open_valkey
from inference.embeddings import EmbedderIsNotInstalled, WordLlamaEmbedder
from inference.platform import deployment_of_settings
from inference.providers import Providers
from settings import Settings, SettingsError

SECONDS: Final = 15.0
SMTP_SECONDS: Final = 5.0
GRAPHIQL: Final = Path(__file__).parents[1] / "web" / "graphiql" / "dist" / "index.html"


async def check_settings(settings: Settings) -> list[Finding]:
    """Check that what is set fits together."""
    part = "Settings"
    if not settings.is_development and not settings.cookies_are_secure:
        return [Finding(part, WARN, "cookies travel over plain HTTP", "Set PENNY_PUBLIC_URL to an https:// address.")]
    return [Finding(part, OK, f"{settings.environment}, {settings.public_url}")]


async def check_valkey(settings: Settings) -> list[Finding]:
    """Check the server that holds what happens now: the logs of runs, queues, throttles."""
    client = open_valkey(dataclasses.replace(settings, valkey_timeout_seconds=SECONDS))  # the other checks keep this process busy
    try:
        facts: dict[str, Any] = await client.info("everything")
    except OUTAGES as error:
        return [Finding("Valkey", FAIL, f"no answer: {said(error)}", "Check PENNY_VALKEY_URL, and that the server runs.")]
    finally:
        await client.aclose()
    if facts["maxmemory_policy"] != "noeviction":
        return [Finding("Valkey", FAIL, f"drops keys when full ({facts['maxmemory_policy']})", "Set `maxmemory-policy noeviction`.")]
    if not facts["aof_enabled"]:
        return [Finding("Valkey", WARN, "forgets at a restart", "Set `appendonly yes`: answers under way are lost with it otherwise.")]
    return [Finding("Valkey", OK, f"version {facts.get('valkey_version') or facts['redis_version']}, noeviction, append-only file")]


async def check_objects(settings: Settings) -> list[Finding]:
    """Check the bucket."""
    store = ObjectStore(settings)
    try:
        await store.check()
    except BucketIsMissing as error:
        return [Finding("S3", FAIL, said(error), "Make the bucket, or set PENNY_S3_BUCKET.")]
    except PennyError as error:
        return [Finding("S3", FAIL, said(error), "Check PENNY_S3_ENDPOINT, PENNY_S3_REGION and the key, and that the server runs.")]
    finally:
        await store.close()
    return [Finding("S3", OK, f"bucket {settings.s3_bucket} at {settings.s3_endpoint or 'AWS'}")]


async def check_key(settings: Settings) -> list[Finding]:
    """Check the key that wraps the tenants' keys, and never make one."""
    part = "Encryption key"
    if settings.key_provider == "local" and settings.is_development and not settings.key_file.exists():
        return [Finding(part, WARN, f"{settings.key_file} is not there yet", "In development it is made at the first start.")]
    try:
        key = open_key_encryption_key(dataclasses.replace(settings, environment="production"))
    except SettingsError as error:
        return [Finding(part, FAIL, said(error), "Restore the key: with another one nothing that was stored can be read.")]
    try:
        await key.check()
    except PennyError as error:
        return [Finding(part, FAIL, said(error), "Check PENNY_KMS_KEY_ID, PENNY_KMS_REGION and that this machine may use the key.")]
    finally:
        await key.close()
    return [Finding(part, OK, key.id)]


async def check_model(settings: Settings) -> list[Finding]:
    """Check that the model's endpoint answers and accepts the key, without using the model."""
    where = "scripted" if settings.model_provider == "scripted" else f"{settings.model_name} at {settings.model_base_url}"
    providers = Providers(settings)
    try:
        await providers.of(deployment_of_settings(settings)).check()
    except PennyError as error:
        return [Finding("Model", FAIL, f"{where}: {said(error)}", "Check PENNY_MODEL_BASE_URL, PENNY_MODEL_NAME and PENNY_MODEL_API_KEY.")]
    finally:
        await providers.close()
    if settings.model_provider == "scripted":
        return [Finding("Model", OK if settings.is_development else WARN, "scripted", "Its answers are made up: set PENNY_MODEL_PROVIDER.")]
    return [Finding("Model", OK, where)]


async def check_embeddings(_: Settings) -> list[Finding]:
    """Check that a word becomes a vector of the right length."""
    try:
        embedder = await WordLlamaEmbedder.load()
    except EmbedderIsNotInstalled as error:
        return [Finding("Embeddings", WARN, said(error), "Documents cannot be searched by meaning without it.")]
    try:
        (vector,) = await embedder.embed(["word"])
    finally:
        await embedder.close()
    if len(vector) != embedder.dimensions or not any(vector):
        return [Finding("Embeddings", FAIL, f"{len(vector)} dimensions instead of {embedder.dimensions}", "Install `wordllama` again.")]
    return [Finding("Embeddings", OK, f"{len(vector)} dimensions")]


async def check_mail(settings: Settings) -> list[Finding]:
    """Check the mail server up to signing in; no mail is sent."""
    try:
        open_mailer(settings)
    except SettingsError as error:
        return [Finding("Mail", FAIL, said(error), "Nobody can confirm an address or reset a password.")]
    if not settings.smtp_host:
        return [Finding("Mail", OK, "printed, and shown at /dev/mails")]
    tls, start_tls = settings.smtp_security == "tls", settings.smtp_security == "starttls"
    server = aiosmtplib.SMTP(
        hostname=settings.smtp_host, port=settings.smtp_port, use_tls=tls, start_tls=start_tls, timeout=SMTP_SECONDS,
        username=settings.smtp_username or None, password=str(settings.smtp_password) or None,
    )  # fmt: skip
    try:
        async with server:
            return [Finding("Mail", OK, f"{settings.smtp_host}:{settings.smtp_port}, {settings.smtp_security}")]
    except (aiosmtplib.SMTPException, OSError) as error:
        return [Finding("Mail", FAIL, f"{settings.smtp_host}: {said(error)}", "Check the PENNY_SMTP_… settings.")]


async def check_graphiql(settings: Settings) -> list[Finding]:
    """Check that the explorer's files were built."""
    if not settings.graphiql:
        return [Finding("GraphiQL", OK, "off")]
    if not GRAPHIQL.exists():
        return [Finding("GraphiQL", WARN, "not built", "Run `make web/graphiql/dist/index.html`, or set PENNY_GRAPHIQL=false.")]
    return [Finding("GraphiQL", OK, f"{settings.public_url}/graphiql")]


CHECKS: Final[tuple[Callable[[Settings], Awaitable[list[Finding]]], ...]] = (
    check_settings,
    check_app_role,
    check_system_role,
    check_migrations,
    check_valkey,
    check_objects,
    check_key,
    check_model,
    check_embeddings,
    check_mail,
    check_graphiql,
)


async def findings(settings: Settings) -> list[Finding]:
    """Run all checks at once, each for a bounded time, and return what they found in their order."""
    answers = await asyncio.gather(*(_bounded(check, settings) for check in CHECKS))
    return [finding for answer in answers for finding in answer]


async def _bounded(check: Callable[[Settings], Awaitable[list[Finding]]], settings: Settings) -> list[Finding]:
    try:
        async with asyncio.timeout(SECONDS):
            return await check(settings)
    except Exception as error:  # noqa: BLE001 - one check that breaks must not hide what the others found
        part = check.__name__.removeprefix("check_").replace("_", " ").capitalize()
        return [Finding(part, FAIL, f"the check broke: {type(error).__name__}: {said(error)}", "Run `penny --debug doctor`.")]

"""The composition root: everything is built here from Settings, handed down, and closed again."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import structlog
from valkey.asyncio import Valkey

from artifacts.objects import ObjectStore
from auth.accounts import Accounts
from auth.api_keys import ApiKeys
from auth.background import Background
from auth.encryption.keyring import Keyring
from auth.encryption.providers import open_key_encryption_key
from auth.invitations import Invitations
from auth.key_store import KeyStore
from auth.mail_queue import MailQueue
from auth.mailer import open_mailer
from auth.members import Members
from auth.passwords import Passwords
from auth.rates import RateLimits
from auth.sessions import Sessions
from auth.tenant_settings import TenantChanges
from auth.throttle import Throttle
from chat.acts import Acts
from chat.asides import Asides
from chat.assistants import Assistants
from chat.choices import Choices
from chat.compactions import KIND as SUMMARIES
from chat.compactions import Compactions, Summaries
from chat.contents import plain_texts
from chat.conversations import Conversations
from chat.dispatch import Dispatch
from chat.estimates import Estimates
from chat.expiries import KIND as EXPIRIES
from chat.expiries import Expiries
from chat.exports import Exports
from chat.feedback import Opinions
from chat.forecasts import Forecasts
from chat.forks import Forks
from chat.guests import Guests
from chat.ideas import Ideas
from chat.interventions import Interventions
from chat.leavings import KIND as LEAVINGS
from chat.leavings import Leavings
from chat.logs import RunLogs
from chat.meanings import Meanings
from chat.participants import Participants
from chat.queues import RunQueue
from chat.redactions import Redactions
from chat.shares import Shares
from chat.titles import KIND as TITLES
from chat.titles import Titles
from chat.trees import Trees
from chat.unfinished import KIND as UNFINISHED
from chat.unfinished import Unfinished
from chat.workers import Worker
from db.pools import open_pool, warm
from db.replicas import ANSWER_SECONDS, Replica
from db.scopes import SystemScopes, TenantScopes
from errors import Unavailable
from events.feeds import Feeds
from events.hints import Hints
from events.jobs import Jobs
from events.labour import Labour
from events.positions import WrittenPositions
from events.pruning import Pruning
from events.revocations import Revocations
from events.tails import Tails
from events.valkey import OUTAGES, open_valkey
from events.versions import Versions
from gateway.automatic import AutomaticDocuments
from gateway.judging import Judge
from gateway.manifests import Manifests
from gateway.registry import Registry
from gateway.uses import Uses
from inference.catalogue import Catalogue
from inference.credentials import Credentials
from inference.custom_models import CustomModels
from inference.embeddings import LazyEmbedder
from inference.offers import Models
from inference.platform import platform_offering
from inference.policies import RoutingPolicies
from inference.providers import Providers
from inference.routing import Router
from inference.shared_standings import SharedStandings
from inference.stickiness import Stickiness
from inference.uses import KeyUses
from knowledge.search import Search
from resolvers.operations import Works
from settings import Settings
from telemetry.outlets import Outlets

log = structlog.get_logger()

BLOCKING_SECONDS: Final = 10.0
MAILS_AT_ONCE: Final = 20
MAIL_PAUSE: Final = 1.0
VECTORS_PAUSE: Final = 1.0


@dataclass(frozen=True)
class Process:
    """What a process holds beside the works that resolvers are given."""

    works: Works
    system: SystemScopes
    valkey: Valkey
    blocking: Valkey
    revocations: Revocations
    mail_queue: MailQueue
    queue: RunQueue
    embedder: LazyEmbedder | None
    store: ObjectStore
    versions: Versions


@contextlib.asynccontextmanager
async def open_works(settings: Settings, *, application: str, judge: Judge | None = None) -> AsyncIterator[Process]:
    """Build everything; nothing here waits for a server, so a process starts before what it needs does.

    `judge` knows the schema, for processes that publish documents.
    """
    async with contextlib.AsyncExitStack() as closing:
        pool = await open_pool(settings.database_url, settings, size=settings.database_pool_size, application=application)
        closing.push_async_callback(_end, pool.close, pool.terminate)
        system_pool = await open_pool(
            settings.database_system_url,
            settings,
            size=settings.database_system_pool_size,
            application=f"{application} system",
            name="system",
        )
        closing.push_async_callback(_end, system_pool.close, system_pool.terminate)
        valkey, blocking = open_valkey(settings), open_valkey(settings, waits_seconds=BLOCKING_SECONDS)
        closing.push_async_callback(valkey.aclose)
        closing.push_async_callback(blocking.aclose)
        tails = Tails(blocking, valkey, settings.valkey_prefix, rest_seconds=settings.socket_flush_ms / 1000)
        closing.push_async_callback(tails.close)
        written: WrittenPositions | None = None
        if settings.database_replica_url:
            written = WrittenPositions(valkey, settings)
            closing.push_async_callback(written.close)
        versions, hints = _open_versions(valkey, settings, closing)
        scopes = TenantScopes(pool, acquire_seconds=settings.database_acquire_seconds, written=written, committed=hints.give)
        system = SystemScopes(system_pool, acquire_seconds=settings.database_acquire_seconds, written=written, committed=hints.give)
        feeds = Feeds(scopes=scopes, system=system, tails=tails, hints=hints, versions=versions, settings=settings)
        closing.push_async_callback(feeds.close)
        replica = await _open_replica(settings, scopes, written, closing, application) if written else None
        kek = open_key_encryption_key(settings)
        closing.push_async_callback(kek.close)
        passwords = _open_passwords(settings, closing)
        background = Background()
        closing.push_async_callback(background.close)
        store = ObjectStore(settings)
        closing.push_async_callback(store.close)
        keyring = Keyring(kek, KeyStore(scopes=scopes, system=system, kek=kek), settings)
        revocations = Revocations(valkey, settings)
        throttle = Throttle(valkey, settings)
        mail_queue = MailQueue(system, keyring, open_mailer(settings), settings)
        sessions = Sessions(scopes=scopes, system=system, revocations=revocations, background=background, settings=settings)
        logs = RunLogs(valkey=valkey, tails=tails, keyring=keyring, versions=versions, settings=settings)
        queue = RunQueue(valkey, settings)
        rates = RateLimits(valkey, background, settings)
        closing.push_async_callback(rates.close)
        acts = Acts(scopes=scopes, keyring=keyring, settings=settings)
        dispatch = Dispatch(scopes=scopes, logs=logs, queue=queue)
        models = Models(
            platform_offering(Catalogue.read(), settings), scopes=scopes, keyring=keyring, revocations=revocations, settings=settings
        )
        router = _open_router(valkey, scopes, settings, closing)
        choices = Choices(models, settings)
        ideas = Ideas(keyring=keyring, models=models, settings=settings)
        embedder = _open_embedder(settings, closing)
        jobs = Jobs(scopes)
        registry = _open_registry(scopes, system, AutomaticDocuments(valkey, keyring, settings), background, settings, closing)
        works = Works(
            settings=settings,
            scopes=scopes,
            replica=replica,
            keyring=keyring,
            accounts=Accounts(
                system=system, keyring=keyring, passwords=passwords, throttle=throttle, sessions=sessions,
                mail_queue=mail_queue, background=background, settings=settings,
            ),
            sessions=sessions,
            api_keys=ApiKeys(scopes=scopes, revocations=revocations, background=background, settings=settings),
            invitations=Invitations(scopes=scopes, system=system, throttle=throttle, mail_queue=mail_queue, settings=settings),
            members=Members(scopes=scopes, revocations=revocations),
            conversations=Conversations(acts=acts, dispatch=dispatch, choices=choices, jobs=jobs, settings=settings),
            trees=Trees(acts=acts, dispatch=dispatch, choices=choices, settings=settings),
            forks=Forks(acts=acts, jobs=jobs, unfinished=Unfinished(scopes), settings=settings),
            compactions=Compactions(acts=acts, scopes=scopes, keyring=keyring, models=models, jobs=jobs, settings=settings),
            assistants=Assistants(scopes=scopes, keyring=keyring, models=models, settings=settings),
            interventions=Interventions(acts=acts, dispatch=dispatch, choices=choices, settings=settings),
            participants=Participants(scopes=scopes, settings=settings),
            opinions=Opinions(acts=acts, settings=settings),
            exports=Exports(keyring=keyring, settings=settings),
            shares=Shares(acts=acts, jobs=jobs, settings=settings),
            guests=Guests(scopes=scopes, keyring=keyring, valkey=valkey, settings=settings),
            redactions=Redactions(acts=acts, logs=logs),
            logs=logs,
            jobs=jobs,
            feeds=feeds,
            rates=rates,
            models=models,
            credentials=Credentials(models=models, scopes=scopes, keyring=keyring, router=router, settings=settings),
            custom_models=CustomModels(models, settings),
            ideas=ideas,
            estimates=Estimates(ideas=ideas, settings=settings),
            policies=RoutingPolicies(models, settings),
            router=router,
            forecasts=Forecasts(ideas=ideas, models=models, router=router, settings=settings),
            search=Search(embedder=embedder, texts=plain_texts, settings=settings),
            tenant_changes=TenantChanges(scopes=scopes, revocations=revocations),
            documents=registry,
            judge=judge,
            manifests=Manifests(scopes=scopes, revocations=revocations, registry=registry, judge=judge, settings=settings),
        )  # fmt: skip
        await warm(pool)
        yield Process(works, system, valkey, blocking, revocations, mail_queue, queue, embedder, store, versions)


def _open_versions(valkey: Valkey, settings: Settings, closing: contextlib.AsyncExitStack) -> tuple[Versions, Hints]:
    versions = Versions(valkey, settings)
    closing.push_async_callback(versions.close)
    hints = Hints(valkey, versions, settings)
    closing.push_async_callback(hints.close)
    return versions, hints


def _open_passwords(settings: Settings, closing: contextlib.AsyncExitStack) -> Passwords:
    passwords = Passwords(settings)
    closing.callback(passwords.close)
    return passwords


def _open_router(valkey: Valkey, scopes: TenantScopes, settings: Settings, closing: contextlib.AsyncExitStack) -> Router:
    providers = Providers(settings)
    closing.push_async_callback(providers.close)
    standings, stickiness = SharedStandings(valkey, settings), Stickiness(valkey, settings)
    router = Router(providers, standings, stickiness, KeyUses(scopes, settings), settings)
    closing.push_async_callback(router.close)
    return router


def _open_registry(  # noqa: PLR0913 - what it reads, and what it leaves behind
    scopes: TenantScopes, system: SystemScopes, automatic: AutomaticDocuments, background: Background, settings: Settings,
    closing: contextlib.AsyncExitStack,
) -> Registry:  # fmt: skip
    uses = Uses(scopes, background, settings)
    closing.push_async_callback(uses.close)
    return Registry(scopes=scopes, system=system, automatic=automatic, uses=uses, settings=settings)


def _open_embedder(settings: Settings, closing: contextlib.AsyncExitStack) -> LazyEmbedder | None:
    if settings.search_embeddings == "off":
        return None
    embedder = LazyEmbedder()
    closing.push_async_callback(embedder.close)
    return embedder


async def _open_replica(
    settings: Settings, primary: TenantScopes, written: WrittenPositions, closing: contextlib.AsyncExitStack, application: str
) -> Replica:
    pool = await open_pool(
        settings.database_replica_url,
        settings,
        size=settings.database_pool_size,
        application=f"{application} replica",
        name="replica",
        patience_seconds=ANSWER_SECONDS,
    )
    closing.push_async_callback(_end, pool.close, pool.terminate)
    return Replica(pool, primary, written, lag_seconds=settings.database_replica_lag_seconds)


async def _end(close: Callable[[], Coroutine[Any, Any, None]], terminate: Callable[[], None]) -> None:
    """Close a pool in order, or at once when a connection does not come back."""
    try:
        await asyncio.wait_for(close(), 5)
    except (TimeoutError, OSError):
        terminate()


async def run_worker(settings: Settings, stop: asyncio.Event) -> None:
    """Be a worker until `stop` is set: make answers, send the mails that wait, and do jobs."""
    name = f"{socket.gethostname()}-{os.getpid()}"
    outlets = Outlets(settings, service="penny-worker")
    async with outlets.opened(), open_works(settings, application="penny worker") as process:
        router = process.works.router
        # The stream of waiting runs and the channel of cancellations each hold a connection.
        worker = Worker(
            name=name, scopes=process.works.scopes, system=process.system, keyring=process.works.keyring, logs=process.works.logs,
            queue=process.queue, blocking=process.blocking, router=router, models=process.works.models,
            compactions=process.works.compactions, settings=settings,
        )  # fmt: skip
        scopes, keyring = process.works.scopes, process.works.keyring
        asides = Asides(models=process.works.models, router=router, scopes=scopes)
        summaries = Summaries(scopes=scopes, keyring=keyring, ask=asides.ask, settings=settings)
        titles = Titles(scopes=scopes, keyring=keyring, ask=asides.ask)
        asking = {TITLES: titles.write, SUMMARIES: summaries.write}
        functions = {
            **asking, EXPIRIES: Expiries(scopes).tell, LEAVINGS: Leavings(scopes).close, UNFINISHED: Unfinished(scopes).find,
        }  # fmt: skip
        labour = Labour(
            name=name, scopes=scopes, system=process.system, functions=functions, settings=settings,
            recoveries=dict.fromkeys(asking, asides.recover),
        )  # fmt: skip
        chores = [
            asyncio.create_task(_send_mails(process.mail_queue), name="mails"),
            asyncio.create_task(labour.work(), name="jobs"),
            asyncio.create_task(_hear_of_models(process), name="models"),
            asyncio.create_task(Pruning(process.system, settings).work(), name="pruning"),
        ]
        if process.embedder is not None:
            meanings = Meanings(
                scopes=process.works.scopes, system=process.system, keyring=process.works.keyring,
                embedder=process.embedder, settings=settings,
            )  # fmt: skip
            chores.append(asyncio.create_task(_make_vectors(meanings), name="vectors"))
        log.info("worker_ready", worker=name, model=settings.model_name)
        try:
            await worker.work(stop)
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)


async def _hear_of_models(process: Process) -> None:
    """Forget what tenants could ask when it changes; `listen` survives outages."""
    async for revoked in process.revocations.listen():
        process.works.models.forget(revoked)


async def _make_vectors(meanings: Meanings) -> None:
    while True:
        try:
            made = await meanings.make_due()
        except (*OUTAGES, Unavailable):
            made = 0
        except Exception:
            log.exception("vectors_broke")
            made = 0
        if not made:
            await asyncio.sleep(VECTORS_PAUSE)


async def _send_mails(queue: MailQueue) -> None:
    while True:
        try:
            sent = await queue.send_due(MAILS_AT_ONCE)
        except (*OUTAGES, Unavailable):
            sent = 0
        except Exception:
            log.exception("mails_broke")
            sent = 0
        if sent < MAILS_AT_ONCE:
            await asyncio.sleep(MAIL_PAUSE)

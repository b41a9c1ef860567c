"""One embedded stack for the whole run, one database and one key prefix for each worker, and clients of the real application."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import hypothesis
import pytest
from valkey.asyncio import Valkey

from auth.encryption.keyring import Keyring
from db.bootstrap import cluster_statements, database_statements
from db.migrating import migrate
from db.scopes import SystemScopes, TenantScopes
from resolvers.operations import Works
from settings import Settings
from stack.addresses import Addresses
from stack.embedded import Stack
from tests.running import Api, Server, running_server
from web.works import Process, open_works

STACK = "PENNY_TEST_STACK"
TEMPLATE = "penny_template"
_started: list[tuple[Stack, Path]] = []
# What one run finds all find, and no test is timed: this machine may be doing something else.
hypothesis.settings.register_profile(
    "penny", derandomize=True, deadline=None, database=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("penny")


def pytest_configure(config: pytest.Config) -> None:
    """Start the stack and make the template database once, before the workers begin."""
    if hasattr(config, "workerinput") or STACK in os.environ:
        return
    folder = Path(tempfile.mkdtemp(prefix="penny-tests-"))
    stack = Stack(folder, durable=False)
    _started.append((stack, folder))
    addresses = stack.start(lambda _: None)
    os.environ[STACK] = addresses.as_json()
    asyncio.run(make_template(addresses))


def pytest_unconfigure(config: pytest.Config) -> None:
    for stack, folder in _started:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if _started:
        os.environ.pop(STACK, None)
        _started.clear()


async def make_template(addresses: Addresses) -> None:
    admin = await asyncpg.connect(addresses.admin_url)
    for statement in cluster_statements():
        await admin.execute(statement)
    await admin.execute(f"CREATE DATABASE {TEMPLATE}")
    await admin.close()
    owner = await asyncpg.connect(addresses.database_url("postgres", TEMPLATE))
    for statement in database_statements(TEMPLATE):
        await owner.execute(statement)
    await owner.close()
    await migrate(addresses.database_url("penny_owner", TEMPLATE))


@pytest.fixture(scope="session")
def stack() -> Addresses:
    return Addresses.from_json(os.environ[STACK])


@pytest.fixture(scope="session")
async def database(stack: Addresses, worker_id: str) -> AsyncIterator[str]:
    """The name of this worker's own database, a clone of the migrated template."""
    name = f"test_{worker_id}"
    admin = await asyncpg.connect(stack.admin_url)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    await admin.close()
    on_it = await asyncpg.connect(stack.database_url("postgres", name))
    for statement in database_statements(name):
        await on_it.execute(statement)
    await on_it.close()
    yield name
    admin = await asyncpg.connect(stack.admin_url)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture(scope="session")
def environment(stack: Addresses, database: str, worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The `PENNY_…` variables of a process that works on this worker's servers with the scripted model."""
    return {
        "PENNY_ENVIRONMENT": "development",
        "PENNY_DATABASE_URL": stack.database_url("penny_app", database),
        "PENNY_DATABASE_SYSTEM_URL": stack.database_url("penny_system", database),
        "PENNY_DATABASE_OWNER_URL": stack.database_url("penny_owner", database),
        "PENNY_VALKEY_URL": stack.valkey_url,
        "PENNY_VALKEY_PREFIX": f"penny-{worker_id}",
        "PENNY_S3_ENDPOINT": stack.s3_endpoint,
        "PENNY_S3_BUCKET": stack.s3_bucket,
        "PENNY_S3_ACCESS_KEY": stack.s3_access_key,
        "PENNY_S3_SECRET_KEY": stack.s3_secret_key,
        "PENNY_KEY_FILE": str(tmp_path_factory.mktemp("keys") / "key-encryption.key"),
        "PENNY_PASSWORD_MEMORY_KIB": "64",
        "PENNY_PASSWORD_TIME_COST": "1",
        "PENNY_SIGN_UP_ADDRESS_ATTEMPTS": "100000",
        "PENNY_RATE_LIMIT_ADDRESS_POINTS": "10000000",
        "PENNY_RATE_LIMIT_CREDENTIAL_POINTS": "10000000",
        "PENNY_RATE_LIMIT_PRINCIPAL_POINTS": "1000000",
        "PENNY_RATE_LIMIT_TENANT_POINTS": "10000000",
        "PENNY_CHAT_TITLES": "false",
        "PENNY_MODEL_PROVIDER": "scripted",
        "PENNY_MODEL_NAME": "scripted",
        # Scripts that fail are many here, and all ask the same deployment.
        "PENNY_MODEL_COOLDOWN_SECONDS": "0.05",
        "PENNY_MODEL_COOLDOWN_MOST_SECONDS": "0.05",
        "PENNY_MODEL_BACKOFF_MS": "10",
        "PENNY_LOG_LEVEL": "WARNING",
        # Events are compared one by one, and a crowded machine falls silent: whoever tests heartbeats asks for them.
        "PENNY_RUN_HEARTBEAT_SECONDS": "600",
        "PENNY_RUN_SWEEP_SECONDS": "0.2",
        "PENNY_RUN_SAVE_MS": "50",
        "PENNY_RUN_STOP_SECONDS": "2",
        "PENNY_RUN_FLUSH_MS": "5",
        "PENNY_EXECUTION": os.environ.get("PENNY_TEST_EXECUTION", "compiled"),
    }


@pytest.fixture(scope="session")
def settings(environment: dict[str, str]) -> Settings:
    return Settings.from_environment(environment)


@pytest.fixture(scope="session")
async def process(settings: Settings) -> AsyncIterator[Process]:
    """The composition root's product, as a process of its own would have it."""
    async with open_works(settings, application="penny tests") as opened:
        yield opened


@pytest.fixture(scope="session")
def works(process: Process) -> Works:
    return process.works


@pytest.fixture(scope="session")
def scopes(process: Process) -> TenantScopes:
    return process.works.scopes


@pytest.fixture(scope="session")
def system(process: Process) -> SystemScopes:
    return process.system


@pytest.fixture(scope="session")
def keyring(process: Process) -> Keyring:
    return process.works.keyring


@pytest.fixture(scope="session")
def valkey(process: Process) -> Valkey:
    return process.valkey


@pytest.fixture(scope="session")
async def server(environment: dict[str, str]) -> AsyncIterator[Server]:
    """A web process and a worker process, as in production, on a port of their own."""
    async with running_server(environment) as running:
        yield running


@pytest.fixture(scope="session")
async def api(server: Server) -> AsyncIterator[Api]:
    """A client of the server that nobody has signed in with."""
    async with Api(server.url) as client:
        yield client

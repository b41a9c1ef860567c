"""What real processes count while they are used, as Prometheus and a collector are told it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from chat.titles import KIND as TITLES
from cli.metrics import COUNTING
from settings import Settings
from stack.addresses import Addresses
from telemetry.instruments import DECLARED, OTHER, Known
from tests.chat.talking import Heard, ask, hear, new_chat
from tests.conftest import TEMPLATE
from tests.db.databases import made_database
from tests.running import PASSWORD, Api, free_port, running, running_web
from tests.telemetry.collector import Attributes, Collector, attributes, collecting, lines, scraped

MODEL = "platform/scripted"
WEB, WORKER = "penny-web", "penny-worker"
DEAR = "query ($n: Int!) { chats(first: $n) { nodes { id messages(last: 10) { nodes { id } } } } }"
SIGN_IN = """mutation ($email: String!, $password: String!) {
  signIn(input: {email: $email, password: $password, transport: BEARER}) { tokenOnce errors { message } }
}"""
LIMITS = {
    "PENNY_RATE_LIMIT_PRINCIPAL_POINTS": "600",
    "PENNY_RATE_LIMIT_PRINCIPAL_PER_SECOND": "1",
    "PENNY_GRAPHQL_MAX_COST": "600",
    # Nothing is sent before the end.
    "OTEL_METRIC_EXPORT_INTERVAL": "3600000",
    "PENNY_METRICS_STOP_SECONDS": "30",
}
Numbers = dict[str, dict[Attributes, float]]


class Driven:
    """What was done to a web process and a worker, and what both told of it."""

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self.asked: list[str] = []
        self.throttled = 0
        self.heard = Heard()
        self.shown: dict[str, Numbers] = {}

    def sent(self, service: str, name: str, **given: Any) -> float:
        return self.collector.of(service, name, **given)

    def scraped(self, service: str, name: str, **given: str) -> float:
        return self.shown[service][name].get(attributes(**{key.replace("__", "_"): value for key, value in given.items()}), 0)


@pytest.fixture(scope="module")
async def driven(environment: dict[str, str], stack: Addresses) -> AsyncIterator[Driven]:
    """Run both processes, use them, read what they show, and stop them. No other worker knows of what is there to be done."""
    addresses = {name: f"127.0.0.1:{free_port()}" for name in (WEB, WORKER)}
    async with made_database(stack, f"counted_{uuid4().hex}", TEMPLATE) as database, collecting() as collector:
        done = Driven(collector)
        roles = {"DATABASE_URL": "penny_app", "DATABASE_SYSTEM_URL": "penny_system"}
        own = {f"PENNY_{variable}": stack.database_url(role, database) for variable, role in roles.items()}
        apart = {**own, "PENNY_VALKEY_PREFIX": f"counted-{uuid4()}", "PENNY_CHAT_TITLES": "true"}
        given = {**environment, **LIMITS, **collector.variables, **apart}
        async with (
            running({**given, "PENNY_METRICS_ADDRESS": addresses[WORKER]}, "worker"),
            running_web({**given, "PENNY_METRICS_ADDRESS": addresses[WEB]}) as (url, _),
        ):
            await _drive(done, url, addresses)
        assert collector.requests == 2  # each process's last word
        yield done


async def _drive(done: Driven, url: str, addresses: Mapping[str, str]) -> None:
    async with Api(url) as api:
        email = f"{uuid4().hex}@example.com"
        ada = await api.sign_up(email=email)
        for password in (PASSWORD, "wrong"):
            await api.post(SIGN_IN, email=email, password=password)
        await api.as_("pny_nobody's").post("{ __typename }")
        await ada.data("{ viewer { user { id } } }")
        await ada.data("{ __schema { queryType { name } } }")
        await ada.post("{ nope }")
        await ada.post("{ viewer")
        run_id = await ask(ada, await new_chat(ada), "!script tokens=20 delay_ms=1")
        done.heard = await hear(ada, run_id)
        done.asked += [run_id]
        bob = await api.sign_up()
        while "errors" not in (answer := await bob.post(DEAR, n=20)):
            assert answer["extensions"]["cost"]["actual"] < answer["extensions"]["cost"]["requested"]
        assert answer["errors"][0]["extensions"]["code"] == "THROTTLED"
        done.throttled += 1
        async with aiohttp.ClientSession() as session:
            for path in ("/health/live", "/no/such/page"):
                await (await session.get(f"{url}{path}")).read()
        await _until_titled(addresses[WORKER])
        async with _open_subscription(ada):
            done.shown = {name: await scraped(address) for name, address in addresses.items()}


async def _until_titled(address: str) -> None:
    """Wait until the worker has done the job that followed the answer."""
    while not (await scraped(address)).get("penny_job_duration_seconds_count"):
        pass


@contextlib.asynccontextmanager
async def _open_subscription(api: Api) -> AsyncIterator[None]:
    payload = {"Authorization": f"Bearer {api.token}"}
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{api.url}/graphql", protocols=["graphql-transport-ws"]) as opened:
        await opened.send_json({"type": "connection_init", "payload": payload})
        assert (await opened.receive_json())["type"] == "connection_ack"
        query = "subscription { viewerEvents { __typename } }"
        await opened.send_json({"type": "subscribe", "id": "1", "payload": {"query": query}})
        await opened.send_json({"type": "subscribe", "id": "2", "payload": {"query": "{ __typename }"}})
        while (await opened.receive_json()).get("id") != "2":  # the subscription, which came first, has begun then
            pass
        yield


def test_requests_are_counted_by_method_route_and_status(driven: Driven) -> None:
    request = {"http__request__method": "GET", "url__scheme": "http"}
    live = {**request, "http__route": "/health/live", "http__response__status_code": 200}
    assert driven.sent(WEB, "http.server.request.duration", **live) == 1
    assert driven.sent(WEB, "http.server.request.duration", **request, http__response__status_code=404) == 1
    ok = {"http__request__method": "POST", "url__scheme": "http", "http__route": "/graphql", "http__response__status_code": "200"}
    assert driven.scraped(WEB, "http_server_request_duration_seconds_count", **ok) > 10
    assert (
        driven.scraped(WEB, "http_server_request_duration_seconds_count", **{**ok, "http__response__status_code": "429"})
        == driven.throttled
    )
    assert driven.scraped(WEB, "http_server_request_duration_seconds_bucket", **ok, le="10.0") > 10


def test_operations_are_counted_by_type_and_outcome(driven: Driven) -> None:
    mutations = {"graphql__operation__type": "mutation", "penny__graphql__outcome": "ok"}
    assert driven.sent(WEB, "penny.graphql.operation.duration", **mutations) == 6  # two sign-ups, two sign-ins, a chat, a message
    assert driven.sent(WEB, "penny.graphql.fallbacks", penny__graphql__reason="introspection") == 1
    assert driven.sent(WEB, "penny.graphql.compiled") > 6


def test_what_is_refused_is_counted_by_its_code(driven: Driven) -> None:
    refused = {"GRAPHQL_VALIDATION_FAILED": 1, "GRAPHQL_PARSE_FAILED": 1, "UNAUTHENTICATED": 1, "THROTTLED": driven.throttled}
    for code, times in refused.items():
        assert driven.sent(WEB, "penny.graphql.refused", error__type=code) == times, code
    assert driven.sent(WEB, "penny.graphql.throttled", penny__rate_limit__bucket="principal") == driven.throttled


def test_costs_are_counted_as_they_were_charged_and_as_they_turned_out(driven: Driven) -> None:
    requested, actual = (
        driven.sent(WEB, f"penny.graphql.cost.{which}", graphql__operation__type="query") for which in ("requested", "actual")
    )
    assert 0 < actual < requested


def test_who_comes_is_counted(driven: Driven) -> None:
    assert driven.sent(WEB, "penny.auth.sign_ins", penny__auth__outcome="accepted") == 1
    assert driven.sent(WEB, "penny.auth.sign_ins", penny__auth__outcome="wrong") == 1
    assert driven.sent(WEB, "penny.auth.credentials", penny__auth__kind="session", penny__auth__outcome="accepted") >= 2
    assert driven.sent(WEB, "penny.auth.credentials", penny__auth__kind="session", penny__auth__outcome="UNAUTHENTICATED") == 1


def test_caches_count_what_they_knew(driven: Driven) -> None:
    def asked(name: str, result: str) -> float:
        return driven.sent(WEB, "penny.cache.lookups", penny__cache__name=name, penny__cache__result=result)

    assert asked("sessions", "miss") >= 2
    assert asked("sessions", "hit") > 8
    assert asked("documents", "hit") >= 3
    assert asked("documents", "miss") >= 8


def test_subscriptions_are_counted_and_what_they_are_told(driven: Driven) -> None:
    assert driven.sent(WEB, "penny.graphql.events") >= len(driven.heard.events)
    assert driven.scraped(WEB, "penny_graphql_subscriptions") == 1
    assert driven.scraped(WEB, "penny_graphql_connections", penny__graphql__transport="websocket") == 1
    assert driven.sent(WEB, "penny.graphql.subscriptions") == 0


def test_connections_to_the_database_are_told(driven: Driven, settings: Settings) -> None:
    for service in (WEB, WORKER):
        assert driven.scraped(service, "db_client_connection_max", db__client__connection__pool__name="app") == settings.database_pool_size
        states = [{"db__client__connection__pool__name": "app", "db__client__connection__state": state} for state in ("idle", "used")]
        assert sum(driven.scraped(service, "db_client_connection_count", **state) for state in states) >= 1
        assert driven.sent(service, "db.client.connection.wait_time", db__client__connection__pool__name="app") >= 1


def test_a_worker_counts_its_runs(driven: Driven) -> None:
    assert driven.sent(WORKER, "penny.run.claims", penny__run__claim="first") == 1
    assert driven.sent(WORKER, "penny.run.duration", penny__run__status="COMPLETED") == 1
    assert driven.sent(WORKER, "penny.run.time_to_first_token") == 1
    assert driven.scraped(WORKER, "penny_run_active") == 0
    assert driven.scraped(WORKER, "penny_run_queue_length") == 0
    assert driven.sent(WORKER, "penny.job.duration", penny__job__kind=TITLES, penny__job__outcome="succeeded") == 1


def test_a_worker_counts_what_models_did(driven: Driven) -> None:
    asked = {"gen_ai__operation__name": "chat", "gen_ai__provider__name": "penny", "gen_ai__request__model": MODEL}
    assert driven.sent(WORKER, "gen_ai.client.operation.duration", **asked) == 2  # an answer and a title
    assert driven.sent(WORKER, "gen_ai.client.operation.time_to_first_chunk", **asked) == 2
    assert driven.sent(WORKER, "gen_ai.client.token.usage", **asked, gen_ai__token__type="input") == 2
    (usage,) = [event["usage"] for event in driven.heard.events if event["__typename"] == "UsageTick"][-1:]
    for kind in ("input", "output"):
        assert driven.sent(WORKER, "penny.model.tokens", penny__model__token_class=kind) > usage[f"{kind}Tokens"]


def test_both_ways_out_tell_the_same(driven: Driven) -> None:
    for service in (WEB, WORKER):
        told = driven.collector.numbers[service]
        assert COUNTING, "all that counts is imported"
        assert set(told) <= set(DECLARED)
        for name, points in told.items():
            shown = [sample for sample in driven.shown[service] if sample.startswith(name.replace(".", "_"))]
            assert shown or not points, name


def test_every_attribute_is_declared_and_has_a_value_that_it_may_have(driven: Driven) -> None:
    for points, name in [(points, name) for told in driven.collector.numbers.values() for name, points in told.items()]:
        declared = DECLARED[name].attributes
        for key, value in [pair for one in points for pair in one]:
            assert key in declared, (name, key)
            assert value in declared[key], (name, key, value)
            assert value != OTHER
            if isinstance(declared[key], Known):
                assert str(value) in {TITLES, MODEL, "introspection", "NOT_FOUND"} | _codes(), (name, key, value)


def test_each_process_says_which_it_is(driven: Driven) -> None:
    resources = driven.collector.resources
    assert {one["service.namespace"] for one in resources.values()} == {"penny"}
    assert len({one["service.instance.id"] for one in resources.values()}) == len(resources) == 2


async def test_web_processes_of_one_command_are_read_one_by_one(environment: dict[str, str]) -> None:
    """Their ports follow each other, and each tells what it counted by itself."""
    port = free_port()
    given = {**environment, "PENNY_METRICS_ADDRESS": f"127.0.0.1:{port}", "PENNY_LOG_LEVEL": "INFO"}
    async with _serving(given, workers=2) as ports:
        assert len(set(ports)) == 2
        instances = {dict(next(iter((await scraped(f"127.0.0.1:{one}"))["target_info"])))["service_instance_id"] for one in ports}
    assert len(instances) == 2


@contextlib.asynccontextmanager
async def _serving(given: Mapping[str, str], *, workers: int) -> AsyncIterator[list[int]]:
    """Run several web processes; gives the ports at which they say that their metrics are."""
    async with running(
        {**given, "PENNY_PORT": str(free_port())}, "serve", "--workers", str(workers), stderr=asyncio.subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        ports: list[int] = []
        while len(ports) < workers:
            (line, *_) = [*lines((await process.stderr.readline()).decode()), {}]
            if line.get("event") == "metrics_shown":
                ports.append(int(line["address"].removesuffix("/metrics").rsplit(":", 1)[1]))
        yield ports


def _codes() -> set[str]:
    return {"GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "UNAUTHENTICATED", "THROTTLED", "500"}

"""Attempts: each is kept once, as it ended; deployments are measured, and chats add up, by those that ended."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.scopes import TenantScopes
from db.statements import attempts
from stack.addresses import Addresses
from tests.db.catalog import read_tables
from tests.db.databases import connected
from tests.db.rows import Rows

BEGAN = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
async def run(stack: Addresses, database: str) -> AsyncIterator[dict[str, Any]]:
    async with connected(stack, "postgres", database) as admin:
        tables = await read_tables(admin, "penny", "directory")
        yield await Rows(admin, tables).make(tables["penny.runs"], uuid4())


def attempt(run: dict[str, Any], number: int, deployment_id: UUID, **given: Any) -> dict[str, Any]:
    values: dict[str, Any] = dict.fromkeys(
        ["policy_id", "region", "first_token_ms", "ended_at", "failure", "message", "price", "price_version", "currency", "cost"]
    )
    values |= dict.fromkeys(["step", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"], 0)
    values |= {"tenant_id": run["tenant_id"], "work_id": run["id"], "number": number, "deployment_id": deployment_id}
    values |= {"kind": "ANSWER", "chat_id": run["chat_id"], "created_by": run["created_by"]}
    values |= {"model": "m", "wire": "openai", "credential_owner": "TENANT", "reason": "It is the only one.", "started_at": BEGAN}
    return values | {"continues_partial": False, "usage_estimated": False} | given


async def test_an_attempt_grows_until_it_has_ended_and_then_stays(scopes: TenantScopes, run: dict[str, Any]) -> None:
    tenant_id, one = run["tenant_id"], uuid4()
    ended = {"ended_at": BEGAN + timedelta(seconds=1), "output_tokens": 7, "cost": Decimal("0.000014"), "currency": "USD"}
    async with scopes.writing(tenant_id) as scope:
        await attempts.save(scope, tenant_id, [attempt(run, 1, one)])
        await attempts.save(scope, tenant_id, [attempt(run, 1, one, first_token_ms=5), attempt(run, 2, one)])
        await attempts.save(scope, tenant_id, [attempt(run, 1, one, first_token_ms=5, failure="TIMEOUT", **ended)])
        await attempts.save(scope, tenant_id, [attempt(run, 1, one, output_tokens=99)])
        first, second = await attempts.by_works(scope, tenant_id, [run["id"]])
    assert (first["number"], first["output_tokens"], first["failure"], first["cost"]) == (1, 7, "TIMEOUT", Decimal("0.000014"))
    assert (second["number"], second["ended_at"]) == (2, None)


async def test_an_attempt_of_another_tenant_s_run_cannot_be_written(scopes: TenantScopes, run: dict[str, Any]) -> None:
    mine = uuid4()
    async with scopes.writing(mine) as scope:
        await attempts.save(scope, mine, [attempt(run, 1, uuid4())])
    async with scopes.reading(run["tenant_id"]) as scope:
        assert await attempts.by_works(scope, run["tenant_id"], [run["id"]]) == []


async def test_a_deployment_is_measured_by_its_attempts_that_ended(scopes: TenantScopes, run: dict[str, Any]) -> None:
    tenant_id, one, other = run["tenant_id"], uuid4(), uuid4()
    said = {"ended_at": BEGAN + timedelta(seconds=3), "output_tokens": 101, "cost": Decimal("0.000202")}
    rows = [
        attempt(run, 1, one, first_token_ms=1000, **said),
        attempt(run, 2, one, first_token_ms=2000, **said),
        attempt(run, 3, one, failure="SERVER_ERROR", ended_at=BEGAN + timedelta(seconds=9)),
        attempt(run, 4, one),
        attempt(run, 5, other, first_token_ms=1, **said),
        attempt(run, 6, one, first_token_ms=1, **(said | {"started_at": BEGAN - timedelta(days=1)})),
    ]
    async with scopes.writing(tenant_id) as scope:
        await attempts.save(scope, tenant_id, rows)
    async with scopes.reading(tenant_id) as scope:
        (found,) = await attempts.stats(scope, tenant_id, [one, uuid4()], since=BEGAN, until=BEGAN + timedelta(hours=1), most=3)
    assert found["deployment_id"] == one
    assert (found["requests"], round(found["error_rate"], 3)) == (3, 0.333)
    assert (found["ttft_p50_ms"], found["ttft_p95_ms"]) == (1000, 2000)
    assert found["tokens_per_second_p50"] == 75.0  # 50 and 100 in turn
    assert found["cost_per_m_tok_out"] == 2


async def test_a_deployment_is_measured_by_its_latest_attempts_where_there_are_more(scopes: TenantScopes, run: dict[str, Any]) -> None:
    tenant_id, one = run["tenant_id"], uuid4()
    rows = [
        attempt(
            run, number, one, started_at=BEGAN + timedelta(minutes=number), ended_at=BEGAN + timedelta(hours=1), first_token_ms=number
        )
        for number in range(1, 10)
    ]  # fmt: skip
    async with scopes.writing(tenant_id) as scope:
        await attempts.save(scope, tenant_id, rows)
    async with scopes.reading(tenant_id) as scope:
        (found,) = await attempts.stats(scope, tenant_id, [one], since=BEGAN, until=BEGAN + timedelta(hours=1), most=3)
    assert (found["requests"], found["ttft_p50_ms"]) == (3, 8)


async def test_a_chat_adds_up_what_ended_in_it(scopes: TenantScopes, run: dict[str, Any]) -> None:
    tenant_id, other = run["tenant_id"], uuid4()
    ended = {"ended_at": BEGAN, "input_tokens": 3, "cache_read_tokens": 2, "cost": Decimal("0.5"), "currency": "USD", "price_version": "1"}
    rows = [
        attempt(run, 1, uuid4(), **ended),
        attempt(run, 2, uuid4(), **ended, kind="TITLE", usage_estimated=True),
        attempt(run, 3, uuid4(), input_tokens=99),
        attempt(run, 4, uuid4(), **(ended | {"chat_id": other, "cost": None, "currency": None})),
    ]
    async with scopes.writing(tenant_id) as scope:
        await attempts.save(scope, tenant_id, rows)
    async with scopes.reading(tenant_id) as scope:
        mine, unpriced, unused = await attempts.used_in_chats(scope, tenant_id, [run["chat_id"], other, uuid4()])
    assert (mine["input_tokens"], mine["cache_read_tokens"], mine["output_tokens"], mine["usage_estimated"]) == (6, 4, 0, True)
    assert (mine["cost"], mine["all_have_costs"], mine["currencies"], mine["price_versions"]) == (Decimal(1), True, ["USD"], ["1"])
    assert (unpriced["input_tokens"], unpriced["cost"], unpriced["all_have_costs"]) == (3, None, False)
    assert (unused["input_tokens"], unused["cost"], unused["currencies"], unused["usage_estimated"]) == (0, None, None, False)

"""`penny doctor` finds nothing wrong with the test's own servers, and what was broken on purpose."""

import dataclasses
from pathlib import Path
from typing import Any

from cli import checks, database_checks
from cli.findings import FAIL, OK, WARN, Finding
from settings import Secret, Settings
from stack.addresses import Addresses

NOWHERE = "127.0.0.1"


async def test_a_well_kept_penny_passes_every_check(settings: Settings) -> None:
    found = await checks.findings(settings)
    assert {one.part for one in found} >= {"Settings", "PostgreSQL", "Migrations", "Valkey", "S3", "Encryption key", "Model", "Mail"}
    # The tests' Valkey forgets, their keys are made late, and GraphiQL may not be built.
    assert {one.part for one in found if one.level != OK} <= {"Valkey", "Encryption key", "GraphiQL"}
    assert not [one for one in found if one.level == FAIL]


def broken(settings: Settings, tmp_path: Path) -> dict[str, dict[str, Any]]:
    open_key = tmp_path / "open.key"
    open_key.write_bytes(bytes(32))
    open_key.chmod(0o644)
    return {
        "PostgreSQL": {"database_url": Secret(f"postgresql://penny_app@{NOWHERE}:1/penny")},
        "PostgreSQL, system": {"database_system_url": settings.database_owner_url},
        "Migrations": {"database_owner_url": Secret(f"postgresql://penny_owner@{NOWHERE}:1/penny")},
        "Valkey": {"valkey_url": Secret(f"valkey://{NOWHERE}:1/0")},
        "S3": {"s3_bucket": "missing"},
        "Encryption key": {"key_file": open_key},
        "Model": {"model_provider": "openai", "model_base_url": f"http://{NOWHERE}:1/v1", "model_connect_seconds": 1.0},
        "Mail": {"smtp_host": NOWHERE, "smtp_port": 1},
    }


async def test_each_broken_part_is_named_with_advice_and_alone(settings: Settings, tmp_path: Path) -> None:
    for part, change in broken(settings, tmp_path).items():
        found = await _without_embeddings(dataclasses.replace(settings, **change))
        failed = [one for one in found if one.level == FAIL]
        assert [one.part for one in failed] == [part]
        assert all(one.advice for one in failed)


async def _without_embeddings(settings: Settings) -> list[Finding]:
    """All checks but the slow one, which no setting breaks."""
    kept = [check for check in checks.CHECKS if check is not checks.check_embeddings]
    return [one for check in kept for one in await check(settings)]


async def test_a_superuser_and_an_owner_are_refused_as_roles(settings: Settings, stack: Addresses, database: str) -> None:
    for role in ("postgres", "penny_owner"):
        found = await database_checks.check_app_role(dataclasses.replace(settings, database_url=Secret(stack.database_url(role, database))))
        assert f"{role} can pass row-level security" in [one.text for one in found]


async def test_a_database_without_migrations_and_bootstrap_is_told(settings: Settings, stack: Addresses) -> None:
    empty = dataclasses.replace(
        settings,
        database_url=Secret(stack.database_url("penny_app", "postgres")),
        database_owner_url=Secret(stack.database_url("penny_owner", "postgres")),
    )
    texts = [one.text for one in await database_checks.check_app_role(empty)]
    assert any("set_config may be called" in text for text in texts)
    assert any("vector is missing" in text for text in texts)
    (told,) = await database_checks.check_migrations(empty)
    assert told.level == FAIL
    assert told.advice == "Run `penny migrate`."


async def test_production_without_a_mail_server_or_https_is_told(settings: Settings) -> None:
    production = dataclasses.replace(settings, environment="production")
    assert [one.level for one in await checks.check_mail(production)] == [FAIL]
    assert [one.level for one in await checks.check_settings(production)] == [WARN]
    assert [one.level for one in await checks.check_mail(settings)] == [OK]

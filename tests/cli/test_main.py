"""The command line: quick help, and failures that are one line."""

import importlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import rich_click as click

from cli.main import COMMANDS

HEAVY = ("asyncpg", "aiohttp", "litestar", "strawberry", "piccolo", "uvicorn", "aioboto3")


def penny(*arguments: str, environment: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENNY_")}
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**inherited, **(environment or {})}, timeout=60, check=False)


def test_help_names_every_command_and_imports_none() -> None:
    program = f"import sys; from cli.main import run; run(['--help']); print([name for name in {HEAVY} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True).stdout
    assert told.rstrip().endswith("[]")
    assert all(f" {name} " in told for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    command = importlib.import_module(f"cli.{name}").command
    assert command.name == name
    assert command.help is not None
    assert command.help.startswith(COMMANDS[name])
    assert all(isinstance(one, click.Argument) or one.help for one in command.params)


def test_a_wrong_setting_is_one_line_and_debug_shows_where() -> None:
    wrong = {"PENNY_PORTT": "1"}
    told = penny("serve", environment=wrong)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == "penny: PENNY_PORTT is not a setting of PENNY; `penny settings` lists them.\n"
    assert "Traceback" in penny("--debug", "serve", environment=wrong).stderr


def test_an_unknown_command_is_a_mistake_of_usage() -> None:
    told = penny("dance")
    assert told.returncode == 2
    assert "No such command" in told.stderr
    assert "Traceback" not in told.stderr


def test_migrate_says_what_it_needs_and_never_shows_a_password() -> None:
    assert "PENNY_DATABASE_OWNER_URL is not set" in penny("migrate").stderr
    told = penny("migrate", environment={"PENNY_DATABASE_OWNER_URL": "postgresql://penny_owner:hush@127.0.0.1:1/penny"})
    assert told.returncode == 1
    assert told.stderr.startswith("penny: PostgreSQL at 127.0.0.1:1:")
    assert "hush" not in told.stderr


def test_bootstrap_is_printed_for_the_named_database() -> None:
    told = penny("migrate", "--print-bootstrap", environment={"PENNY_DATABASE_OWNER_URL": "postgresql://penny_owner@/acme"})
    assert 'ALTER DATABASE "acme" OWNER TO penny_owner;' in told.stdout


def test_dev_refuses_production_before_it_starts_anything(tmp_path: Path) -> None:
    told = penny("dev", "--data", f"{tmp_path}/data", environment={"PENNY_ENVIRONMENT": "production"})
    assert (told.returncode, told.stdout) == (1, "")
    assert "PENNY_ENVIRONMENT is production" in told.stderr
    assert not list(tmp_path.iterdir())

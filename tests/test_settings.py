"""Settings are read once, refused with one clear line, and each is used."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from settings import Secret, Settings, SettingsError, table

ROOT = Path(__file__).parent.parent
LEAST = {"PENNY_DATABASE_URL": "a", "PENNY_DATABASE_SYSTEM_URL": "b", "PENNY_VALKEY_URL": "c"}


def test_defaults_are_enough_beside_the_addresses() -> None:
    assert Settings.from_environment(LEAST).graphql_max_page == 100


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"PENNY_PORT": "http"}, "PENNY_PORT must be a number, not 'http'."),
        ({"PENNY_PORT": "70000"}, "PENNY_PORT must be between 0 and 65,535, not 70000."),
        ({"PENNY_RUN_LEASE_SECONDS": "nan"}, "PENNY_RUN_LEASE_SECONDS must be between 0.2 and 600, not nan."),
        ({"PENNY_LOG_LEVEL": "loud"}, "PENNY_LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, not 'loud'."),
        ({"PENNY_GRAPHIQL": "perhaps"}, "PENNY_GRAPHIQL must be true or false, not 'perhaps'."),
        ({"PENNY_PROT": "1"}, "PENNY_PROT is not a setting of PENNY; `penny settings` lists them."),
        ({"PENNY_SMTP_PASSWORD_FILE": "/does/not/exist"}, "PENNY_SMTP_PASSWORD_FILE: /does/not/exist cannot be read"),
    ],
)
def test_a_wrong_value_is_refused_with_one_line(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({**LEAST, **given})
    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)


def test_a_missing_address_is_refused_by_its_name() -> None:
    with pytest.raises(SettingsError, match="PENNY_VALKEY_URL is not set"):
        Settings.from_environment({name: value for name, value in LEAST.items() if "VALKEY" not in name})


def test_a_secret_may_come_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    settings = Settings.from_environment({**LEAST, "PENNY_SMTP_PASSWORD_FILE": str(tmp_path / "password")})
    assert settings.smtp_password == "hunter2"
    assert isinstance(settings.smtp_password, Secret)
    assert "hunter2" not in repr(settings)


def test_a_value_and_its_file_at_once_are_refused() -> None:
    with pytest.raises(SettingsError, match="both set"):
        Settings.from_environment({**LEAST, "PENNY_SMTP_PASSWORD": "x", "PENNY_SMTP_PASSWORD_FILE": "/dev/null"})


def test_the_committed_table_is_the_built_one() -> None:
    assert table() in (ROOT / "docs" / "settings.md").read_text()


@pytest.mark.parametrize("name", [one.name for one in fields(Settings)])
def test_every_setting_is_used(name: str) -> None:
    folders = (
        "artifacts",
        "auth",
        "chat",
        "cli",
        "db",
        "events",
        "gateway",
        "inference",
        "knowledge",
        "loaders",
        "resolvers",
        "schema",
        "subscriptions",
        "telemetry",
        "web",
    )
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if "graphiql" not in path.parts]
    used = re.compile(rf"\b{name}\b")
    assert any(used.search(path.read_text()) for path in sources)

"""Which servers `penny dev` starts, the variables that it makes, and the file by which others find it."""

import stat
from pathlib import Path

import pytest

from cli import environment
from settings import Settings, SettingsError
from stack.addresses import Addresses

ADDRESSES = Addresses(
    postgres_socket_dir="/somewhere/with space",
    postgres_port=5432,
    valkey_url="unix:///somewhere/valkey?db=0",
    s3_endpoint="http://127.0.0.1:9000",
    s3_access_key="access",
    s3_secret_key='it\'s "secret"',
    s3_bucket="penny",
    model_base_url="http://127.0.0.1:9001/v1",
    model_name="small",
)
ALL = frozenset({"postgres", "valkey", "s3", "model"})
DATABASE = {"PENNY_DATABASE_URL": "postgresql://a", "PENNY_DATABASE_SYSTEM_URL": "postgresql://b"}


@pytest.mark.parametrize(
    ("given", "left_out"),
    [
        ({}, set()),
        (DATABASE, {"postgres"}),
        ({"PENNY_VALKEY_URL_FILE": "/run/secrets/valkey"}, {"valkey"}),
        ({"PENNY_S3_ENDPOINT": "https://s3.example"}, {"s3"}),
        ({"PENNY_MODEL_BASE_URL": "https://model.example/v1"}, {"model"}),
        ({"PENNY_MODEL_PROVIDER": "scripted"}, {"model"}),
        ({"PENNY_LOG_LEVEL": "DEBUG"}, set()),
    ],
)
def test_a_server_that_is_named_is_not_started(given: dict[str, str], left_out: set[str]) -> None:
    assert environment.servers_to_start(given, model=True) == ALL - left_out


def test_half_a_database_is_refused() -> None:
    with pytest.raises(SettingsError, match="PENNY_DATABASE_SYSTEM_URL is not set"):
        environment.servers_to_start({"PENNY_DATABASE_URL": "postgresql://a"}, model=True)


def test_what_is_made_are_settings_and_what_was_given_wins(tmp_path: Path) -> None:
    given = {"PENNY_VALKEY_URL": "valkey://mine", "PENNY_LOG_FORMAT": "json"}
    started = environment.servers_to_start(given, model=True)
    settings = Settings.from_environment(environment.made(given, ADDRESSES, started=started, data=tmp_path, port=8123))
    assert settings.is_development
    assert settings.public_url == "http://localhost:8123"
    assert settings.valkey_url == "valkey://mine"
    assert settings.log_format == "json"
    assert settings.s3_secret_key == ADDRESSES.s3_secret_key
    assert settings.model_base_url == ADDRESSES.model_base_url
    assert settings.key_file == tmp_path / "key-encryption.key"
    assert "penny_owner@" in settings.database_owner_url


def test_a_setting_that_comes_from_a_file_is_not_made_as_well(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mine")
    given = {"PENNY_S3_BUCKET_FILE": str(tmp_path / "secret")}
    made = environment.made(given, ADDRESSES, started=ALL, data=tmp_path, port=8123)
    assert Settings.from_environment(made).s3_bucket == "mine"


def test_without_a_model_the_scripted_one_answers(tmp_path: Path) -> None:
    made = environment.made({}, ADDRESSES, started=ALL - {"model"}, data=tmp_path, port=8123)
    assert Settings.from_environment(made).model_provider == "scripted"


def test_a_running_development_is_found_by_its_file_until_it_is_withdrawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment.given():
        monkeypatch.delenv(name)
    made = environment.made({}, ADDRESSES, started=ALL, data=tmp_path, port=8123)
    environment.publish(made, tmp_path)
    assert environment.present(tmp_path) == made
    assert [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()] == [0o600]

    monkeypatch.setenv("PENNY_LOG_LEVEL", "DEBUG")
    assert environment.present(tmp_path) == {"PENNY_LOG_LEVEL": "DEBUG"}

    monkeypatch.delenv("PENNY_LOG_LEVEL")
    environment.withdraw(tmp_path)
    assert environment.present(tmp_path) == {}

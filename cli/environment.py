"""The `PENNY_…` variables: those that were given, those that `penny dev` makes, and the file by which other commands find a running one."""

import os
import secrets
import shlex
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from settings import PREFIX, SettingsError
from stack.addresses import Addresses
from stack.model import NAME as MODEL_NAME

DATA: Final = Path(".penny")
DATABASE: Final = "penny"
# The embedded model's own context window; an answer may take a quarter of it.
MODEL_CONTEXT_TOKENS: Final = 2048
MODEL_OUTPUT_TOKENS: Final = 512

# What names a server of one's own, so that the embedded one is not started.
SERVERS: Final = {
    "postgres": ("DATABASE_URL", "DATABASE_SYSTEM_URL", "DATABASE_OWNER_URL"),
    "valkey": ("VALKEY_URL",),
    "s3": ("S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY"),
    "model": ("MODEL_PROVIDER", "MODEL_BASE_URL", "MODEL_API_KEY"),
}


def given() -> dict[str, str]:
    """Return the `PENNY_…` variables of this process."""
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}


def has(environment: Mapping[str, str], setting: str) -> bool:
    """Whether a setting is there, by its value or by a file that holds it."""
    return PREFIX + setting in environment or f"{PREFIX}{setting}_FILE" in environment


def servers_to_start(environment: Mapping[str, str], *, model: bool) -> frozenset[str]:
    """Name the servers that the environment does not name; raises `SettingsError` for a database of which only one role is named."""
    for name in ("DATABASE_URL", "DATABASE_SYSTEM_URL"):
        if not has(environment, name) and any(has(environment, other) for other in SERVERS["postgres"]):
            raise SettingsError(f"{PREFIX}{name} is not set, and another address of PostgreSQL is: set all or none.")
    wanted = {server for server, names in SERVERS.items() if not any(has(environment, name) for name in names)}
    return frozenset(wanted if model else wanted - {"model"})


def made(given: Mapping[str, str], addresses: Addresses, *, started: Collection[str], data: Path, port: int) -> dict[str, str]:
    """Make the variables of a development: those of the started servers, and what was given wins."""
    defaults = {
        "ENVIRONMENT": "development",
        "PORT": str(port),
        "PUBLIC_URL": f"http://localhost:{port}",
        "LOG_FORMAT": "console",
        "SEARCH_EMBEDDINGS": "embedded",
        "KEY_FILE": str(data.resolve() / "key-encryption.key"),
    }
    for server in started:
        defaults |= _of_server(server, addresses)
    if not any(has(given, name) for name in SERVERS["model"]) and "model" not in started:
        defaults |= {"MODEL_PROVIDER": "scripted", "MODEL_NAME": "scripted"}
    return {PREFIX + name: value for name, value in defaults.items() if not has(given, name)} | dict(given)


def _of_server(server: str, addresses: Addresses) -> dict[str, str]:
    match server:
        case "postgres":
            roles = {"DATABASE_URL": "penny_app", "DATABASE_SYSTEM_URL": "penny_system", "DATABASE_OWNER_URL": "penny_owner"}
            return {name: addresses.database_url(role, DATABASE) for name, role in roles.items()}
        case "valkey":
            return {"VALKEY_URL": addresses.valkey_url}
        case "s3":
            keys = {"S3_ACCESS_KEY": addresses.s3_access_key, "S3_SECRET_KEY": addresses.s3_secret_key}
            return {"S3_ENDPOINT": addresses.s3_endpoint, "S3_BUCKET": addresses.s3_bucket, **keys}
    limits = {"MODEL_CONTEXT_TOKENS": str(MODEL_CONTEXT_TOKENS), "MODEL_MAX_OUTPUT_TOKENS": str(MODEL_OUTPUT_TOKENS)}
    endpoint = {"MODEL_BASE_URL": addresses.model_base_url, "MODEL_NAME": MODEL_NAME, "MODEL_PREFILLS": "true"}
    return {"MODEL_PROVIDER": "openai", **endpoint, **limits}


def publish(environment: Mapping[str, str], data: Path) -> None:
    """Write the variables where other commands of the same user find them, in a form that a shell reads too."""
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(environment.items()))
    draft = data / f"environment.{secrets.token_hex(4)}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.rename(data / "environment")


def withdraw(data: Path) -> None:
    """Remove what `publish` wrote."""
    (data / "environment").unlink(missing_ok=True)


def present(data: Path) -> dict[str, str]:
    """Return the variables of this process or, where it has none, of the development that runs in `data`."""
    return given() or _read(_lines(data / "environment"))


def _lines(file: Path) -> Iterable[str]:
    try:
        return file.read_text().splitlines()
    except FileNotFoundError:
        return ()


def _read(lines: Iterable[str]) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines)
    return {name: shlex.split(value)[0] if value else "" for name, _, value in pairs}

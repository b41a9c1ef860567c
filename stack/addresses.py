"""Where the servers of a running stack are found."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self
from urllib.parse import quote, urlencode


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Everything that a client of the stack needs; `model_base_url` and `model_name` are empty for a stack without a model."""

    postgres_socket_dir: str
    postgres_port: int
    valkey_url: str
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: str
    s3_bucket: str
    model_base_url: str
    model_name: str

    @property
    def admin_url(self) -> str:
        """The database `postgres` as the superuser."""
        return self.database_url("postgres", "postgres")

    def database_url(self, role: str, database: str) -> str:
        """The address of a database as a role, in the form that libpq and asyncpg share for unix sockets."""
        query = urlencode({"host": self.postgres_socket_dir, "port": self.postgres_port}, safe="/", quote_via=quote)
        return f"postgresql://{quote(role, safe='')}@/{quote(database, safe='')}?{query}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def as_json(self) -> str:
        """One line that `from_json` reads in another process."""
        return json.dumps(self.as_dict())

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))

"""Piccolo's configuration: what the migrations run against, as `penny_owner`.

The server itself never connects through this engine: its queries run in `db.scopes`, on pools of their own roles.
"""

import os

from piccolo.conf.apps import AppRegistry
from piccolo.engine.postgres import PostgresEngine


class OwnerEngine(PostgresEngine):
    """Piccolo's engine without the look at the server's version that it takes while this module is imported."""

    async def check_version(self) -> None:
        """Leave it to `penny doctor`."""


DB = OwnerEngine(config={"dsn": os.environ.get("PENNY_DATABASE_OWNER_URL", "")}, extensions=())
APP_REGISTRY = AppRegistry(apps=["db.piccolo_app"])

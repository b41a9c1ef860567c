"""Tells Piccolo where the tables and migrations are."""

import pkgutil
from pathlib import Path

from piccolo.conf.apps import AppConfig, table_finder

from db import tables

APP_CONFIG = AppConfig(
    app_name="penny",
    migrations_folder_path=str(Path(__file__).parent / "migrations"),
    table_classes=table_finder([module.name for module in pkgutil.iter_modules(tables.__path__, "db.tables.")]),
)

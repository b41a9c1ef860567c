"""Databases to spoil: clones of the migrated template, and empty ones."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from stack.addresses import Addresses
from tests.conftest import TEMPLATE
from tests.db.databases import made_database

Clone = Callable[[str], AbstractAsyncContextManager[str]]


@pytest.fixture(scope="session")
def clone(stack: Addresses, worker_id: str) -> Clone:
    """Makes a migrated database under a name that no other worker takes."""
    return lambda name: made_database(stack, f"{name}_{worker_id}", TEMPLATE)


@pytest.fixture(scope="session")
def empty(stack: Addresses, worker_id: str) -> Clone:
    """Makes a database without any migration."""
    return lambda name: made_database(stack, f"{name}_{worker_id}", "template0")

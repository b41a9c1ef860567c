"""Tenant scopes: the only way to a connection, and each reads or writes as one tenant.

`writing(tenant)` is a transaction that commits when its block ends. `reading(tenant)` is a read-only one; when its block ends
well it lingers for a few milliseconds, and the tenant's next read goes on in it (under READ COMMITTED every statement sees what
was committed before it, in whatever transaction). So the levels of an operation pay for one BEGIN and COMMIT. The tenant is set
with `SET LOCAL` in the same round trip as `BEGIN`, and a COMMIT that is due rides along; row-level security does the rest. A
scope inside a scope would silently be the outer tenant's, and two queries at once on one connection break both, so both are
refused, loudly.
"""

from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from typing import Final, Protocol, cast
from uuid import UUID

from db.pools import Pool
from db.transactions import (
    POSITION,
    Committed,
    Reading,
    Row,
    ScopeIsBusy,
    ScopeIsClosed,
    ScopeIsOpen,
    ScopeWasUndone,
    Statement,
    ToldTransaction,
    Transaction,
    Writing,
    Written,
    is_in_scope,
)

__all__ = [
    "Reading", "Reads", "Row", "ScopeIsBusy", "ScopeIsClosed", "ScopeIsOpen", "ScopeWasUndone", "Scopes", "Statement", "SystemScopes",
    "TenantScopes", "Writing", "is_in_scope", "of_tenant",
]  # fmt: skip

READ: Final = "BEGIN READ ONLY"
_WRITE: Final = "BEGIN"


class Reads(Protocol):
    """Whoever opens read-only scopes of tenants: on the primary, or where an operation may read from."""

    def reading(self, tenant_id: UUID) -> AbstractAsyncContextManager[Reading]:
        """Open a read-only transaction of this tenant."""


class Scopes:
    """Opens the scopes of one role."""

    def __init__(self, pool: Pool, *, acquire_seconds: float, written: Written | None = None, committed: Committed | None = None) -> None:
        """`written` is told of each commit, where queries read from replicas; `committed` of each tenant that has new facts."""
        self.pool = pool
        self._committed = committed
        self.acquire_seconds = acquire_seconds
        self._written = written

    async def check(self) -> None:
        """Raise `DatabaseIsUnavailable` unless the database answers a query."""
        async with self._reading(READ) as scope:
            await scope.value("SELECT 1")

    async def position(self) -> int:
        """Return up to where the server has written, in bytes of WAL since its beginning."""
        async with self._reading(READ) as scope:
            return cast("int", await scope.value(POSITION))

    def _reading(self, begin: str) -> Transaction[Reading]:
        return Transaction(self.pool, self.acquire_seconds, begin, Reading)

    def _writing(self, begin: str, told_of: UUID | None) -> Transaction[Writing]:
        if self._written is None:
            return Transaction(self.pool, self.acquire_seconds, begin, Writing, committed=self._committed)
        return ToldTransaction(
            self.pool, self.acquire_seconds, begin, written=self._written, tenant_id=told_of, committed=self._committed
        )  # fmt: skip


class TenantScopes(Scopes):
    """Scopes as `penny_app`: rows of the named tenant and no other."""

    def reading(self, tenant_id: UUID) -> AbstractAsyncContextManager[Reading]:
        """Open a read-only transaction of this tenant."""
        return self._reading(of_tenant(READ, tenant_id))

    def writing(self, tenant_id: UUID) -> AbstractAsyncContextManager[Writing]:
        """Open a transaction of this tenant that commits when the block ends."""
        return self._writing(of_tenant(_WRITE, tenant_id), tenant_id)


class SystemScopes(Scopes):
    """Scopes as `penny_system`: look-ups across tenants that its narrow policies allow, and the birth of a tenant."""

    def reading(self) -> AbstractAsyncContextManager[Reading]:
        """Open a read-only transaction across tenants."""
        return self._reading(READ)

    def writing(self, tenant_id: UUID | None = None) -> AbstractAsyncContextManager[Writing]:
        """Open a transaction; rows of tenant tables can only be written for the tenant that is named."""
        # Users and mails belong to no tenant: whoever reads them anywhere must see this.
        return self._writing(_WRITE if tenant_id is None else of_tenant(_WRITE, tenant_id), None)

    async def turn(self, scope: Writing, tenant_id: UUID) -> None:
        """Write rows of another tenant from here on in a scope of `writing`: a person's change concerns all of their tenants at once."""
        await scope.run(of_tenant("", tenant_id).removeprefix("; "))


@lru_cache(10_000)
def of_tenant(begin: str, tenant_id: UUID) -> str:
    """Name the tenant for this transaction. A UUID prints as nothing but hex and dashes, so this text is safe.

    asyncpg's rows have UUIDs of a class of their own, so what is printed here is made anew.
    """
    if not isinstance(tenant_id, UUID):
        raise TypeError("A scope needs a tenant.")
    return f"{begin}; SET LOCAL app.tenant_id = '{UUID(int=tenant_id.int)}'"

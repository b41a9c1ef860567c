"""A tenant's version: a word that is another one after each change, so that what was made of a tenant can be kept under it.

The word says nothing, and none comes back: it is made at random, so that a Valkey that lost its keys cannot count up to an old one.
"""

import asyncio
from secrets import token_bytes
from typing import Final
from uuid import UUID

import structlog
from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from events.rounds import Rounds
from events.wires import Wire
from settings import Settings

log = structlog.get_logger()

LIFE_SECONDS: Final = 86_400
"""How long a version is kept that nothing changes. A new one then costs what was kept under it, and nothing else."""
AGAIN_SECONDS: Final = 0.5
_LENGTH: Final = 12


class Versions:
    """Reads and renews versions. Who changed a tenant renews its version afterwards; who keeps something read it before."""

    def __init__(self, valkey: Valkey, settings: Settings) -> None:
        self._valkey = valkey
        self._wire = Wire(valkey)
        self._rounds: Rounds[UUID, bytes | None] = Rounds(self._read, unknown=None, name="versions")
        self._seconds = settings.valkey_timeout_seconds
        self._prefix = settings.valkey_prefix
        self._kept_seconds = settings.graphql_cached_answer_seconds
        self._connections = 0
        self._due: dict[UUID, float] = {}  # with until when something may be kept that was made before the change
        self._late: asyncio.Task[None] | None = None

    @property
    def are_kept(self) -> bool:
        """Whether anybody keeps something under versions."""
        return self._kept_seconds > 0

    def key(self, tenant_id: UUID) -> str:
        """Name what holds a tenant's version."""
        return f"{self._prefix}:version:{tenant_id.hex}"

    async def of(self, tenant_id: UUID) -> bytes | None:
        """Return a tenant's version, None while nobody can know."""
        return await self._rounds.of(tenant_id) if self.are_kept else None

    def renewal(self, tenant_id: UUID) -> tuple[bytes, ...]:
        """Word the command that gives a tenant a new version, for whoever sends it along with others."""
        return b"SET", self.key(tenant_id).encode(), new_version(), b"EX", b"%d" % LIFE_SECONDS

    async def renew(self, tenant_id: UUID) -> None:
        """Give a tenant a new version before whoever changed it is answered. Where Valkey does not answer, that is tried again."""
        if self.are_kept:
            try:
                await self._renew(tenant_id)
            except (ValkeyError, OSError):
                self.renew_later(tenant_id)

    def renew_later(self, tenant_id: UUID) -> None:
        """Give a tenant a new version as soon as Valkey answers again."""
        if self.are_kept:
            self._due[tenant_id] = asyncio.get_running_loop().time() + self._kept_seconds
            if self._late is None:
                log.warning("versions_not_renewed")
                self._late = asyncio.create_task(self._renew_late(), name="versions")

    async def close(self) -> None:
        """Renew what is due, if Valkey answers now, and give the connection up."""
        if self._late is not None:
            self._late.cancel()
            await asyncio.gather(self._late, return_exceptions=True)
            await self._renew_due()
        await self._rounds.close()
        await self._wire.close()

    async def _renew(self, tenant_id: UUID) -> None:
        await self._valkey.execute_command(*self.renewal(tenant_id))  # type: ignore[no-untyped-call] # the client's own

    async def _renew_late(self) -> None:
        """Try until it is done, or until nothing can be kept any more that was made before."""
        try:
            while self._due:
                await asyncio.sleep(AGAIN_SECONDS)
                await self._renew_due()
        finally:
            self._late = None

    async def _renew_due(self) -> None:
        """Renew what is due while Valkey answers. Who becomes due while their command is under way is renewed once more."""
        now = asyncio.get_running_loop().time()
        while self._due:
            tenant_id, until = self._due.popitem()
            try:
                if now < until:
                    await self._renew(tenant_id)
            except BaseException as error:
                self._due.setdefault(tenant_id, until)
                if isinstance(error, ValkeyError | OSError):
                    return
                raise

    async def _read(self, tenant_ids: list[UUID]) -> list[bytes | None]:
        """Read versions, and give one to those who have none.

        A new connection may lead to a server that forgot the latest versions and knows older ones: what was read through another
        connection is another version.
        """
        keys = [self.key(one).encode() for one in tenant_ids]
        is_new = not self._wire.is_open
        try:
            found: list[bytes | None] = await self._wire.asked(b"MGET", *keys, seconds=self._seconds)
            versions = [await self._given(key) if one is None else one for key, one in zip(keys, found, strict=True)]
        except (ValkeyError, OSError) as error:
            log.warning("versions_not_known", error=type(error).__name__)
            return [None] * len(keys)
        self._connections += is_new
        return [b"%d %b" % (self._connections, one) for one in versions]

    async def _given(self, key: bytes) -> bytes:
        """Give a tenant its first version, unless somebody else has just done so."""
        made = new_version()
        words = (b"SET", key, made, b"NX", b"GET", b"EX", b"%d" % LIFE_SECONDS)
        other: bytes | None = await self._wire.asked(*words, seconds=self._seconds)
        return made if other is None else other


def new_version() -> bytes:
    """Make a version that there never was."""
    return token_bytes(_LENGTH)

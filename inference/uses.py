"""When keys at providers were last used: noted beside the answers, and seldom, however many there are."""

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from db.scopes import TenantScopes
from db.statements import models
from errors import Unavailable
from settings import Settings

log = structlog.get_logger()

# Of so many keys a process remembers when it noted them; of those that it has forgotten, the database knows.
_REMEMBERED: Final = 10_000


class KeyUses:
    """Notes uses: of each key at most once in `model_key_use_seconds`, by all processes together."""

    def __init__(self, scopes: TenantScopes, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._scopes = scopes
        self._seldom = settings.model_key_use_seconds
        self._clock = clock
        self._noted: OrderedDict[UUID, float] = OrderedDict()

    def is_due(self, credential_id: UUID) -> bool:
        """Whether this process has not noted a use of late; whoever is told so notes it."""
        now, noted = self._clock(), self._noted.get(credential_id)
        if noted is not None and now < noted + self._seldom:
            return False
        self._noted[credential_id] = now
        self._noted.move_to_end(credential_id)
        if len(self._noted) > _REMEMBERED:
            self._noted.popitem(last=False)
        return True

    async def note(self, tenant_id: UUID, credential_id: UUID) -> None:
        """Note a use; where the database is away, the next one is noted."""
        try:
            async with self._scopes.writing(tenant_id) as scope:
                await models.note_use(scope, tenant_id, credential_id, seldom=timedelta(seconds=self._seldom))
        except Unavailable as error:
            self._noted.pop(credential_id, None)
            log.warning("key_use_not_noted", error=type(error).__name__)

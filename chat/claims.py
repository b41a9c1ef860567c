"""Idempotency keys: the first request with a key does the work, and its retries are told what came of it."""

import hashlib
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from auth.encryption.ciphers import TenantCipher
from auth.viewers import Viewer
from db.scopes import Reading, Row, Writing
from db.statements import idempotency
from errors import Conflict, Invalid


class KeyMeansAnotherInput(Conflict):
    """The idempotency key was used with another input."""

    code = "IDEMPOTENCY_MISMATCH"


class Made(msgspec.Struct, frozen=True):
    """The ids of what a request makes, given to it beforehand, so that a retry finds the same things."""

    chat: UUID
    message: UUID | None = None
    runs: tuple[UUID, ...] = ()
    share: UUID | None = None


class Claim(NamedTuple):
    """An idempotency key with what it stands for, and what the work will make."""

    key: str
    operation: str
    content: Any
    made: Made


async def claimed(scope: Writing, viewer: Viewer, cipher: TenantCipher, claim: Claim, *, life: timedelta) -> Made | None:
    """Claim a key; returns what was made when it was used before for the same input."""
    earlier = await idempotency.claim(
        scope,
        viewer.tenant_id,
        viewer.principal_id,
        key_hash=_key_hash(claim),
        input_hash=cipher.hmac("idempotency", _written(claim)),
        result=msgspec.to_builtins(claim.made),
        life=life,
    )
    return None if earlier is None else _made_by(earlier, cipher, claim)


async def made_before(scope: Reading, viewer: Viewer, cipher: TenantCipher, claim: Claim, *, life: timedelta) -> Made | None:
    """Return what was made when a key was used before for the same input, and claim nothing."""
    earlier = await idempotency.find(scope, viewer.tenant_id, viewer.principal_id, key_hash=_key_hash(claim), life=life)
    return None if earlier is None else _made_by(earlier, cipher, claim)


def _key_hash(claim: Claim) -> bytes:
    if not 1 <= len(claim.key) <= 255:
        raise Invalid("The idempotency key must have 1 to 255 characters.", path=("idempotencyKey",), constraint="length=1..255")
    return hashlib.sha256(claim.key.encode()).digest()


def _written(claim: Claim) -> bytes:
    return msgspec.json.encode([claim.operation, claim.content], order="deterministic")


def _made_by(earlier: Row, cipher: TenantCipher, claim: Claim) -> Made:
    if earlier["input_hash"] not in [cipher.hmac("idempotency", _written(claim), version=version) for version in cipher.versions]:
        raise KeyMeansAnotherInput("This idempotency key was used with another input.", path=("idempotencyKey",))
    return msgspec.json.decode(earlier["result"], type=Made)

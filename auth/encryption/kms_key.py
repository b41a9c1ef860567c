"""A key-encryption key in AWS KMS, which never leaves it; each wrapping is bound to its tenant by the encryption context."""

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Any, Final
from uuid import UUID

import aioboto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from auth.encryption.ciphers import KEY_BYTES
from auth.encryption.key_encryption import DataKeyIsUnreadable, KeyServiceIsAway
from settings import Settings

_NOBODY: Final = UUID(int=0)

# KMS says so of a ciphertext that it did not make for this key and context; anything else is trouble of the service or the account.
_NOT_OURS: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


class KmsKey:
    """Uses KMS `Encrypt` and `Decrypt`, each for at most `call_seconds`; the first call opens the connection, `close` ends it."""

    def __init__(self, settings: Settings, *, call_seconds: float = 5.0) -> None:
        self._call_seconds = call_seconds
        self.id = f"aws_kms:{settings.kms_key_id}"
        self._key_id = settings.kms_key_id
        self._address = {"region_name": settings.kms_region or settings.s3_region, "endpoint_url": settings.kms_endpoint or None}
        self._opening = asyncio.Lock()
        self._resources = AsyncExitStack()
        self._client: Any = None
        # At DEBUG botocore logs whole requests and answers, and these carry data keys.
        logging.getLogger("botocore").setLevel(logging.INFO)
        logging.getLogger("aiobotocore").setLevel(logging.INFO)

    async def wrap(self, data_key: bytes, tenant_id: UUID) -> bytes:
        answer = await self._call("encrypt", Plaintext=bytes(data_key), EncryptionContext=_context(tenant_id))
        return bytes(answer["CiphertextBlob"])

    async def unwrap(self, wrapped: bytes, tenant_id: UUID) -> bytes:
        try:
            answer = await self._call("decrypt", CiphertextBlob=wrapped, EncryptionContext=_context(tenant_id))
        except ClientError as error:
            raise DataKeyIsUnreadable(f"KMS did not wrap this data key for tenant {tenant_id} by {self.id}.") from error
        return bytes(answer["Plaintext"])

    async def check(self) -> None:
        probe = bytes(KEY_BYTES)
        if await self.unwrap(await self.wrap(probe, _NOBODY), _NOBODY) != probe:
            raise KeyServiceIsAway

    async def close(self) -> None:
        self._client = None
        await self._resources.aclose()

    async def _call(self, operation: str, **given: object) -> dict[str, Any]:
        """The answer of KMS; lets through a `ClientError` about the ciphertext, and turns all else into `KeyServiceIsAway`."""
        try:
            # Making the client reads the service's description from disk, which may take seconds on a busy machine.
            client = await self._connected()
            async with asyncio.timeout(self._call_seconds):
                answer: dict[str, Any] = await getattr(client, operation)(KeyId=self._key_id, **given)
                return answer
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _NOT_OURS:
                raise
            raise KeyServiceIsAway from error
        except (BotoCoreError, OSError) as error:
            raise KeyServiceIsAway from error

    async def _connected(self) -> Any:
        async with self._opening:
            if self._client is None:
                retries = {"total_max_attempts": 2, "mode": "standard"}
                config = Config(connect_timeout=1, read_timeout=2, retries=retries)
                opening = aioboto3.Session().client("kms", config=config, **self._address)
                self._client = await self._resources.enter_async_context(opening)
            return self._client

    def __repr__(self) -> str:
        return f"KmsKey(id={self.id!r})"


def _context(tenant_id: UUID) -> dict[str, str]:
    return {"tenant": str(tenant_id)}

"""The bytes in S3: the one place that speaks its protocol."""

import asyncio
import contextlib
from typing import Any, Final

import aioboto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from errors import Unavailable
from settings import Settings

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 10.0
# Once more after a failure: whoever waits for an answer has its own patience.
ATTEMPTS: Final = 2
MISSING: Final = ("404", "NoSuchBucket", "NotFound")


class StoreIsUnavailable(Unavailable):
    """S3 does not answer, or refuses our key."""


class BucketIsMissing(StoreIsUnavailable):
    """S3 answers, and there is no bucket of this name."""


class ObjectStore:
    """The bucket of the settings; its client connects when first used and is closed with the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bucket = settings.s3_bucket
        self._open = contextlib.AsyncExitStack()
        self._client: Any = None  # of botocore, which has no types
        self._opening = asyncio.Lock()

    async def check(self) -> None:
        """Raise `BucketIsMissing`, or `StoreIsUnavailable` when S3 does not answer or refuses us."""
        client = await self._connected()
        try:
            await client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in MISSING:
                raise BucketIsMissing(f"The bucket {self._bucket} does not exist.") from error
            raise StoreIsUnavailable(f"S3 refuses the bucket {self._bucket} ({code}).") from error
        except (BotoCoreError, OSError, TimeoutError) as error:
            raise StoreIsUnavailable("S3 does not answer.") from error

    async def ensure_bucket(self) -> None:
        """Make the bucket where it is missing; of two at once, both succeed."""
        try:
            await self.check()
        except BucketIsMissing:
            await self._make_bucket()

    async def close(self) -> None:
        """Close the client; a store that was never used has none."""
        self._client = None
        await self._open.aclose()

    async def _make_bucket(self) -> None:
        client = await self._connected()
        # us-east-1 is the one region that must not be named (CreateBucket, Amazon S3 API reference).
        region = self._settings.s3_region
        placed = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            await client.create_bucket(Bucket=self._bucket, **placed)
        except (client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
            await self.check()  # Somebody was quicker; it serves if it is ours.
        except (ClientError, BotoCoreError, OSError, TimeoutError) as error:
            raise StoreIsUnavailable(f"S3 did not make the bucket {self._bucket}.") from error

    async def _connected(self) -> Any:
        async with self._opening:
            if self._client is None:
                self._client = await self._open.enter_async_context(_client(self._settings))
            return self._client


def _client(settings: Settings) -> Any:
    session = aioboto3.Session(
        # Empty means the machine's own role, which boto3 finds when nothing is given.
        aws_access_key_id=str(settings.s3_access_key) or None,
        aws_secret_access_key=str(settings.s3_secret_key) or None,
        region_name=settings.s3_region,
    )
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        # A bucket as a host name needs wildcard DNS, which a server of one's own seldom has.
        s3={"addressing_style": "path" if settings.s3_endpoint else "auto"},
    )
    return session.client("s3", endpoint_url=settings.s3_endpoint or None, config=config)

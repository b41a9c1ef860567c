"""Answers packed with gzip, for clients that accept it."""

import asyncio
import zlib
from functools import lru_cache
from typing import Final

LEVEL: Final = 5
ASIDE_BYTES: Final = 65_536
"""From this size on packing takes long enough to leave the loop to others meanwhile: zlib lets go of the interpreter."""
_GZIP: Final = 16 + zlib.MAX_WBITS


@lru_cache(maxsize=256)
def takes_gzip(accept_encoding: str) -> bool:
    """Whether an `Accept-Encoding` header takes gzip (RFC 9110, section 12.5.3)."""
    taken = False
    for given in accept_encoding.lower().split(","):
        name, *parameters = (part.strip() for part in given.split(";"))
        refused = any(one.replace(" ", "") in ("q=0", "q=0.0", "q=0.00", "q=0.000") for one in parameters)
        if name == "gzip":
            return not refused
        taken = taken or (name == "*" and not refused)
    return taken


async def packed(content: bytes) -> bytes:
    """Pack an answer."""
    return await asyncio.to_thread(_gzip, content) if len(content) >= ASIDE_BYTES else _gzip(content)


def _gzip(content: bytes) -> bytes:
    packer = zlib.compressobj(LEVEL, wbits=_GZIP)
    return packer.compress(content) + packer.flush()
